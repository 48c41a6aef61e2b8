// SPDX-License-Identifier: Apache-2.0
// The delivery oracle (T16): knows what every client has sent, asked for and got, and says what is lost, doubled, out of order or invented.
//
//   must arrive      acknowledged, QoS 1 or 2 on both sides, and the subscription was effective before the publish began and has lasted
//   exactly once     QoS 2 on both sides: one copy for each matching filter and session
//   in order         first arrivals of one publisher, topic and QoS, within a session; delayed ones have no order
//   never            what was not sent, what was refused, the will of a client that said goodbye or is back in time, a will or a delayed message before its
//                    time, a message after its lifetime, a lifetime longer than what is left of it
import type { ClientObserver, ConnectionEnd, DeliveredMessage, Qos, ServerHistory, TestMessage } from '../client-observer.ts'
import { SimFailure } from '../world.ts'
import { HistoryChecker } from './history-checker.ts'
import { Lifetimes } from './lifetimes.ts'
import { RetainedChecker } from './retained-checker.ts'
import type { ShareChecker } from './share-checker.ts'
import { type SubscriptionLife, SubscriptionModel, within } from './subscription-model.ts'
import { WillChecker } from './will-checker.ts'

interface Tracked {
  readonly message: TestMessage
  outcome: 'unknown' | 'acknowledged' | 'refused'
  repeats: number
  /** Who must get it, if it is acknowledged and the subscription lasts. */
  wanted: readonly SubscriptionLife[]
  /** Of a delayed message: it must not come before. */
  readonly dueMs: number | undefined
}

/** What one client got of one message in one session. */
interface Receipt {
  live: number
  /** Of these, at QoS 2. */
  exact: number
  /** Of these, without DUP. */
  fresh: number
  /** The server's deaths at the first one. */
  readonly deaths: number
}

/** A server counts in whole milliseconds. */
const CLOCK_MS = 1

export class DeliveryOracle implements ClientObserver {
  readonly retained = new RetainedChecker()
  readonly history: HistoryChecker
  readonly #lifetimes = new Lifetimes()
  readonly #wills: WillChecker
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
  #lastDueMs = 0
  #deliveries = 0

