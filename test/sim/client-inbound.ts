// SPDX-License-Identifier: Apache-2.0
// The receiving half of a client's session: QoS 1 and 2 state, acknowledgements in legal order, and whether the server's conduct is legal.
import type { IPublishPacket, Packet } from 'mqtt-packet'
import { must } from '#base/assert'
import type { SimRandom } from './random.ts'
import { SimFailure } from './world.ts'

/** 'received': not acknowledged. 'recorded': PUBREC was sent. */
type Phase = 'received' | 'recorded'

interface Unfinished {
  readonly id: number
  readonly payload: string
  readonly qos: 1 | 2
  readonly retain: boolean
  phase: Phase
  /** Of the connection on which it last came. */
  connection: number
}

export class ClientInbound {
  readonly #client: string
  readonly #receiveMaximum: number
  /** In the server's order of sending. Outlives connections; QoS 1 entries serve the checks only. */
  readonly #unfinished = new Map<number, Unfinished>()
  /** Owed acknowledgements by kind. PUBACK and PUBREC go out in order of arrival [MQTT-4.6.0-2] [MQTT-4.6.0-3]. */
  readonly #acks: number[] = []
  readonly #records: number[] = []
  readonly #completions: number[] = []
  #connection = 0
  #present = false
  /** The server lost its process since the last connection: what it knew about QoS 1 flows may be gone. */
  #serverDied = false
  /** A first transmission has come on this connection: no repeated one may follow. */
  #freshSeen = false
  /** What must be sent again on this connection before anything new, in order. */
  #expected: Unfinished[] = []
  readonly #releasedHere = new Set<number>()

  constructor(client: string, receiveMaximum: number) {
    this.#client = client
    this.#receiveMaximum = receiveMaximum
  }

  /** A connection begins. `givesAway`: QoS 1 messages that were not acknowledged may be with another client by now. */
  begin(present: boolean, serverDied: boolean, givesAway = false): void {
    this.#restoreOrder()
    this.#connection++
    this.#present = present
    this.#serverDied = serverDied
    this.#freshSeen = false
    this.#releasedHere.clear()
    this.#acks.length = this.#records.length = this.#completions.length = 0
    if (!present) this.#unfinished.clear()
    if (serverDied || givesAway) for (const entry of [...this.#unfinished.values()]) if (entry.qos === 1) this.#unfinished.delete(entry.id)
    this.#expected = [...this.#unfinished.values()].filter((entry) => entry.phase === 'received')
  }

  /** Takes a PUBLISH of QoS 1 or 2. Whether the application gets it. */
  accept(packet: IPublishPacket, payload: string): boolean {
    const id = packet.messageId ?? 0
    const qos = packet.qos === 2 ? 2 : 1
    if (id === 0) this.#violated('a PUBLISH of QoS 1 or 2 has a packet id', id)
    if (packet.dup && !this.#present) this.#violated('a new session repeats nothing [MQTT-3.3.1-1]', id)
    if (packet.dup && this.#freshSeen) this.#violated('nothing is repeated but after a reconnect, old before new [MQTT-4.4.0-1]', id)
    const known = this.#unfinished.get(id)
    if (known?.connection === this.#connection)
      this.#violated('a packet id has one use at a time (Q6), and there is no resend on a timer (Q7)', id)
    const repeats = known !== undefined && known.payload === payload
    if (known !== undefined && !repeats)
      this.#violated(`a packet id in use is not given to another message: ${known.payload} and ${payload}`, id)
    if (repeats && !packet.dup) this.#violated('a repeated PUBLISH has DUP set [MQTT-3.3.1-1]', id)
    if (repeats && known.qos !== qos) this.#violated(`a message sent with QoS ${known.qos} is not repeated with QoS ${qos}`, id)
    if (repeats && known.retain !== packet.retain)
      this.#violated(`a message sent with RETAIN ${known.retain} is repeated with the same`, id)
    this.#checkOrder(packet, known)
    const entry: Unfinished = known ?? { id, payload, qos, retain: packet.retain, phase: 'received', connection: this.#connection }
    entry.connection = this.#connection
    this.#unfinished.delete(id)
    this.#unfinished.set(id, entry)
    if (this.#openHere() > this.#receiveMaximum) this.#violated('the receive maximum is kept [MQTT-3.3.4-9]', id)
    ;(qos === 1 ? this.#acks : this.#records).push(id)
    return qos === 1 || known === undefined
  }

  /** Takes a PUBREL. */
  release(id: number): void {
    const entry = this.#unfinished.get(id)
    if (entry?.phase === 'received') this.#violated('PUBREL comes after PUBREC', id)
    if (this.#releasedHere.has(id)) this.#violated('PUBREL is not repeated on one connection', id)
    if (entry === undefined && !this.#present) this.#violated('PUBREL of an id that was never used', id)
    this.#releasedHere.add(id)
    this.#completions.push(id)
  }

  get owesAcknowledgements(): boolean {
    return this.#acks.length + this.#records.length + this.#completions.length > 0
  }

  /** The next acknowledgement to send: random among those that may come next. */
  nextAcknowledgement(random: SimRandom): Packet {
    const queues = [this.#acks, this.#records, this.#completions].filter((queue) => queue.length > 0)
    const queue = random.pick(queues)
    if (queue === this.#completions) {
      const [id] = queue.splice(random.range(0, queue.length - 1), 1)
      return this.#complete(must(id, 'the queue is not empty'))
    }
    const id = must(queue.shift(), 'the queue is not empty')
    if (queue === this.#acks) {
      this.#unfinished.delete(id)
      return { cmd: 'puback', messageId: id }
    }
    must(this.#unfinished.get(id), 'a message owes its PUBREC').phase = 'recorded'
    return { cmd: 'pubrec', messageId: id }
  }

  /** What came on the last connection is in order; what the server had not repeated when it ended comes after that. */
  #restoreOrder(): void {
    const entries = [...this.#unfinished.values()]
    const seen = entries.filter((entry) => entry.connection === this.#connection)
    const rest = entries.filter((entry) => entry.connection !== this.#connection)
    this.#unfinished.clear()
    for (const entry of [...seen, ...rest]) this.#unfinished.set(entry.id, entry)
  }

  #complete(id: number): Packet {
    this.#unfinished.delete(id)
    this.#releasedHere.delete(id)
    return { cmd: 'pubcomp', messageId: id }
  }

  #checkOrder(packet: IPublishPacket, known: Unfinished | undefined): void {
    const id = packet.messageId ?? 0
    if (known?.phase === 'received') {
      if (this.#expected[0] !== known) this.#violated('repeated messages come in their original order [MQTT-4.6.0-1]', id)
      this.#expected.shift()
    }
    if (packet.dup) return
    this.#freshSeen = true
    const missing = this.#expected[0]
    if (missing !== undefined) this.#violated(`${missing.payload} (id ${missing.id}) must be repeated before anything new`, id)
  }

  /** Messages of this connection that the server must count against the receive maximum. */
  #openHere(): number {
    let count = 0
    for (const entry of this.#unfinished.values()) if (entry.connection === this.#connection) count++
    return count
  }

  #violated(rule: string, id: number): never {
    const state = `session present ${this.#present}, server died ${this.#serverDied}, connection ${this.#connection}`
    throw new SimFailure(`server to ${this.#client}, packet id ${id}: ${rule} (${state})`)
  }
}
