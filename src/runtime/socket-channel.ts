// SPDX-License-Identifier: Apache-2.0
// One connection of bare MQTT, over TCP or TLS. Built for a hundred thousand of them that are mostly idle: the socket's listeners are shared
// functions, which find the channel through a property of the socket, so a connection owns no closure.
import type { Socket } from 'node:net'
import { must } from '#base/assert'
import type { Channel, ChannelHandler, ClientCertificate } from '#base/port/network'
import { destroySocket, remoteOf } from './socket.ts'

const CHANNEL = Symbol('channel')

/** A socket of ours: it leads back to its channel. */
interface ChannelSocket extends Socket {
  [CHANNEL]: SocketChannel
}

export class SocketChannel implements Channel {
  readonly transport: 'tcp' | 'tls'
  readonly remote: string
  readonly certificate: ClientCertificate | undefined
  readonly #socket: Socket
  /** Undefined only while `accept` runs. */
  #handler: ChannelHandler | undefined
  #error: Error | undefined
  /** Set by `end` and `destroy`: the owner has said its last word and wants to hear no more bytes. */
  #ending = false
  /** Some bytes could not be handed to the system at once, and the handler has not yet been told that they have been. */
  #drainOwed = false
  #grace: NodeJS.Timeout | undefined

  private constructor(socket: Socket, transport: 'tcp' | 'tls', certificate: ClientCertificate | undefined) {
    this.#socket = socket
    this.transport = transport
    this.remote = remoteOf(socket)
    this.certificate = certificate
  }

  /** Takes over a socket on which nothing of the application has been read. */
  static open(
    socket: Socket,
    transport: 'tcp' | 'tls',
    certificate: ClientCertificate | undefined,
    accept: (channel: Channel) => ChannelHandler,
  ): void {
    const channel = new SocketChannel(socket, transport, certificate)
    ;(socket as ChannelSocket)[CHANNEL] = channel
    socket.on('error', onError)
    socket.on('close', onClose)
    channel.#handler = accept(channel)
    socket.on('drain', onDrain)
    socket.on('data', onData)
  }

  /** Bytes for a peer that has closed, or after `end`, go nowhere. */
  write(bytes: Buffer): void {
    const socket = this.#socket
    if (!socket.writable) return
    socket.write(bytes)
    if (socket.writableLength > 0) this.#drainOwed = true
  }

  queuedBytes(): number {
    return this.#socket.writableLength
  }

  pause(): void {
    if (!this.#ending) this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  end(graceMs: number): void {
    if (this.#ending) return
    this.#ending = true
    this.#grace = setTimeout(destroySocket, graceMs, this.#socket)
    this.#socket.end()
    // What the peer still sends is read and dropped: unread bytes would turn the close into a reset, which takes our last words with it, and its own close would not be seen.
    this.#socket.resume()
  }

  destroy(): void {
    this.#ending = true
    this.#socket.destroy()
  }

  static received(channel: SocketChannel, chunk: Buffer): void {
    if (!channel.#ending) handlerOf(channel.#handler).onData(chunk)
  }

  static drained(channel: SocketChannel): void {
    if (!channel.#drainOwed || channel.#ending) return
    channel.#drainOwed = false
    handlerOf(channel.#handler).onDrain()
  }

  /** 'close' follows at once. */
  static failed(channel: SocketChannel, error: Error): void {
    channel.#error = error
  }

  static closed(channel: SocketChannel): void {
    clearTimeout(channel.#grace)
    handlerOf(channel.#handler).onClose(channel.#error)
  }
}

const handlerOf = (handler: ChannelHandler | undefined): ChannelHandler => must(handler, 'events come after accept has returned')

function onData(this: Socket, chunk: Buffer): void {
  SocketChannel.received((this as ChannelSocket)[CHANNEL], chunk)
}

function onDrain(this: Socket): void {
  SocketChannel.drained((this as ChannelSocket)[CHANNEL])
}

function onError(this: Socket, error: Error): void {
  SocketChannel.failed((this as ChannelSocket)[CHANNEL], error)
}

function onClose(this: Socket): void {
  SocketChannel.closed((this as ChannelSocket)[CHANNEL])
}
