// SPDX-License-Identifier: Apache-2.0
// A client that does what a test says: nothing is answered, sent again or kept alive unless it asks for it.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { type Connack, decodePacket, type Packet, type PacketType, type Publish, packetSize } from './decode.ts'
import {
  type ConnectFields,
  encodeAck,
  encodeConnect,
  encodeDisconnect,
  encodePublish,
  encodeSubscribe,
  encodeUnsubscribe,
  type FilterFields,
  PINGREQ,
  type Properties,
  type PublishFields,
  type Version,
} from './wire.ts'

type PacketOf<T extends PacketType> = Packet & { readonly type: T }

/** A bound on waiting for what must come, far above what the slowest test needs: a test that fails says what it waited for. */
const WAIT_MS_MAX = 10_000

export class Client {
  readonly version: Version
  readonly #socket: Socket
  #bytes: Buffer = Buffer.alloc(0)
  #received: Packet[] = []
  #problem: unknown
  #closed = false
  #packetId = 0
  #wake: () => void = () => undefined

  private constructor(socket: Socket, version: Version) {
    this.#socket = socket
    this.version = version
    socket.on('data', (chunk: Buffer) => this.#onData(chunk))
    // A reset is a close like any other.
    socket.on('error', () => undefined)
    socket.on('close', () => {
      this.#closed = true
      this.#wake()
    })
  }

  /** Opens the socket and nothing more. */
  static async open(port: number, version: Version = 5): Promise<Client> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    await once(socket, 'connect')
    return new Client(socket, version)
  }

  /** Packets of one call leave in one write. */
  send(...packets: readonly Buffer[]): void {
    this.#socket.write(Buffer.concat(packets))
  }

  // ---- exchanges

  async connect(fields: ConnectFields): Promise<Connack> {
    this.send(encodeConnect({ version: this.version, ...fields }))
    return this.next('connack')
  }

  /** Resolves with the reason codes when the server has answered. */
  async subscribe(filters: string | readonly FilterFields[], options = 0, properties: Properties = []): Promise<readonly number[]> {
    const packetId = this.packetId()
    const list = typeof filters === 'string' ? [{ filter: filters, options }] : filters
    this.send(encodeSubscribe(this.version, packetId, list, properties))
    const suback = await this.take('suback')
    assert.equal(suback.packetId, packetId, 'SUBACK names the packet id of its SUBSCRIBE [MQTT-3.8.4-2]')
    return suback.reasonCodes
  }

  async unsubscribe(...filters: readonly string[]): Promise<readonly number[]> {
    const packetId = this.packetId()
    this.send(encodeUnsubscribe(this.version, packetId, filters))
    const unsuback = await this.take('unsuback')
    assert.equal(unsuback.packetId, packetId, 'UNSUBACK names the packet id of its UNSUBSCRIBE [MQTT-3.10.4-5]')
    return unsuback.reasonCodes
  }

  /** Publishes and completes the flow. Resolves with the reason code; at QoS 0 with 0, when the server has read it. */
  async publish(topic: string, payload: string | Buffer, fields: Omit<PublishFields, 'topic' | 'payload'> = {}): Promise<number> {
    const { qos = 0 } = fields
    const packetId = fields.packetId ?? this.packetId()
    this.send(encodePublish(this.version, { topic, payload, ...fields, packetId }))
    if (qos === 0) {
      this.send(PINGREQ)
      await this.take('pingresp')
      return 0
    }
    const answer = await this.take(qos === 1 ? 'puback' : 'pubrec')
    assert.equal(answer.packetId, packetId, 'the answer names the packet id of the message [MQTT-2.2.1-5]')
    if (answer.type === 'pubrec' && answer.reasonCode < 0x80) await this.release(packetId)
    return answer.reasonCode
  }

  /** The second half of a QoS 2 flow. Resolves with the reason code of PUBCOMP. */
  async release(packetId: number): Promise<number> {
    this.send(encodeAck('pubrel', packetId))
    const pubcomp = await this.take('pubcomp')
    assert.equal(pubcomp.packetId, packetId, 'PUBCOMP names the packet id of PUBREL [MQTT-4.3.3-11]')
    return pubcomp.reasonCode
  }

