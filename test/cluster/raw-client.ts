// SPDX-License-Identifier: Apache-2.0
// A client that does what the test says and nothing by itself: no reconnecting, no resending, acknowledgements only on request.
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { generate, type IConnackPacket, type IConnectPacket, type Packet, parser } from 'mqtt-packet'

export type ConnectOptions = Partial<Omit<IConnectPacket, 'cmd'>>

export class RawClient {
  readonly #socket: Socket
  readonly #version: 3 | 4 | 5
  readonly #received: Packet[] = []
  #wake: (() => void) | undefined
  #closed = false
  /** Called for each packet before it is queued; true keeps it out of the queue. */
  onPacket: ((packet: Packet) => boolean) | undefined

  private constructor(socket: Socket, version: 3 | 4 | 5) {
    this.#socket = socket
    this.#version = version
    const reader = parser({ protocolVersion: version })
    reader.on('packet', (packet: Packet) => {
      if (this.onPacket?.(packet)) return
      this.#received.push(packet)
      this.#wake?.()
    })
    socket.on('data', (chunk: Buffer) => reader.parse(chunk))
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.#closed = true
      this.#wake?.()
    })
  }

  /** Opens the socket and nothing more. */
  static async open(port: number, version: 3 | 4 | 5 = 4): Promise<RawClient> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    await once(socket, 'connect')
    return new RawClient(socket, version)
  }

  /** Opens, sends CONNECT and waits for CONNACK. */
  static async connect(
    port: number,
    clientId: string,
    options: ConnectOptions = {},
  ): Promise<{ client: RawClient; connack: IConnackPacket }> {
    const client = await RawClient.open(port, (options.protocolVersion ?? 4) as 3 | 4 | 5)
    return { client, connack: await client.introduce(clientId, options) }
  }

  /** Sends CONNECT and waits for CONNACK. */
  async introduce(clientId: string, options: ConnectOptions = {}): Promise<IConnackPacket> {
    this.send({
      cmd: 'connect',
      clientId,
      protocolId: this.#version === 3 ? 'MQIsdp' : 'MQTT',
      protocolVersion: this.#version,
      clean: true,
      keepalive: 0,
      ...options,
    } as Packet)
    return (await this.next('connack')) as IConnackPacket
  }

  get closed(): boolean {
    return this.#closed
  }

  send(packet: Packet): void {
    this.#socket.write(generate(packet, { protocolVersion: this.#version }))
  }

  sendBytes(bytes: Buffer | string): void {
    this.#socket.write(bytes)
  }

  /** Sends and resolves when the system has taken the bytes, or the connection is gone: then false. */
  async sendAndFlush(bytes: Buffer): Promise<boolean> {
    return await new Promise((resolve) => {
      const lost = (): void => resolve(false)
      this.#socket.once('close', lost)
      this.#socket.write(bytes, (error) => {
        this.#socket.off('close', lost)
        resolve(!error)
      })
    })
  }

  /** Leaves what arrives in the kernel's buffers, which then fill. */
  stopReading(): void {
    this.#socket.pause()
  }

  startReading(): void {
    this.#socket.resume()
  }

  /** The next packet, of the kind that is expected. Rejects when the connection closes first. */
  async next<C extends Packet['cmd']>(cmd: C): Promise<Extract<Packet, { cmd: C }>> {
    const packet = await this.#take()
    if (packet === undefined) throw new Error(`the connection was closed while waiting for ${cmd}`)
    if (packet.cmd !== cmd) throw new Error(`${packet.cmd} came instead of ${cmd}: ${JSON.stringify(packet)}`)
    return packet as Extract<Packet, { cmd: C }>
  }

  /** Everything that comes until the server has answered a PINGREQ: what was under way has arrived by then. */
  async drain(): Promise<Packet[]> {
    this.send({ cmd: 'pingreq' })
    const packets: Packet[] = []
    for (;;) {
      const packet = await this.#take()
      if (packet === undefined || packet.cmd === 'pingresp') return packets
      packets.push(packet)
    }
  }

  async untilClosed(): Promise<Packet[]> {
    const packets: Packet[] = []
    for (let packet = await this.#take(); packet !== undefined; packet = await this.#take()) packets.push(packet)
    return packets
  }

  /** Closes without a word. */
  destroy(): void {
    this.#socket.destroy()
  }

  async disconnect(): Promise<void> {
    this.send({ cmd: 'disconnect' } as Packet)
    await this.untilClosed()
  }

  async #take(): Promise<Packet | undefined> {
    while (this.#received.length === 0) {
      if (this.#closed) return undefined
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    return this.#received.shift()
  }
}
