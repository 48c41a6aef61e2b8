// SPDX-License-Identifier: Apache-2.0
// The state of one session while its client is connected, and the rules by which messages reach the client. What each packet of the
// client does to it is in the file named after the packet.

import { matches } from '#base/topic-filter'
import type { AppendOutcome, LogId, Position } from '#contract/client/engine-client'
import type { RetainedValue } from '#contract/client/meta-client'
import { ATTRIBUTE, type RecordBatch, type RecordCursor } from '#contract/record/record-batch'
import type { Cursor, InFlight, Session, Subscription } from '#contract/record/session'
import type { Shard } from '#storage'
import { Consumer, type Outlet } from '../../message/consumer.ts'
import type { CursorSource } from '../../message/cursor-saver.ts'
import type { PublishOwner } from '../../message/publish.ts'
import type { RetainedFeed, RetainedOutlet } from '../../message/retained-feed.ts'
import { type Claim, mergeClaims, type Subscriber, type Target } from '../../message/subscription-table.ts'
import { PACKET, REASON } from '../../protocol/mqtt/index.ts'
import { ChangeQueue } from './change-queue.ts'
import type { BrokerContext } from './context.ts'
import { HeldPackets } from './held-packets.ts'
import { InboundReleases } from './inbound-releases.ts'
import { InboundWindow } from './inbound-window.ts'
import type { Link } from './link.ts'
import { OutboundWindow } from './outbound-window.ts'
import { Resender, type ResendOutlet, type Unsent } from './resender.ts'
import type { RegisteredSession } from './session-registry.ts'

/** What is remembered from one PUBLISH of a connection to the next. */
export interface Intake {
  /** The topic of the last PUBLISH, and where it goes: clients repeat themselves. */
  lastTopic: string
  lastShard: Shard | undefined
  /** Topic aliases that the client has set [MQTT-3.3.2-7]. */
  readonly aliases: Map<number, Shard>
}

const READ_BYTES_MIN = 4 * 1024
const READ_BYTES_MAX = 256 * 1024
/** Bytes of log to read for each message that there is room for. */
const READ_BYTES_EACH = 512

export class SessionCore implements Subscriber, Outlet, ResendOutlet, RetainedOutlet, PublishOwner, CursorSource, RegisteredSession {
  readonly context: BrokerContext
  readonly link: Link
  readonly uid: number
  readonly epoch: number
  readonly intake: Intake = { lastTopic: '', lastShard: undefined, aliases: new Map() }
  readonly inbound = new InboundWindow()
  readonly releases = new InboundReleases()
  readonly outbound: OutboundWindow
  readonly subscriptions = new Map<string, Subscription>()
  readonly consumer: Consumer
  #record: Session
  #feeds: RetainedFeed[] = []
  readonly #resender: Resender
  readonly #held: HeldPackets
  readonly #changes = new ChangeQueue((error) => this.failed(error))
  #closing: Promise<void> | undefined