  /** The next message, with its flow completed. */
  async receive(): Promise<Publish> {
    const message = await this.take('publish')
    await this.acknowledge(message)
    return message
  }

  async acknowledge({ qos, packetId }: Publish): Promise<void> {
    if (qos === 1) this.send(encodeAck('puback', packetId))
    if (qos < 2) return
    this.send(encodeAck('pubrec', packetId))
    const pubrel = await this.take('pubrel')
    assert.equal(pubrel.packetId, packetId, 'PUBREL names the packet id of its message [MQTT-4.3.3-4]')
    this.send(encodeAck('pubcomp', packetId))
  }

  /** Messages up to the one with this payload, with their flows completed: what should not have come would be among them. */
  async receiveUntil(payload: string): Promise<readonly Publish[]> {
    const messages: Publish[] = []
    do messages.push(await this.receive())
    while (messages.at(-1)?.payload !== payload)
    return messages
  }

  /** All that has come, and comes until the server has answered a PINGREQ. */
  async drain(): Promise<readonly Packet[]> {
    this.send(PINGREQ)
    const packets: Packet[] = []
    for (;;) {
      const packet = await this.#first('PINGRESP', () => true)
      if (packet.type === 'pingresp') return packets
      packets.push(packet)
    }
  }

  /** Says goodbye; resolves when the server has closed. */
  async disconnect(reasonCode?: number, properties?: Properties): Promise<readonly Packet[]> {
    this.send(encodeDisconnect(reasonCode, properties))
    return this.untilClosed()
  }

  // ---- what comes

  /** The next packet, which must be of the type. */
  async next<T extends PacketType>(type: T): Promise<PacketOf<T>> {
    const packet = await this.#first(type, () => true)
    assert.equal(packet.type, type, `${JSON.stringify(packet)} came in place of ${type}`)
    return packet as PacketOf<T>
  }

  /** The next packet of the type; others stay where they are. */
  async take<T extends PacketType>(type: T): Promise<PacketOf<T>> {
    return (await this.#first(type, (packet) => packet.type === type)) as PacketOf<T>
  }

  /** Everything up to the end of the connection, which must come. */
  async untilClosed(): Promise<readonly Packet[]> {
    await this.#until('the end of the connection', () => this.#closed)
    const packets = this.#received
    this.#received = []
    return packets
  }

  /** The reason code with which the server ends the connection; undefined when it just closes. Nothing else may come. */
  async closeReason(): Promise<number | undefined> {
    const [last, ...others] = await this.untilClosed()
    if (last === undefined) return undefined
    assert.ok(others.length === 0 && (last.type === 'disconnect' || last.type === 'connack'), JSON.stringify([last, ...others]))
    return last.reasonCode
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Closes without a word. */
  destroy(): void {
    this.#socket.destroy()
  }

  /** One that was not used before on this connection. */
  packetId(): number {
    this.#packetId++
    return this.#packetId
  }

  #onData(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk])
    try {
      for (let size = packetSize(this.#bytes); size > 0; size = packetSize(this.#bytes)) {
        this.#received.push(decodePacket(this.version, this.#bytes.subarray(0, size)))
        this.#bytes = this.#bytes.subarray(size)
      }
    } catch (error) {
      this.#problem = error
      this.destroy()
    }
    this.#wake()
  }

  async #first(what: string, isIt: (packet: Packet) => boolean): Promise<Packet> {
    let at = -1
    const isThere = (): boolean => {
      at = this.#received.findIndex(isIt)
      return at >= 0
    }
    await this.#until(what, () => isThere() || this.#closed)
    if (!isThere()) throw new Error(`the connection was closed in place of ${what}; before it came ${JSON.stringify(this.#received)}`)
    return this.#received.splice(at, 1)[0] as Packet
  }

  async #until(what: string, isThere: () => boolean): Promise<void> {
    let isLate = false
    const timer = setTimeout(() => {
      isLate = true
      this.#wake()
    }, WAIT_MS_MAX)
    try {
      while (!isThere()) {
        if (this.#problem !== undefined) throw this.#problem
        if (isLate) throw new Error(`${what} did not come; waiting are ${JSON.stringify(this.#received)}`)
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
      if (this.#problem !== undefined) throw this.#problem
    } finally {
      clearTimeout(timer)
    }
  }
}
