// SPDX-License-Identifier: Apache-2.0
// A listener on a port of this machine. Below are TCP or TLS, above them bare MQTT or WebSocket, in all four combinations.
import { createServer, type Server, type Socket } from 'node:net'
import type { TLSSocket } from 'node:tls'
import { joinAddress, listenError } from '#base/address'
import { must } from '#base/assert'
import type { Logger } from '#base/port/logger'
import type { Channel, ChannelHandler, ClientCertificate, Listener, ListenOptions, TlsMaterial } from '#base/port/network'
import { Complaint } from './complaint.ts'
import { HIGH_WATER_BYTES } from './socket.ts'
import { SocketChannel } from './socket-channel.ts'
import { TlsFront } from './tls-front.ts'
import { WebSocketFront } from './web-socket-front.ts'

/** Connections that the kernel completes while the loop is busy; the system may cap it lower (somaxconn). */
const BACKLOG_COUNT = 4096
/** Connections in a handshake, beside those that the owner keeps open. */
const HANDSHAKES_MAX = 4096
/** A failing accept fails for every connection of a flood: one line in this time says it. */
const COMPLAINT_MS_MIN = 1000

export class NodeListener implements Listener {
  readonly #options: ListenOptions
  readonly #tls: TlsFront | undefined
  readonly #webSocket: WebSocketFront | undefined
  readonly #server: Server
  readonly #acceptFailures: Complaint
  #address: string
  #isStopped = false

  /** Throws configInvalid when the certificates cannot be used. */
  constructor(options: ListenOptions, logger: Logger) {
    this.#options = options
    this.#acceptFailures = new Complaint(logger, 'warn', 'cannot accept a connection', COMPLAINT_MS_MIN)
    this.#tls =
      'tls' in options ? new TlsFront({ ...options, protocol: options.transport === 'tls' ? 'mqtt' : 'http/1.1' }, logger) : undefined
    this.#webSocket = 'webSocket' in options ? new WebSocketFront(options, logger) : undefined
    this.#server = this.#tls?.server ?? createServer({ noDelay: true, highWaterMark: HIGH_WATER_BYTES })
    if (options.connectionsMax !== undefined) this.#server.maxConnections = options.connectionsMax + HANDSHAKES_MAX
    this.#address = joinAddress(options.host, options.port)
  }

  /** With port 0 the one that the system chose, once started. */
  get address(): string {
    return this.#address
  }

  start(accept: (channel: Channel) => ChannelHandler): Promise<void> {
    const { host, port } = this.#options
    const server = this.#server
    this.#listen(accept)
    return new Promise((resolve, reject) => {
      const onError = (cause: NodeJS.ErrnoException): void => reject(listenError(this.#address, cause))
      server.once('error', onError)
      server.listen({ host, port, backlog: BACKLOG_COUNT }, () => {
        server.off('error', onError)
        server.on('error', (cause: NodeJS.ErrnoException) => this.#complain(cause))
        const bound = server.address()
        if (typeof bound === 'object' && bound !== null) this.#address = joinAddress(host, bound.port)
        resolve()
      })
    })
  }

  /** The server's own 'close' would wait for the last channel; the port is free when `close` returns. */
  async stop(): Promise<void> {
    this.#isStopped = true
    this.#webSocket?.stop()
    if (this.#server.listening) this.#server.close()
  }

  setTls(tls: TlsMaterial): void {
    must(this.#tls, 'only a listener with TLS shows certificates').setTls(tls)
  }

  #listen(accept: (channel: Channel) => ChannelHandler): void {
    const tls = this.#tls
    if (tls === undefined) {
      this.#server.on('connection', (socket: Socket) => this.#open(socket, undefined, accept))
      return
    }
    tls.server.on('secureConnection', (socket: TLSSocket) => {
      const admission = tls.admit(socket)
      if (admission.kind === 'admitted') this.#open(socket, admission.certificate, accept)
    })
  }

  /** The socket is ready for what is spoken on it. */
  #open(socket: Socket, certificate: ClientCertificate | undefined, accept: (channel: Channel) => ChannelHandler): void {
    // A handshake may end after the listener has been stopped.
    if (this.#isStopped) socket.destroy()
    else if (this.#webSocket !== undefined) this.#webSocket.take(socket, certificate, accept)
    else SocketChannel.open(socket, this.#tls === undefined ? 'tcp' : 'tls', certificate, accept)
  }

  /** Accepting failed, most often because the process has no file descriptor left. The listener goes on. */
  #complain(cause: NodeJS.ErrnoException): void {
    const advice = cause.code === 'EMFILE' || cause.code === 'ENFILE' ? 'raise the limit on open files (ulimit -n)' : undefined
    this.#acceptFailures.say({ address: this.#address, error: cause.message, advice })
  }
}