  constructor(context: BrokerContext, link: Link, record: Session, windowLimit: number) {
    this.context = context
    this.link = link
    this.uid = record.uid
    this.epoch = record.epoch
    this.#record = record
    this.outbound = new OutboundWindow(windowLimit)
    this.consumer = new Consumer(context.store, this)
    this.#resender = new Resender(context.store, this)
    this.#held = new HeldPackets(
      context.clock,
      () => context.saver.saveNow(this),
      (bytes) => link.sendBytes(bytes),
      (error) => this.failed(error),
    )
  }

  get clientId(): string {
    return this.#record.clientId
  }

  get record(): Session {
    return this.#record
  }

  /** The session outlives the connection: what is in flight must be kept. */
  get persistent(): boolean {
    return this.#record.expirySeconds > 0
  }

  /** The client's farewell may change how long the session lives [MQTT-3.14.2-2]. */
  setExpiry(expirySeconds: number): void {
    this.#record = { ...this.#record, expirySeconds: Math.min(expirySeconds, this.context.config.sessionExpiryMaxSeconds) }
  }

  // ---- messages to the client

  deliver(target: Target, log: LogId, batch: RecordBatch, cursor: RecordCursor): void {
    const claim = cursor.publisher === this.uid ? target.own : target
    if (claim === undefined) return
    if (cursor.retain) for (const feed of this.#feeds) feed.touch(batch.topics[cursor.topic] as string)
    if (claim.qos > 0 && cursor.qos > 0) this.consumer.live(target, log, batch, cursor)
    else if (!this.consumer.liveQos0(log, cursor.position)) return
    else if (this.link.writable) this.#send(claim, batch, cursor, 0, 0, false)
    else this.context.metrics.droppedQueueFull.add(1)
  }

  offer(target: Target, log: LogId, batch: RecordBatch, cursor: RecordCursor): boolean {
    const claim = cursor.publisher === this.uid ? target.own : target
    if (claim === undefined) return true
    // Its time ran out while it waited in the log [MQTT-3.3.2-5].
    if (cursor.expiryMs !== 0 && cursor.expiryMs <= this.context.clock.realtime()) return true
    const qos = Math.min(claim.qos, cursor.qos)
    if (qos === 0) {
      if (!this.link.writable) return false
      this.#send(claim, batch, cursor, 0, 0, false)
      return true
    }
    if (this.outbound.full || !this.link.roomy || this.#resender.pending) return false
    const packetId = this.outbound.push(log, cursor.position, qos as 1 | 2)
    if (!this.#send(claim, batch, cursor, qos, packetId, false)) this.outbound.finish(packetId)
    return true
  }

  offerRetained(subscription: Subscription, value: RetainedValue): boolean {
    const { publisher, qos: stored } = value
    if (subscription.noLocal && publisher === this.uid) return true
    const qos = Math.min(subscription.qos, stored)
    if (!this.link.roomy || (qos > 0 && (this.outbound.full || this.#resender.pending))) return false
    const packetId = qos === 0 ? 0 : this.outbound.push(value.log, value.position, qos as 1 | 2)
    const identifiers = subscription.identifier === 0 ? NO_IDENTIFIERS : [subscription.identifier]
    const bytes = this.link.encodeRetained(value, qos, packetId, identifiers)
    if (bytes === undefined) {
      if (qos > 0) this.outbound.finish(packetId)
      return true
    }
    this.#release(bytes, qos)
    return true
  }

  /** Sends a record; false when it is too large for the client, which counts as done. */
  #send(claim: Claim, batch: RecordBatch, cursor: RecordCursor, qos: number, packetId: number, duplicate: boolean): boolean {
    const retain = claim.retainAsPublished && cursor.retain
    if (!this.#mustWait(qos)) {
      if (qos > 0 && this.persistent) this.context.saver.mark(this)
      return this.link.sendRecord(batch, cursor, qos, packetId, duplicate, retain, claim.identifiers)
    }
    const bytes = this.link.encodeRecord(batch, cursor, qos, packetId, duplicate, retain, claim.identifiers)
    if (bytes === undefined) return false
    this.sendCommitted(bytes)
    return true
  }

  /**
   * The packet id of a QoS 2 message is committed before it is used, so that any broker can go on with it (D5). QoS 1 messages do not overtake
   * those that wait: what is in flight is sent again in the order of sending [MQTT-4.6.0-1].
   */
  #mustWait(qos: number): boolean {
    return this.persistent && (qos === 2 || (qos === 1 && this.#held.waiting))
  }

  #release(bytes: Buffer, qos: number): void {
    if (this.#mustWait(qos)) this.sendCommitted(bytes)
    else {
      if (qos === 1 && this.persistent) this.context.saver.mark(this)
      this.link.sendBytes(bytes)
    }
  }

  /** Sends a packet once the state of the session as it is now is committed. Of a session that ends with its connection, at once. */
  sendCommitted(bytes: Buffer): void {
    if (this.persistent) this.#held.add(bytes)
    else this.link.sendBytes(bytes)
  }

  /** A message is finished, or the socket has drained: goes on with whatever waited for room. */
  resume(): void {
    if (this.#closing !== undefined) return
    if (this.#resender.pending) {
      void this.#resender.run()
      return
    }
    if (this.outbound.counted > this.outbound.limit >> 1) return
    for (const feed of this.#feeds) feed.resume()
    this.consumer.resume()
  }

  /** Runs changes of the subscriptions one after the other, in the order in which the client asked. False when too many wait. */
  enqueue(change: () => Promise<void>): boolean {
    return this.#changes.add(change)
  }

  get closed(): boolean {
    return this.#closing !== undefined
  }

  // ---- the consumer's questions

  filters(): readonly string[] {
    return [...this.subscriptions.values()].filter(({ qos }) => qos > 0 || this.storesQos0).map(({ filter }) => filter)
  }

  get storesQos0(): boolean {
    return this.context.config.storeQos0
  }

  claim(topic: string, log: LogId, position: Position): Target | undefined {
    const mine: Subscription[] = []
    for (const subscription of this.subscriptions.values()) {
      if (!matches(subscription.filter, topic)) continue
      const since = subscription.since.find((begin) => begin.log === log)
      if (since === undefined || since.position <= position) mine.push(subscription)
    }
    return mine.length === 0 ? undefined : mergeClaims(this, mine)
  }

  appetiteBytes(): number {
    const room = this.appetite
    return Math.min(Math.max(room * READ_BYTES_EACH, READ_BYTES_MIN), READ_BYTES_MAX)
  }

  get appetite(): number {
    return this.outbound.limit - this.outbound.counted
  }

  missed(log: LogId, from: Position, to: Position): void {
    this.context.metrics.droppedRetention.add(to - from)
    this.context.logger.log('warn', 'records were removed by retention before the session read them', {
      client: this.clientId,
      log,
      from,
      to,
    })
  }

  failed(error: unknown): void {
    this.link.fail(error)
  }

  // ---- retained messages for new subscriptions

  startFeed(feed: RetainedFeed): void {
    this.#feeds.push(feed)
    feed.resume()
  }

  /** The subscription is gone, or replaced. */
  stopFeed(filter: string): void {
    for (const feed of this.#feeds) if (feed.filter === filter) feed.close()
    this.#feeds = this.#feeds.filter((feed) => feed.filter !== filter)
  }

  feedDone(feed: RetainedFeed): void {
    this.#feeds = this.#feeds.filter((other) => other !== feed)
  }

  // ---- an earlier connection's state

  /** Takes up the cursors of an earlier connection. What is in flight is sent again by `resume`, before anything else. */
  restore(cursors: readonly Cursor[]): void {
    const starts = new Map<LogId, { next: Position; seen: Position }>()
    for (const subscription of this.subscriptions.values()) {
      for (const { log, position } of subscription.since) {
        const next = Math.min(starts.get(log)?.next ?? position, position)
        starts.set(log, { next, seen: next })
      }
    }
    const unsent: Unsent[] = []
    for (const { log, next, seen, inFlight } of cursors) {
      starts.set(log, { next, seen })
      for (const entry of inFlight) unsent.push({ ...entry, log })
    }
    unsent.sort((a, b) => a.order - b.order)
    for (const entry of unsent) this.outbound.restore(entry, entry.log)
    this.#resender.load(unsent)
    for (const [log, { next, seen }] of starts) this.consumer.restore(log, next, seen)
  }

  room(unsent: number): number {
    return this.outbound.limit - (this.outbound.counted - unsent)
  }

  resendRelease(packetId: number): void {
    this.link.sendAck(PACKET.pubrel, packetId, REASON.success)
  }

  resendRecord({ log, position, packetId, qos }: Unsent, batch: RecordBatch, cursor: RecordCursor): boolean {
    const topic = batch.topics[cursor.topic] as string
    const claim = this.claim(topic, log, position)
    // A record from before the subscription was sent as a retained message.
    const retain = cursor.retain && (claim === undefined || claim.retainAsPublished)
    const { identifiers } = claim ?? this.claim(topic, log, Number.POSITIVE_INFINITY) ?? { identifiers: NO_IDENTIFIERS }
    return this.link.sendRecord(batch, cursor, qos, packetId, true, retain, identifiers)
  }

  abandon({ packetId }: Unsent): void {
    this.outbound.finish(packetId)
    this.context.saver.mark(this)
  }

  resent(): void {
    this.resume()
  }

  // ---- messages from the client

  published(tag: number, outcome: AppendOutcome): void {
    if (this.#closing !== undefined) return
    if (outcome.kind === 'unknown') {
      this.link.fail(new Error('a message may or may not have been stored'))
      return
    }
    this.inbound.settle(tag, outcome.kind === 'appended' ? REASON.success : REASON.quotaExceeded)
    this.drainInbound()
  }

  /** Answers, in order, all messages that can be answered. */
  drainInbound(): void {
    const { inbound } = this
    while (inbound.ready) {
      const { packetId, type, reasonCode } = inbound
      inbound.shift()
      if (type === PACKET.pubrec) {
        const release = this.releases.get(packetId)
        if (reasonCode !== REASON.success) this.releases.end(packetId)
        else if (release !== undefined) {
          release.stored = true
          for (const tag of release.repeated.splice(0)) inbound.settle(tag, REASON.success)
        }
      }
      if (!this.link.sendAck(type, packetId, reasonCode)) return
    }
  }

  // ---- persistence and the end

  cursors(): readonly Cursor[] {
    const byLog = new Map<LogId, { log: LogId; next: Position; seen: Position; inFlight: InFlight[] }>()
    const begin = (log: LogId, next: Position) => {
      const cursor = { log, next, seen: this.context.store.extent(log).end, inFlight: [] }
      byLog.set(log, cursor)
      return cursor
    }
    for (const { log, next } of this.consumer.positions()) begin(log, next)
    for (const { log, ...entry } of this.outbound.entries()) {
      const cursor = byLog.get(log) ?? begin(log, this.context.store.extent(log).end)
      cursor.inFlight.push(entry)
    }
    return [...byLog.values()].filter(({ log }) => this.context.durableLogs.has(log))
  }

  takenOver(): Promise<void> {
    this.link.takenOver()
    return this.close(true)
  }

  /** Ends the connection's part in the session: nothing is delivered any more, and meta knows how far it got. Resolves when that is committed. */
  close(keepWill: boolean): Promise<void> {
    this.#closing ??= this.#close(keepWill)
    return this.#closing
  }

  async #close(keepWill: boolean): Promise<void> {
    const { context } = this
    for (const feed of this.#feeds) feed.close()
    this.consumer.close()
    this.#resender.close()
    this.#held.drop()
    this.#changes.close()
    for (const filter of this.subscriptions.keys()) {
      context.table.remove(this, filter)
      context.store.deregister(filter)
    }
    try {
      if (this.persistent) await context.saver.saveNow(this)
      await context.away.leave(this.#record, keepWill)
    } catch (error) {
      context.logger.log('error', 'a session could not be closed; it is closed when the node starts again', {
        client: this.clientId,
        error: String(error),
      })
    } finally {
      context.saver.forget(this)
      context.sessions.remove(this.clientId, this)
    }
  }
}

const NO_IDENTIFIERS: readonly number[] = Object.freeze([])

/** Attributes of a client's message. */
export const recordAttributes = (qos: number, retain: boolean, expires: boolean, headers: boolean): number =>
  qos |
  (retain ? ATTRIBUTE.retain : 0) |
  (expires ? ATTRIBUTE.expiry : 0) |
  (qos === 2 ? ATTRIBUTE.sequence : 0) |
  (headers ? ATTRIBUTE.headers : 0)