  constructor(server: ServerHistory, nowMs: () => number) {
    this.#server = server
    this.#nowMs = nowMs
    this.history = new HistoryChecker(this.#messages, this.#lifetimes)
    this.#wills = new WillChecker(server, nowMs)
  }

  get deliveries(): number {
    return this.#deliveries
  }

  get published(): number {
    return this.#messages.size
  }

  connectSent(client: string): void {
    this.#wills.connectSent(client)
  }

  sessionResumed(client: string): void {
    this.#wills.resumed(client)
  }

  sessionBegan(client: string): void {
    const due = this.#wills.ended(client)
    if (due !== undefined) this.#settle(due, 'acknowledged')
    this.sessionEnded(client)
    this.#receipts.delete(client)
    this.#sequences.delete(client)
  }

  sessionEnded(client: string): void {
    this.#subscriptions.sessionEnded(client)
  }

  publishBegan(message: TestMessage): void {
    this.#now++
    this.#lifetimes.began(message, this.#nowMs())
    if (message.retain) this.retained.began(message, this.#now, this.#nowMs())
    for (const share of this.shares) share.began(message, true)
    if (message.payload === '') this.#removedTopics.add(message.topic)
    else this.#track(message, this.#subscriptions.effectiveFor(message.topic, message.qos))
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
    this.#lifetimes.acknowledged(message, this.#nowMs())
    if (message.retain) this.retained.acknowledged(message, this.#now, this.#nowMs())
    for (const share of this.shares) share.acknowledged(message)
    this.#settle(message, 'acknowledged')
  }

  publishRefused(message: TestMessage): void {
    // That a repetition was not stored says nothing of the first sending.
    if ((this.#messages.get(message.payload)?.repeats ?? 0) > 0) return
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

  willSent(client: string, will: TestMessage, delaySeconds: number): void {
    for (const share of this.shares) share.began(will, false)
    this.#wills.sent(client, will, delaySeconds)
    this.#track(will, [])
  }

  willArmed(will: TestMessage): void {
    const tracked = this.#messages.get(will.payload)
    if (tracked === undefined) return
    this.#wills.armed(will)
    // The server may see the end of the connection, and publish the will, long before the client does.
    tracked.wanted = this.#subscriptions.effectiveFor(will.topic, will.qos)
  }

  willReleased(client: string, will: TestMessage, how: ConnectionEnd): void {
    if (this.#wills.released(client, will, how)) this.#settle(will, 'acknowledged')
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
    const broken = this.#wills.violation(message) ?? this.#lifetimes.violation(message, delivered, this.#nowMs())
    if (broken !== undefined) this.#violated(client, delivered, broken)
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
      if (outcome !== 'acknowledged' || this.#lifetimes.mayBeOver(message, this.#nowMs())) continue
      for (const life of wanted) {
        if (!life.ended && life.qosMin > 0 && !this.#arrived.get(life.client)?.has(message.payload)) visit(message, life)
      }
    }
  }

  /** When the last delayed message is due, as far as its sender knows: it may have come to the server later. */
  get lastDueMs(): number {
    return this.#lastDueMs
  }

  #track(message: TestMessage, wanted: readonly SubscriptionLife[]): void {
    if (this.#messages.has(message.payload)) throw new SimFailure(`the workload sent ${message.payload} twice as a new message`)
    const dueMs = message.delaySeconds === undefined ? undefined : this.#nowMs() + message.delaySeconds * 1000 - CLOCK_MS
    this.#lastDueMs = Math.max(this.#lastDueMs, dueMs ?? 0)
    this.#messages.set(message.payload, { message, outcome: 'unknown', repeats: 0, wanted, dueMs })
  }

  #settle(message: TestMessage, outcome: 'acknowledged' | 'refused'): void {
    const tracked = this.#messages.get(message.payload)
    if (tracked !== undefined) tracked.outcome = outcome
  }

  #receive(client: string, delivered: DeliveredMessage, tracked: Tracked, copiesMax: number): void {
    const { message } = tracked
    within(this.#arrived, client, () => new Set<string>()).add(message.payload)
    const receipts = within(this.#receipts, client, () => new Map<string, Receipt>())
    const receipt = within(receipts, message.payload, () => ({ live: 0, exact: 0, fresh: 0, deaths: this.#server.deaths }))
    receipt.live++
    if (delivered.qos === 2) receipt.exact++
    if (!delivered.duplicate) receipt.fresh++
    if (receipt.live === 1) this.#checkOrder(client, delivered, tracked)
    const atMostOnce = message.qos !== 1 && delivered.qos === 0
    // A copy at QoS 1 before the server died does not count: it may come again, at the QoS that the subscription has by then.
    const copies = delivered.qos === 2 ? receipt.exact : atMostOnce ? receipt.live : 0
    if (copies > copiesMax) this.#violated(client, delivered, `copy ${copies}, but ${copiesMax} can match`)
    // QoS 1: a repeated publish, or a server that lost its process, may double it; anything else that is sent again has DUP.
    const doubled = message.qos === 1 && tracked.repeats > 0
    if (!doubled && receipt.deaths === this.#server.deaths && receipt.fresh > copiesMax) {
      this.#violated(client, delivered, `copy ${receipt.fresh} without DUP, but ${copiesMax} can match`)
    }
  }

  /** First arrivals come in the order of sending [MQTT-4.6.0-5]. Of a repeated publish, the first may have been before the subscription, or may have expired. */
  #checkOrder(client: string, delivered: DeliveredMessage, { message, repeats, wanted }: Tracked): void {
    if (message.delaySeconds !== undefined) return
    const wasWanted = wanted.some((life) => life.client === client && !life.ended)
    if (repeats > 0 && (!wasWanted || this.#lifetimes.mayBeOver(message, this.#nowMs()))) return
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
