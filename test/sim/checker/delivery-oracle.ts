// SPDX-License-Identifier: Apache-2.0
// The delivery oracle (T16): knows what every client has sent, asked for and got, and says what is lost, doubled, out of order or invented.
//
//   must arrive      acknowledged, QoS 1 or 2 on both sides, and the subscription was effective before the publish began and has lasted
//   exactly once     QoS 2 on both sides: one copy for each matching filter and session
//   in order         first arrivals of one publisher, topic and QoS, within a session; delayed ones have no order
//   never            what was not sent, what was refused, the will of a client that said goodbye, a delayed message before its time
import type { ClientObserver, DeliveredMessage, Qos, ServerHistory, TestMessage } from '../client-observer.ts'
import { SimFailure } from '../world.ts'
import { RetainedChecker } from './retained-checker.ts'
import type { ShareChecker } from './share-checker.ts'
import { type SubscriptionLife, SubscriptionModel, within } from './subscription-model.ts'

interface Tracked {
  readonly message: TestMessage
  outcome: 'unknown' | 'acknowledged' | 'refused'
  repeats: number
  /** Who must get it, if it is acknowledged and the subscription lasts. */
  wanted: readonly SubscriptionLife[]
  readonly will: TrackedWill | undefined
  /** Of a delayed message: it must not come before. */
  readonly dueMs: number | undefined
}

interface TrackedWill {
  /** Published without fail once the connection is lost; otherwise a reconnect in time may cancel it. */
  readonly certain: boolean
  /** Which life of the server confirmed the connection; undefined when none is known to have. */
  armed: number | undefined
  released: 'farewell' | 'lost' | undefined
}

/** What one client got of one message in one session. */
interface Receipt {
  live: number
  /** Of these, without DUP. */
  fresh: number
  /** The server's deaths at the first one. */
  readonly deaths: number
}

/** A server counts in whole milliseconds. */
const CLOCK_MS = 1

export class DeliveryOracle implements ClientObserver {
  readonly retained = new RetainedChecker()
  /** The groups that get the same messages. */
  readonly shares: ShareChecker[] = []
  readonly #server: ServerHistory
  readonly #nowMs: () => number
  readonly #subscriptions = new SubscriptionModel()
  readonly #messages = new Map<string, Tracked>()
  /** By client, then by payload. Of the present session. */
  readonly #receipts = new Map<string, Map<string, Receipt>>()
  /** Who has ever got what, by client. */
  readonly #arrived = new Map<string, Set<string>>()
  /** Highest sequence that arrived, by client, then by publisher, topic and QoS. */
  readonly #sequences = new Map<string, Map<string, number>>()
  readonly #removedTopics = new Set<string>()
  #now = 0
  #deliveries = 0

  constructor(server: ServerHistory, nowMs: () => number) {
    this.#server = server
    this.#nowMs = nowMs
  }

  get deliveries(): number {
    return this.#deliveries
  }

  get published(): number {
    return this.#messages.size
  }

  sessionBegan(client: string): void {
    this.sessionEnded(client)
    this.#receipts.delete(client)
    this.#sequences.delete(client)
  }

  sessionEnded(client: string): void {
    this.#subscriptions.sessionEnded(client)
  }

