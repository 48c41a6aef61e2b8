// SPDX-License-Identifier: Apache-2.0
// The HTTP side of a WebSocket listener: takes sockets, and makes channels of those that ask for an upgrade as they should.
import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { type WebSocket, WebSocketServer } from 'ws'
import type { Logger } from '#base/port/logger'
import type { Channel, ChannelHandler, ClientCertificate, WebSocketOptions } from '#base/port/network'
import { Complaint } from './complaint.ts'
import { destroySocket, HANDSHAKE_MS_MAX, remoteOf } from './socket.ts'
import { WebSocketChannel } from './web-socket-channel.ts'
import { pathOf, protocolOf, type Refusal, refusalOf, UNAVAILABLE, UPGRADE_REQUIRED, WRONG_PATH } from './web-socket-request.ts'

const COMPLAINT_MS_MIN = 60_000
/** How long a peer may take to answer a close frame, or to close the socket after it. */
const CLOSE_MS_MAX = 2_000
/** Pieces of a message are held until it is whole, each with its share of the read from which it came. Honest ones are at least so large. */
const PIECE_BYTES_MIN = 512
const PIECES_MIN = 256

export interface WebSocketFrontOptions {
  readonly transport: 'ws' | 'wss'
  readonly webSocket: WebSocketOptions
}

/** What is known of a socket until its upgrade. */
interface Attempt {
  readonly certificate: ClientCertificate | undefined
  readonly accept: (channel: Channel) => ChannelHandler
  readonly timer: NodeJS.Timeout
}

/** A refusal says all in its first line. */
const CLOSING = Object.freeze({ Connection: 'close', 'Content-Length': '0' })

const ATTEMPT = Symbol('attempt')

interface AttemptingSocket extends Socket {
  [ATTEMPT]?: Attempt | undefined
}

export class WebSocketFront {
  readonly #options: WebSocketFrontOptions
  readonly #refusals: Complaint
  /** Never listens: it is given sockets, and parses the requests on them. */
  readonly #http: Server
  readonly #upgrader: WebSocketServer
  #isStopped = false

  constructor(options: WebSocketFrontOptions, logger: Logger) {
    this.#options = options
    this.#refusals = new Complaint(logger, 'info', 'refused a WebSocket', COMPLAINT_MS_MIN)
    this.#http = createServer((request, response) => this.#answerPlain(request, response))
    this.#http.on('upgrade', (request, socket: Duplex, head) => this.#upgrade(request, socket as Socket, head))
    // Answering what is no HTTP would only tell a scanner more.
    this.#http.on('clientError', (_error, socket) => socket.destroy())
    this.#upgrader = new WebSocketServer(upgraderOptions(options.webSocket))
  }

  /** Waits for the upgrade, for a while, and tells `accept` of it. */
  take(socket: Socket, certificate: ClientCertificate | undefined, accept: (channel: Channel) => ChannelHandler): void {
    const timer = setTimeout(destroySocket, HANDSHAKE_MS_MAX, socket)
    ;(socket as AttemptingSocket)[ATTEMPT] = { certificate, accept, timer }
    socket.on('error', destroyQuietly)
    socket.on('close', giveUp)
    this.#http.emit('connection', socket)
  }

  /** Refuses upgrades from now on. */
  stop(): void {
    this.#isStopped = true
  }

  /** A request that asks for no upgrade. */
  #answerPlain(request: IncomingMessage, response: ServerResponse): void {
    const { status, headers } = pathOf(request) === this.#options.webSocket.path ? UPGRADE_REQUIRED : WRONG_PATH
    response.writeHead(status, { ...CLOSING, ...headers })
    response.end()
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const refusal = this.#isStopped ? UNAVAILABLE : refusalOf(request, this.#options.webSocket)
    if (refusal !== undefined) {
      this.#refusals.say({ remote: remoteOf(socket), status: refusal.status, reason: refusal.reason })
      // The timer of the attempt goes on: it ends a peer that does not close its side.
      socket.end(formatRefusal(refusal))
      socket.resume()
      return
    }
    this.#upgrader.handleUpgrade(request, socket, head, this.#opened)
  }

  readonly #opened = (webSocket: WebSocket, request: IncomingMessage): void => {
    const socket = request.socket as AttemptingSocket
    const attempt = socket[ATTEMPT]
    if (attempt === undefined) return
    clearTimeout(attempt.timer)
    socket[ATTEMPT] = undefined
    socket.off('close', giveUp)
    socket.off('error', destroyQuietly)
    WebSocketChannel.open(webSocket, socket, this.#options.transport, attempt.certificate, attempt.accept)
  }
}

/** The limits on pieces and the time to close are younger than the package's types. */
function upgraderOptions({ messageBytesMax }: WebSocketOptions) {
  const pieces = Math.max(PIECES_MIN, Math.ceil(messageBytesMax / PIECE_BYTES_MIN))
  return {
    noServer: true,
    clientTracking: false,
    // Compression holds a window for each connection, and a small frame may unpack to a large message.
    perMessageDeflate: false,
    maxPayload: messageBytesMax,
    maxFragments: pieces,
    maxBufferedChunks: pieces,
    // The channel answers: it knows when a peer does not take the answers.
    autoPong: false,
    closeTimeout: CLOSE_MS_MAX,
    handleProtocols: (offered: Set<string>) => protocolOf(offered) ?? false,
  } as const
}

function formatRefusal({ status, headers }: Refusal): string {
  const lines = Object.entries({ ...CLOSING, ...headers }).map(([name, value]) => `${name}: ${value}\r\n`)
  return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n`
}

/** Before the upgrade nobody is told of errors. 'close' follows. */
function destroyQuietly(this: Socket): void {
  this.destroy()
}

function giveUp(this: AttemptingSocket): void {
  clearTimeout(this[ATTEMPT]?.timer)
}
