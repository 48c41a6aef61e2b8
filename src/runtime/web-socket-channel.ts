// SPDX-License-Identifier: Apache-2.0
// One MQTT connection over WebSocket (MQTT 5 section 6): the stream of bytes is what the binary messages hold, wherever they begin and end.
// As with bare sockets the listeners are shared functions, so a connection owns no closure.
import type { Socket } from 'node:net'
import { WebSocket } from 'ws'
import { must } from '#base/assert'
import type { Channel, ChannelHandler, ClientCertificate, CloseReason } from '#base/port/network'
import { remoteOf } from './socket.ts'

const CHANNEL = Symbol('channel')

interface ChannelWebSocket extends WebSocket {
  [CHANNEL]: WebSocketChannel
}

interface ChannelSocket extends Socket {
  [CHANNEL]: WebSocketChannel
}

/** RFC 6455, 7.4.1, and 1013 of the registry that it sets up. */
const CLOSE_CODE = Object.freeze({
  done: 1000,
  goingAway: 1001,
  protocolError: 1002,
  unsupportedFrame: 1003,
  policy: 1008,
  tooLarge: 1009,
  failure: 1011,
  tryLater: 1013,
} satisfies Record<CloseReason | 'unsupportedFrame', number>)

/** For a peer that has broken the rules of WebSocket to read why. */
const VIOLATION_GRACE_MS = 2_000
/** Beyond so much unread output a ping is not answered: only the last of several has to be (RFC 6455, 5.5.3), and the peer reads none. */
const PONG_QUEUE_BYTES_MAX = 4_096

export class WebSocketChannel implements Channel {
  readonly transport: 'ws' | 'wss'
  readonly remote: string
  readonly certificate: ClientCertificate | undefined
  readonly #webSocket: WebSocket
  readonly #socket: Socket
  /** Undefined only while `accept` runs. */
  #handler: ChannelHandler | undefined
  #error: Error | undefined
  /** The owner has said its last word, or the peer has broken the rules: no more bytes are told. */
  #ending = false
  /** Some bytes could not be handed to the system at once, and the handler has not yet been told that they have been. */
  #drainOwed = false
  #grace: NodeJS.Timeout | undefined

  private constructor(webSocket: WebSocket, socket: Socket, transport: 'ws' | 'wss', certificate: ClientCertificate | undefined) {
    this.#webSocket = webSocket
    this.#socket = socket
    this.transport = transport
    this.remote = remoteOf(socket)
    this.certificate = certificate
  }

  /** Takes over a WebSocket just opened; `socket` is the one below it. */
  static open(
    webSocket: WebSocket,
    socket: Socket,
    transport: 'ws' | 'wss',
    certificate: ClientCertificate | undefined,
    accept: (channel: Channel) => ChannelHandler,
  ): void {
    const channel = new WebSocketChannel(webSocket, socket, transport, certificate)
    ;(webSocket as ChannelWebSocket)[CHANNEL] = channel
    ;(socket as ChannelSocket)[CHANNEL] = channel
    socket.on('error', onSocketError)
    webSocket.on('error', onViolation)
    webSocket.on('close', onClose)
    channel.#handler = accept(channel)
    socket.on('drain', onDrain)
    webSocket.on('message', onMessage)
    webSocket.on('ping', onPing)
  }

  write(bytes: Buffer): void {
    if (this.#webSocket.readyState !== WebSocket.OPEN) return
    this.#webSocket.send(bytes)
    if (this.#socket.writableLength > 0) this.#drainOwed = true
  }

  queuedBytes(): number {
    return this.#webSocket.bufferedAmount
  }

  pause(): void {
    if (!this.#ending) this.#webSocket.pause()
  }

  resume(): void {
    this.#webSocket.resume()
  }

  end(graceMs: number, reason: CloseReason = 'done'): void {
    if (!this.#ending) this.#close(CLOSE_CODE[reason], graceMs)
  }

  /** The close frame goes out before the socket is closed if the system takes it at once. */
  destroy(reason?: CloseReason): void {
    this.#ending = true
    if (reason !== undefined) this.#webSocket.close(CLOSE_CODE[reason])
    this.#webSocket.terminate()
  }

  static received(channel: WebSocketChannel, message: Buffer, isBinary: boolean): void {
    if (channel.#ending) return
    if (isBinary) handlerOf(channel.#handler).onData(message)
    else {
      // [MQTT-6.0.0-1]
      channel.#error = new Error('the peer sent a text frame')
      channel.#close(CLOSE_CODE.unsupportedFrame, VIOLATION_GRACE_MS)
    }
  }

  static drained(channel: WebSocketChannel): void {
    if (!channel.#drainOwed || channel.#ending) return
    channel.#drainOwed = false
    handlerOf(channel.#handler).onDrain()
  }

  static pinged(channel: WebSocketChannel, payload: Buffer): void {
    if (!channel.#ending && channel.queuedBytes() <= PONG_QUEUE_BYTES_MAX) channel.#webSocket.pong(payload)
  }

  /** The package has sent a close frame with the right code. */
  static violated(channel: WebSocketChannel, error: Error): void {
    channel.#error = error
    if (!channel.#ending) channel.#close(CLOSE_CODE.protocolError, VIOLATION_GRACE_MS)
  }

  /** 'close' follows at once. */
  static failed(channel: WebSocketChannel, error: Error): void {
    channel.#error = error
  }

  static closed(channel: WebSocketChannel): void {
    clearTimeout(channel.#grace)
    handlerOf(channel.#handler).onClose(channel.#error)
  }

  /** Begins to close, unless that has begun, and bounds the time it takes. */
  #close(code: number, graceMs: number): void {
    this.#ending = true
    this.#grace = setTimeout(terminate, graceMs, this.#webSocket)
    this.#webSocket.close(code)
    // The peer's own close frame would not be seen.
    this.#webSocket.resume()
  }
}

const handlerOf = (handler: ChannelHandler | undefined): ChannelHandler => must(handler, 'events come after accept has returned')

/** `binaryType` is the package's default, so that a message is one Buffer. */
function onMessage(this: WebSocket, message: unknown, isBinary: boolean): void {
  WebSocketChannel.received((this as ChannelWebSocket)[CHANNEL], message as Buffer, isBinary)
}

function onPing(this: WebSocket, payload: Buffer): void {
  WebSocketChannel.pinged((this as ChannelWebSocket)[CHANNEL], payload)
}

function onViolation(this: WebSocket, error: Error): void {
  WebSocketChannel.violated((this as ChannelWebSocket)[CHANNEL], error)
}

function onClose(this: WebSocket): void {
  WebSocketChannel.closed((this as ChannelWebSocket)[CHANNEL])
}

function onDrain(this: Socket): void {
  WebSocketChannel.drained((this as ChannelSocket)[CHANNEL])
}

function onSocketError(this: Socket, error: Error): void {
  WebSocketChannel.failed((this as ChannelSocket)[CHANNEL], error)
}

const terminate = (webSocket: WebSocket): void => {
  webSocket.terminate()
}
