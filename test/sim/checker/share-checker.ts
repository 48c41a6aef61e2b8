// SPDX-License-Identifier: Apache-2.0
// Whether a shared group gets what it is owed (Q17): each acknowledged message of QoS 1 or 2 reaches some member, over crashes, takeovers and leaves.
//
//   must arrive      acknowledged, QoS 1 or 2, and since the publish began the group has had the session of one member, which is to last
//   exactly once     at QoS 2: one member in all, whatever happens; at QoS 0: one member, or none
//   only once        at QoS 1 in a run without faults, unless the publish was repeated
import { matches } from '#base/topic-filter'
import type { ClientObserver, DeliveredMessage, Qos, ServerHistory, TestMessage } from '../client-observer.ts'
import { SimFailure } from '../world.ts'

interface Tracked {
  readonly message: TestMessage
  /** It must reach somebody, once it is acknowledged. */
  wanted: boolean
  acknowledged: boolean
  repeats: number
  arrivals: number
  arrivalsAtQos2: number
}

export class ShareChecker implements ClientObserver {
  /** What members subscribe to. */
  readonly name: string
  readonly #filter: string
  /** The member whose session and subscription last, unless a clean start that was not answered makes it begin another one. */
  readonly #keeper: string
  readonly #server: ServerHistory
  readonly #messages = new Map<string, Tracked>()
  /** Granted at most, by member. */
  readonly #qos = new Map<string, Qos>()
  /** No member leaves, and nothing fails. */
  readonly #calm: boolean
  #effective = false

  constructor(group: string, filter: string, keeper: string, calm: boolean, server: ServerHistory) {
    this.name = `$share/${group}/${filter}`
    this.#filter = filter
    this.#keeper = keeper
    this.#calm = calm
    this.#server = server
  }

  // ---- publishers

  /** `isCertain`: once acknowledged, it is published. Of a will, that is not known. */
  began(message: TestMessage, isCertain: boolean): void {
    if (message.payload === '' || !matches(this.#filter, message.topic)) return
    const wanted = this.#effective && isCertain && message.qos > 0 && message.expirySeconds === undefined
    this.#messages.set(message.payload, { message, wanted, acknowledged: false, repeats: 0, arrivals: 0, arrivalsAtQos2: 0 })
  }

  repeated(message: TestMessage): void {
    const tracked = this.#messages.get(message.payload)
    if (tracked !== undefined) tracked.repeats++
  }

  acknowledged(message: TestMessage): void {
    const tracked = this.#messages.get(message.payload)
    if (tracked !== undefined) tracked.acknowledged = true
  }

  // ---- members

  subscribeSent(client: string, _filter: string, qos: Qos): void {
    this.#qos.set(client, qos)
  }

  subscribed(client: string): void {
    if (client === this.#keeper) this.#effective = true
  }

  sessionBegan(client: string): void {
    this.#ended(client)
  }

  sessionEnded(client: string): void {
    this.#ended(client)
  }

  delivered(client: string, delivered: DeliveredMessage): void {
    const { topic, payload, qos, duplicate, retain } = delivered
    if (retain) this.#violated(client, delivered, 'it has RETAIN, which nobody asked to keep [MQTT-3.3.1-12]')
    if (!matches(this.#filter, topic)) this.#violated(client, delivered, `the group is for ${this.#filter}`)
    if (payload === '') return
    const tracked = this.#messages.get(payload)
    if (tracked === undefined) this.#violated(client, delivered, 'nobody sent it')
    const { message, repeats } = tracked
    if (qos > message.qos || qos > (this.#qos.get(client) ?? 0))
      this.#violated(client, delivered, 'its QoS is higher than granted or published')
    tracked.arrivals++
    if (qos === 2 && ++tracked.arrivalsAtQos2 > 1)
      this.#violated(client, delivered, 'another member had it at QoS 2 [MQTT-4.8.2-4] [MQTT-4.8.2-5]')
    if (message.qos === 0 && tracked.arrivals > 1) this.#violated(client, delivered, 'another member had it at QoS 0')
    if (this.#calm && this.#server.deaths === 0 && repeats === 0 && !duplicate && tracked.arrivals > 1)
      this.#violated(client, delivered, 'another member had it, and none has left')
  }

  get missingCount(): number {
    return this.#missing().length
  }

  missing(countMax: number): readonly string[] {
    return this.#missing()
      .slice(0, countMax)
      .map(({ message: { payload, qos, topic } }) => `${payload} (QoS ${qos}, ${topic}) never reached a member of ${this.name}`)
  }

  // ---- of no concern to a group

  connectSent(): void {}
  sessionResumed(): void {}
  publishBegan(): void {}
  publishRepeated(): void {}
  publishAcknowledged(): void {}
  publishRefused(): void {}
  unsubscribeSent(): void {}
  willSent(): void {}
  willArmed(): void {}
  willReleased(): void {}

  /** What nobody has taken yet may have gone with the last session of the group. */
  #ended(client: string): void {
    if (client !== this.#keeper) return
    this.#effective = false
    for (const tracked of this.#messages.values()) tracked.wanted = false
  }

  #missing(): readonly Tracked[] {
    return [...this.#messages.values()].filter(({ wanted, acknowledged, arrivals }) => wanted && acknowledged && arrivals === 0)
  }

  #violated(client: string, { topic, payload, qos, duplicate }: DeliveredMessage, rule: string): never {
    throw new SimFailure(`${client} of ${this.name} got ${payload} on ${topic} (QoS ${qos}, DUP ${duplicate}): ${rule}`)
  }
}
