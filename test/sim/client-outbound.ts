// SPDX-License-Identifier: Apache-2.0
// The sending half of a client's session: packet ids, what is not acknowledged, and what is sent again after a reconnect.
import type { IPublishPacket, Packet } from 'mqtt-packet'
import type { TestMessage } from './client-observer.ts'
import { SimFailure } from './world.ts'

const PACKET_ID_MAX = 65_535

export interface OutboundOptions {
  /** Most messages in flight, if the server allows them. */
  readonly window: number
  /** Give the lowest free packet id, so that ids are used again at once (Q5), instead of going round. */
  readonly reuseIds: boolean
}

export class ClientOutbound {
  readonly #client: string
  readonly #options: OutboundOptions
  /** Not yet acknowledged or recorded, in order of first sending. */
  readonly #publishes = new Map<number, TestMessage>()
  /** PUBREC received, PUBCOMP not, in order of PUBREC [MQTT-4.6.0-4]. */
  readonly #releases = new Map<number, TestMessage>()
  /** SUBSCRIBE and UNSUBSCRIBE under way. */
  readonly #requests = new Set<number>()
  #lastId = 0
  #window: number

  constructor(client: string, options: OutboundOptions) {
    this.#client = client
    this.#options = options
    this.#window = options.window
  }

  /** A connection begins. The packets to send first. */
  begin(serverReceiveMaximum: number): { readonly packets: readonly Packet[]; readonly repeated: readonly TestMessage[] } {
    this.#requests.clear()
    this.#window = Math.min(this.#options.window, serverReceiveMaximum)
    const packets: Packet[] = []
    for (const [id, message] of this.#publishes) packets.push(publishPacket(message, id, true))
    for (const id of this.#releases.keys()) packets.push({ cmd: 'pubrel', messageId: id })
    return { packets, repeated: [...this.#publishes.values()] }
  }

  /** The session is gone: what becomes of the messages in flight is unknown. */
  discard(): void {
    this.#publishes.clear()
    this.#releases.clear()
  }

  get hasRoom(): boolean {
    return this.inFlight < this.#window
  }

  get inFlight(): number {
    return this.#publishes.size + this.#releases.size
  }

  send(message: TestMessage): IPublishPacket {
    if (message.qos === 0) return publishPacket(message, undefined, false)
    const id = this.#freeId()
    this.#publishes.set(id, message)
    return publishPacket(message, id, false)
  }

  request(): number {
    const id = this.#freeId()
    this.#requests.add(id)
    return id
  }

  /** SUBACK or UNSUBACK. */
  answered(id: number): void {
    if (!this.#requests.delete(id)) this.#violated('an answer to a request that is not under way', id)
  }

  acknowledged(id: number): TestMessage {
    const message = this.#publishes.get(id)
    if (message?.qos !== 1) this.#violated('PUBACK answers a QoS 1 message in flight', id)
    this.#publishes.delete(id)
    return message
  }

  /** PUBREC. With a failure the flow is over. */
  recorded(id: number, failed: boolean): TestMessage {
    const message = this.#publishes.get(id)
    if (message?.qos !== 2) this.#violated('PUBREC answers a QoS 2 message in flight', id)
    this.#publishes.delete(id)
    if (!failed) this.#releases.set(id, message)
    return message
  }

  completed(id: number): TestMessage {
    const message = this.#releases.get(id)
    if (message === undefined) this.#violated('PUBCOMP answers a PUBREL in flight', id)
    this.#releases.delete(id)
    return message
  }

  #freeId(): number {
    const start = this.#options.reuseIds ? 0 : this.#lastId
    for (let step = 1; step <= PACKET_ID_MAX; step++) {
      const id = ((start + step - 1) % PACKET_ID_MAX) + 1
      if (this.#publishes.has(id) || this.#releases.has(id) || this.#requests.has(id)) continue
      this.#lastId = id
      return id
    }
    throw new SimFailure(`client ${this.#client} has no free packet id`)
  }

  #violated(rule: string, id: number): never {
    throw new SimFailure(`server to ${this.#client}, packet id ${id}: ${rule}`)
  }
}

function publishPacket(message: TestMessage, messageId: number | undefined, dup: boolean): IPublishPacket {
  const { qos, retain, payload, delaySeconds, expirySeconds } = message
  const topic = delaySeconds === undefined ? message.topic : `$delayed/${delaySeconds}/${message.topic}`
  return {
    cmd: 'publish',
    qos,
    dup,
    retain,
    topic,
    payload,
    ...(messageId === undefined ? {} : { messageId }),
    ...(expirySeconds === undefined ? {} : { properties: { messageExpiryInterval: expirySeconds } }),
  }
}