  publishBegan(message: TestMessage): void {
    this.#now++
    if (message.retain) this.retained.began(message, this.#now)
    for (const share of this.shares) share.began(message, true)
    if (message.payload === '') this.#removedTopics.add(message.topic)
    else this.#track(message, this.#subscriptions.effectiveFor(message.topic, message.qos), undefined)
  }

  publishRepeated(message: TestMessage): void {
    this.#now++
    if (message.retain) this.retained.repeated(message, this.#now)
    for (const share of this.shares) share.repeated(message)
    const tracked = this.#messages.get(message.payload)
    if (tracked !== undefined) tracked.repeats++
  }

  publishAcknowledged(message: TestMessage): void {
    this.#now++
    if (message.retain) this.retained.acknowledged(message, this.#now)
    for (const share of this.shares) share.acknowledged(message)
    this.#settle(message, 'acknowledged')
  }

  publishRefused(message: TestMessage): void {
    if (message.retain) this.retained.refused(message)
    this.#settle(message, 'refused')
  }

  subscribeSent(client: string, filter: string, qos: Qos): void {
    this.#subscriptions.sent(client, filter, qos)
  }

  subscribed(client: string, filter: string): void {
    this.#subscriptions.granted(client, filter)
  }

  unsubscribeSent(client: string, filter: string): void {
    this.#subscriptions.unsubscribed(client, filter)
  }

  willSent(will: TestMessage, certain: boolean): void {
    for (const share of this.shares) share.began(will, false)
    this.#track(will, [], { certain, armed: undefined, released: undefined })
  }

  willArmed(will: TestMessage): void {
    const tracked = this.#messages.get(will.payload)
    if (tracked?.will === undefined) return
    tracked.will.armed = this.#server.lives
    // The server may see the end of the connection, and publish the will, long before the client does.
    tracked.wanted = this.#subscriptions.effectiveFor(will.topic, will.qos)
  }

  willReleased(message: TestMessage, how: 'farewell' | 'lost'): void {
    const tracked = this.#messages.get(message.payload)
    const will = tracked?.will
    if (tracked === undefined || will === undefined) return
    will.released = how
    if (how === 'farewell' || will.armed === undefined || !will.certain) return
    tracked.outcome = 'acknowledged'
  }

  delivered(client: string, delivered: DeliveredMessage): void {
    this.#deliveries++
    const { topic, payload, qos } = delivered
    const copiesMax = this.#subscriptions.copiesMax(client, topic)
    if (copiesMax === 0) this.#violated(client, delivered, 'the client never asked for this topic')
    if (payload === '') {
      if (!this.#removedTopics.has(topic)) this.#violated(client, delivered, 'nobody published an empty payload there')
      return
    }
    const tracked = this.#messages.get(payload)
    if (tracked === undefined) this.#violated(client, delivered, 'nobody sent it')
    const { message } = tracked
    if (message.topic !== topic) this.#violated(client, delivered, `it was published to ${message.topic}`)
    if (qos > message.qos) this.#violated(client, delivered, `it was published with QoS ${message.qos}`)
    if (delivered.retain && !message.retain) this.#violated(client, delivered, 'it was not published with RETAIN')
    if (tracked.outcome === 'refused') this.#violated(client, delivered, 'its publish was refused, so it is certainly not stored (Q2)')
    this.#checkWill(client, delivered, tracked)
    if (tracked.dueMs !== undefined && this.#nowMs() < tracked.dueMs) this.#violated(client, delivered, 'it is delayed, and came early')
    if (!delivered.retain) this.#receive(client, delivered, tracked, copiesMax)
  }

  /** How many deliveries are still owed. */
  get missingCount(): number {
    let count = 0
    this.#eachMissing(() => count++)
    return this.shares.reduce((sum, share) => sum + share.missingCount, count)
  }

  /** The first so many of them, as sentences. */
  missing(countMax: number): readonly string[] {
    const sentences: string[] = []
    this.#eachMissing(({ payload, qos, topic }, { client, filter }) => {
      if (sentences.length < countMax) sentences.push(`${payload} (QoS ${qos}, ${topic}) never reached ${client}, subscribed to ${filter}`)
    })
    return [...sentences, ...this.shares.flatMap((share) => share.missing(countMax - sentences.length))]
  }

  #eachMissing(visit: (message: TestMessage, life: SubscriptionLife) => void): void {
    for (const { message, outcome, wanted } of this.#messages.values()) {
      if (outcome !== 'acknowledged') continue
      for (const life of wanted) {
        if (!life.ended && life.qosMin > 0 && !this.#arrived.get(life.client)?.has(message.payload)) visit(message, life)
      }
    }
  }

  #track(message: TestMessage, wanted: readonly SubscriptionLife[], will: TrackedWill | undefined): void {
    if (this.#messages.has(message.payload)) throw new SimFailure(`the workload sent ${message.payload} twice as a new message`)
    const dueMs = message.delaySeconds === undefined ? undefined : this.#nowMs() + message.delaySeconds * 1000 - CLOCK_MS
    this.#messages.set(message.payload, { message, outcome: 'unknown', repeats: 0, wanted, will, dueMs })
  }

  #settle(message: TestMessage, outcome: 'acknowledged' | 'refused'): void {
    const tracked = this.#messages.get(message.payload)
    if (tracked !== undefined) tracked.outcome = outcome
  }

  #checkWill(client: string, delivered: DeliveredMessage, { will }: Tracked): void {
    // A server may see the end of a connection before its client does, so an early will is no violation.
    const cancelled = will?.released === 'farewell' && will.armed === this.#server.lives
    if (cancelled) this.#violated(client, delivered, 'the will of a client that said goodbye [MQTT-3.14.4-3]')
  }

  #receive(client: string, delivered: DeliveredMessage, tracked: Tracked, copiesMax: number): void {
    const { message } = tracked
    within(this.#arrived, client, () => new Set<string>()).add(message.payload)
    const receipts = within(this.#receipts, client, () => new Map<string, Receipt>())
    const receipt = within(receipts, message.payload, () => ({ live: 0, fresh: 0, deaths: this.#server.deaths }))
    receipt.live++
    if (!delivered.duplicate) receipt.fresh++
    if (receipt.live === 1) this.#checkOrder(client, delivered, tracked)
    const exactlyOnce = delivered.qos === 2 || (message.qos !== 1 && delivered.qos === 0)
    if (exactlyOnce && receipt.live > copiesMax) this.#violated(client, delivered, `copy ${receipt.live}, but ${copiesMax} can match`)
    // QoS 1: a repeated publish, or a server that lost its process, may double it; anything else that is sent again has DUP.
    const doubled = message.qos === 1 && tracked.repeats > 0
    if (!doubled && receipt.deaths === this.#server.deaths && receipt.fresh > copiesMax) {
      this.#violated(client, delivered, `copy ${receipt.fresh} without DUP, but ${copiesMax} can match`)
    }
  }

  /** First arrivals come in the order of sending [MQTT-4.6.0-5]. Of a repeated publish, the first may have been before the subscription. */
  #checkOrder(client: string, delivered: DeliveredMessage, { message, repeats, wanted }: Tracked): void {
    if (message.delaySeconds !== undefined) return
    if (repeats > 0 && !wanted.some((life) => life.client === client)) return
    const sequences = within(this.#sequences, client, () => new Map<string, number>())
    const flow = `${message.publisher} ${message.topic} ${message.qos} ${delivered.qos}`
    const before = sequences.get(flow) ?? -1
    if (message.sequence < before) this.#violated(client, delivered, `it came after sequence ${before} of the same flow (Q18)`)
    sequences.set(flow, message.sequence)
  }

  #violated(client: string, delivered: DeliveredMessage, rule: string): never {
    const { topic, payload, qos, duplicate, retain } = delivered
    throw new SimFailure(`${client} got ${payload} on ${topic} (QoS ${qos}, DUP ${duplicate}, RETAIN ${retain}): ${rule}`)
  }
}
