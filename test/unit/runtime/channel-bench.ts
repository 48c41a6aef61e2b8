// SPDX-License-Identifier: Apache-2.0
// A listener of any transport, clients of it, and what the handlers of their connections were told.
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import { after, type TestContext } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { createWebSocketStream, WebSocket } from 'ws'
import type { Logger } from '#base/port/logger'
import type { Channel, ChannelHandler, Listener, ListenOptions, PemFile, Transport, WebSocketOptions } from '#base/port/network'
import { NodeNetwork } from '#runtime'
import { Authority, type IssuedPair } from '../../cluster/certificates.ts'

/** The server's end of a connection, and what its handler was told. */
export class Peer implements ChannelHandler {
  readonly channel: Channel
  readonly closes: (Error | undefined)[] = []
  received = ''
  drains = 0
  #wake: () => void = () => undefined

  constructor(channel: Channel) {
    this.channel = channel
  }

  onData(chunk: Buffer): void {
    this.received += chunk.toString('latin1')
    this.#wake()
  }

  onDrain(): void {
    this.drains += 1
    this.#wake()
  }

  onClose(error: Error | undefined): void {
    this.closes.push(error)
    this.#wake()
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }
}

/** The client's end. `socket` is the TCP connection below it. */
export interface Dialled {
  readonly stream: Duplex
  readonly socket: Socket
}

export interface Pair extends Dialled {
  readonly peer: Peer
}

export const WEB_SOCKET: WebSocketOptions = { path: '/mqtt', origins: [], messageBytesMax: 2 * 1024 * 1024 }

export class Bench {
  readonly listener: Listener
  readonly transport: Transport
  readonly #arrivals: Peer[] = []
  readonly #clients: Socket[] = []
  #arrived: () => void = () => undefined

  private constructor(listener: Listener, transport: Transport) {
    this.listener = listener
    this.transport = transport
  }

  /** What the listener logs goes to `lines`. */
  static async open(context: TestContext, options: ListenOptions, lines: string[] = []): Promise<Bench> {
    const bench = new Bench(new NodeNetwork(recordingLogger(lines)).listener(options), options.transport)
    await bench.listener.start((channel) => {
      const peer = new Peer(channel)
      bench.#arrivals.push(peer)
      bench.#arrived()
      return peer
    })
    context.after(async () => {
      await bench.listener.stop()
      for (const client of bench.#clients) client.destroy()
    })
    return bench
  }

  get port(): number {
    return Number(this.listener.address.split(':').pop())
  }

  /** A bare socket to the listener, which is closed after the test. */
  async dialSocket(): Promise<Socket> {
    const socket = connect(this.port, '127.0.0.1')
    socket.on('error', () => undefined)
    this.#clients.push(socket)
    await once(socket, 'connect')
    return socket
  }

  /** A client of the listener's transport that trusts anybody and shows no certificate. */
  async dial(): Promise<Dialled> {
    const socket = await this.dialSocket()
    let carrier = socket
    if (this.transport === 'tls' || this.transport === 'wss') {
      const secure = connectTls({ socket, rejectUnauthorized: false })
      secure.on('error', () => undefined)
      await once(secure, 'secureConnect')
      carrier = secure
    }
    if (this.transport === 'tcp' || this.transport === 'tls') return { stream: carrier, socket }
    const webSocket = new WebSocket('ws://server/mqtt', 'mqtt', { createConnection: () => carrier })
    const stream = createWebSocketStream(webSocket)
    stream.on('error', () => undefined)
    await once(webSocket, 'open')
    return { stream, socket }
  }

  async pair(): Promise<Pair> {
    const arrival = this.arrival()
    const client = await this.dial()
    return { ...client, peer: await arrival }
  }

  /** The next connection that the listener accepts. */
  async arrival(): Promise<Peer> {
    await new Promise<void>((resolve) => {
      this.#arrived = resolve
    })
    return this.#arrivals.pop() as Peer
  }

  /** How many connections were accepted that nobody has taken with `arrival` or `pair`. */
  get unclaimed(): number {
    return this.#arrivals.length
  }

  /** A round trip on another connection: whatever the loop had to deliver before it has been delivered. */
  async barrier(): Promise<void> {
    const { stream, peer } = await this.pair()
    stream.write('x')
    await peer.until(() => peer.received === 'x')
    peer.channel.write(Buffer.from('y'))
    await once(stream, 'data')
  }
}

export const pem = (path: string): PemFile => ({ path, bytes: readFileSync(path) })

export const pemPair = ({ cert, key }: IssuedPair): { readonly cert: PemFile; readonly key: PemFile } => ({
  cert: pem(cert),
  key: pem(key),
})

/** One certificate authority for a test file, in a directory that goes with it. */
export function authority(name?: string): Authority {
  const directory = mkdtempSync(join(tmpdir(), 'robustmq-'))
  after(() => rmSync(directory, { recursive: true, force: true }))
  return new Authority(directory, name)
}

function recordingLogger(lines: string[]): Logger {
  const logger: Logger = {
    log: (level, message, fields = {}) => lines.push(`${level} ${message} ${JSON.stringify(fields)}`),
    scope: () => logger,
  }
  return logger
}
