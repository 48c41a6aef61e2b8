// SPDX-License-Identifier: Apache-2.0
// One TCP connection. Built for a hundred thousand of them that are mostly idle: the socket's listeners are shared functions, which find
// the channel through a property of the socket, so a connection owns no closure.
import type { Socket } from 'node:net'
import { joinAddress } from '#base/address'
import { must } from '#base/assert'
import type { Channel, ChannelHandler } from '#base/port/network'

const CHANNEL = Symbol('channel')

/** A socket of ours: it leads back to its channel. */
interface ChannelSocket extends Socket {
  [CHANNEL]: TcpChannel
}

export class TcpChannel implements Channel {
  readonly remote: string
  readonly #socket: Socket
  /** Undefined only while `accept` runs. */
  #handler: ChannelHandler | undefined
  #error: Error | undefined
  /** Set by `end` and `destroy`: the owner has said its last word and wants to hear no more bytes. */
  #ending = false
  /** Some bytes could not be handed to the system at once, and the handler has not yet been told that they have been. */
  #drainOwed = false
  #grace: NodeJS.Timeout | undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    // A peer that has already gone away has no address.
    this.remote = joinAddress(socket.remoteAddress ?? 'unknown', socket.remotePort ?? 0)
  }

  static open(socket: Socket, accept: (channel: Channel) => ChannelHandler): void {
    const channel = new TcpChannel(socket)
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

  static received(channel: TcpChannel, chunk: Buffer): void {
    if (!channel.#ending) handlerOf(channel.#handler).onData(chunk)
  }

  static drained(channel: TcpChannel): void {
    if (!channel.#drainOwed || channel.#ending) return
    channel.#drainOwed = false
    handlerOf(channel.#handler).onDrain()
  }

  /** 'close' follows at once. */
  static failed(channel: TcpChannel, error: Error): void {
    channel.#error = error
  }

  static closed(channel: TcpChannel): void {
    clearTimeout(channel.#grace)
    handlerOf(channel.#handler).onClose(channel.#error)
  }
}

const handlerOf = (handler: ChannelHandler | undefined): ChannelHandler => must(handler, 'events come after accept has returned')

function onData(this: Socket, chunk: Buffer): void {
  TcpChannel.received((this as ChannelSocket)[CHANNEL], chunk)
}

function onDrain(this: Socket): void {
  TcpChannel.drained((this as ChannelSocket)[CHANNEL])
}

function onError(this: Socket, error: Error): void {
  TcpChannel.failed((this as ChannelSocket)[CHANNEL], error)
}

function onClose(this: Socket): void {
  TcpChannel.closed((this as ChannelSocket)[CHANNEL])
}

const destroySocket = (socket: Socket): void => {
  socket.destroy()
}
