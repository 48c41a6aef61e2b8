// SPDX-License-Identifier: Apache-2.0
// The state of one session while its client is connected, and the rules by which messages reach the client. What each packet of the
// client does to it is in the file named after the packet.

import type { AppendOutcome, LogId, Position } from '#contract/client/engine-client'
import type { RetainedValue } from '#contract/client/meta-client'
import { ATTRIBUTE, type RecordBatch, type RecordCursor } from '#contract/record/record-batch'
import type { Cursor, Session, Subscription } from '#contract/record/session'
import type { ConcernedLogs } from '../../message/concerned-logs.ts'
import { Consumer, type Outlet } from '../../message/consumer.ts'
import type { CursorSource, UnsavedCursors } from '../../message/cursor-saver.ts'
import { DELAYED_LOG } from '../../message/delayed.ts'
import type { OfflineLimits, OfflineReason } from '../../message/offline.ts'
import type { PublishOwner } from '../../message/publish.ts'
import type { RetainedFeed, RetainedOutlet } from '../../message/retained-feed.ts'
import type { Claim, Subscriber, Target } from '../../message/subscription-table.ts'
import { DeliverySample } from '../../metric/delivery-sample.ts'
import { PACKET, REASON } from '../../protocol/mqtt/index.ts'
import type { Access } from '../../security/access.ts'
import { ChangeQueue } from './change-queue.ts'
import type { BrokerContext } from './context.ts'
import type { Intake } from './destination.ts'
import { tellExpired, tellQueueFull, tellRemoved } from './dropped-messages.ts'
import { HeldPackets } from './held-packets.ts'
import { InboundReleases } from './inbound-releases.ts'
import { InboundWindow } from './inbound-window.ts'
import type { Link } from './link.ts'
import { OutboundWindow } from './outbound-window.ts'
import { Resender, type ResendOutlet, type Unsent } from './resender.ts'
import { SessionCursors } from './session-cursors.ts'
import { SessionFeeds } from './session-feeds.ts'
import type { RegisteredSession } from './session-registry.ts'
import { SessionReplays } from './session-replays.ts'
import { SessionSubscriptions } from './session-subscriptions.ts'
import { SharedSubscriptions } from './shared-subscriptions.ts'

const READ_BYTES_MIN = 4 * 1024
const READ_BYTES_MAX = 256 * 1024
/** Bytes of log to read for each message that there is room for. */
const READ_BYTES_EACH = 512

export class SessionCore implements Subscriber, Outlet, ResendOutlet, RetainedOutlet, PublishOwner, CursorSource, RegisteredSession {
  readonly context: BrokerContext
  readonly link: Link
  readonly access: Access
  readonly uid: number
  readonly epoch: number
  readonly intake: Intake = { last: undefined, aliases: new Map() }
  readonly inbound = new InboundWindow()
  readonly releases = new InboundReleases()
  readonly outbound: OutboundWindow
  readonly subscriptions: SessionSubscriptions = new SessionSubscriptions(this)
  readonly shared: SharedSubscriptions = new SharedSubscriptions(this)
  readonly replays = new SessionReplays(this)
  readonly consumer: Consumer
  readonly cursors: SessionCursors = new SessionCursors(this)
  /** Of the messages to the client. */
  readonly sample: DeliverySample
  #record: Session
  readonly feeds: SessionFeeds
  readonly #resender: Resender
  readonly #held: HeldPackets
  readonly #changes = new ChangeQueue((error) => this.failed(error))
  #closing: Promise<void> | undefined

  constructor(context: BrokerContext, link: Link, record: Session, access: Access, windowLimit: number) {
    this.context = context
    this.link = link
    this.access = access
    this.uid = record.uid
    this.epoch = record.epoch
    this.#record = record
    this.outbound = new OutboundWindow(windowLimit)
    this.consumer = new Consumer(context.store, this)
    this.sample = new DeliverySample(context.slowSubscriptions, record.clientId, context.clock.realtime())
    this.feeds = new SessionFeeds(context, this)
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

  get reader(): string {
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
    if (this.#isExpired(batch, cursor)) return
    if (cursor.retain) this.feeds.touch(batch.topics[cursor.topic] as string)
    if (claim.qos > 0 && cursor.qos > 0) this.consumer.live(target, log, batch, cursor)
    else if (!this.consumer.liveQos0(log, cursor.position)) return
    else {
      if (this.storesQos0) this.cursors.mark(log)
      if (this.link.writable) this.#sendQos0(claim, batch, cursor)
      else tellQueueFull(this, batch.topics[cursor.topic] as string)
    }
  }

  /** `group`: number of the shared group that hands it out; 0 when it is for a subscription of this session. */
  offer(target: Target, log: LogId, batch: RecordBatch, cursor: RecordCursor, group = 0): boolean {
    const claim = cursor.publisher === this.uid ? target.own : target
    if (claim === undefined) return true
    if (this.#isExpired(batch, cursor)) return true
    const qos = Math.min(claim.qos, cursor.qos)
    if (qos === 0) {
      if (!this.link.writable) return false
      this.#sendQos0(claim, batch, cursor)
      return true
    }
    if (this.outbound.full || !this.link.roomy || this.#resender.pending) return false
    const packetId = this.outbound.push(log, cursor.position, qos as 1 | 2, group)
    if (!this.#send(claim, batch, cursor, qos, packetId, false)) this.finish(packetId)
    else if (claim.offsets !== true) this.sample.sent(packetId, qos, batch, cursor)
    return true
  }

  /** Its time ran out while it waited [MQTT-3.3.2-5]. */
  #isExpired(batch: RecordBatch, { expiryMs, topic }: RecordCursor): boolean {
    if (expiryMs === 0 || expiryMs > this.context.clock.realtime()) return false
    tellExpired(this, batch.topics[topic] as string)
    return true
  }

  offerRetained(subscription: Subscription, value: RetainedValue): boolean {
    const { publisher, qos: stored } = value
    if (subscription.noLocal && publisher === this.uid) return true
    const qos = Math.min(subscription.qos, stored)
    if (!this.link.roomy || (qos > 0 && (this.outbound.full || this.#resender.pending))) return false
    const packetId = qos === 0 ? 0 : this.outbound.push(value.log, value.position, qos as 1 | 2, 0, true)
    const identifiers = subscription.identifier === 0 ? NO_IDENTIFIERS : [subscription.identifier]
    const bytes = this.link.encodeRetained(value, qos, packetId, identifiers)
    if (bytes === undefined) {
      if (qos > 0) this.outbound.finish(packetId)
      return true
    }
    this.#release(bytes, qos)
    return true
  }

  #sendQos0(claim: Claim, batch: RecordBatch, cursor: RecordCursor): void {
    if (this.#send(claim, batch, cursor, 0, 0, false) && claim.offsets !== true) this.sample.handed(batch, cursor)
  }

  /** Sends a record; false when it is too large for the client, which counts as done. */
  #send(claim: Claim, batch: RecordBatch, cursor: RecordCursor, qos: number, packetId: number, duplicate: boolean): boolean {
    const retain = claim.retainAsPublished && cursor.retain
    const offset = claim.offsets === true ? cursor.position : NO_OFFSET
    if (!this.#mustWait(qos)) {
      if (qos > 0 && this.persistent) this.context.saver.mark(this)
      return this.link.sendRecord(batch, cursor, qos, packetId, duplicate, retain, claim.identifiers, offset)
    }
    const bytes = this.link.encodeRecord(batch, cursor, qos, packetId, duplicate, retain, claim.identifiers, offset)
    if (bytes === undefined) return false
    this.sendCommitted(bytes)
    return true
  }

  /**
   * The packet id of a QoS 2 message is committed before it is used, so that any broker can go on with it (D5). QoS 1 messages do not overtake
   * those that wait: what is in flight is sent again in the order of sending [MQTT-4.6.0-1].
   */
  #mustWait(qos: number): boolean {
    return this.#commits && (qos === 2 || (qos === 1 && this.#held.waiting))
  }

  #release(bytes: Buffer, qos: number): void {
    if (this.#mustWait(qos)) this.sendCommitted(bytes)
    else {
      if (qos === 1 && this.persistent) this.context.saver.mark(this)
      this.link.sendBytes(bytes)
    }
  }

  /** There is state that must be committed before packets that rest on it leave: the session's own, or that of groups it has a seat in. */
  get #commits(): boolean {
    return this.persistent || this.shared.anyRecorded
  }

  /** Sends a packet once the state of the session as it is now is committed. Of a session that ends with its connection, at once. */
  sendCommitted(bytes: Buffer): void {
    if (this.#commits) this.#held.add(bytes)
    else this.link.sendBytes(bytes)
  }

  /** A message is done with: acknowledged, refused by the client, or never to be sent. */
  finish(packetId: number): void {
    const group = this.outbound.group(packetId)
    const position = group === 0 ? 0 : this.outbound.position(packetId)
    const log = this.outbound.finish(packetId)
    if (log !== -1) this.cursors.mark(log)
    if (group !== 0) this.context.shares.finish(group, log, position)
    this.sample.forget(packetId)
  }

  /** A message is finished, or the socket has drained: goes on with whatever waited for room. */
  resume(): void {
    if (this.#closing !== undefined) return
    if (this.#resender.pending) {
      void this.#resender.run()
      return
    }
    if (this.outbound.counted > this.outbound.limit >> 1) return
    this.feeds.resume()
    this.consumer.resume()
    this.shared.resume()
    this.replays.resume()
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
    return this.subscriptions.claim(topic, log, position)
  }

  appetiteBytes(): number {
    const room = this.appetite
    return Math.min(Math.max(room * READ_BYTES_EACH, READ_BYTES_MIN), READ_BYTES_MAX)
  }

  get appetite(): number {
    return this.outbound.limit - this.outbound.counted
  }

  offlineLimits(): OfflineLimits | undefined {
    const { config, router, clock } = this.context
    const { maxAge, maxMessages } = config.offline
    if (maxAge === Number.POSITIVE_INFINITY && maxMessages === Number.POSITIVE_INFINITY && !router.limitsOffline) return undefined
    return { maxAge, maxMessages, nowMs: clock.realtime(), ofTopic: (topic) => router.offlineLimit(topic) }
  }

  dropped(reason: OfflineReason, count: number): void {
    const { metrics, events } = this.context
    const counter = reason === 'offline_age' ? metrics.droppedOfflineAge : metrics.droppedOfflineCount
    counter.add(count)
    events.tell('messageDropped', this.clientId, { reason, count })
  }

  removed(count: number): void {
    tellRemoved(this, count)
  }

  missed(log: LogId, from: Position, to: Position): void {
    tellRemoved(this, to - from)
    this.context.logger.log('warn', 'records were removed by retention before the session read them', {
      client: this.clientId,
      log,
      from,
      to,
    })
  }

  advanced(log: LogId): void {
    if (!this.persistent) return
    this.cursors.mark(log)
    this.context.saver.mark(this)
  }

  failed(error: unknown): void {
    this.link.fail(error)
  }

  // ---- retained messages for new subscriptions

  feedDone(feed: RetainedFeed): void {
    this.feeds.done(feed)
  }

  // ---- an earlier connection's state

  /** Takes up the cursors of an earlier connection. What is in flight is sent again by `resume`, before anything else. */
  restore(cursors: readonly Cursor[], concerned: ConcernedLogs): void {
    const unsent: Unsent[] = []
    for (const { log, inFlight } of cursors) for (const entry of inFlight) unsent.push({ ...entry, log })
    unsent.sort((a, b) => a.order - b.order)
    const ours = unsent.filter((entry) => {
      const group = this.shared.restore(entry)
      if (group !== undefined) this.outbound.restore(entry, entry.log, group)
      // It is saved no more.
      else this.cursors.mark(entry.log)
      return group !== undefined
    })
    this.#resender.load(ours)
    this.cursors.restore(cursors, this.subscriptions.values(), concerned)
  }

  room(unsent: number): number {
    return this.outbound.limit - (this.outbound.counted - unsent)
  }

  resendRelease(packetId: number): void {
    this.link.sendAck(PACKET.pubrel, packetId, REASON.success)
  }

  resendRecord({ log, position, packetId, qos, retained, share }: Unsent, batch: RecordBatch, cursor: RecordCursor): boolean {
    if (share !== undefined) {
      const { retainAsPublished = false, identifiers = NO_IDENTIFIERS } = this.shared.claimOf(share) ?? {}
      return this.link.sendRecord(batch, cursor, qos, packetId, true, retainAsPublished && cursor.retain, identifiers)
    }
    const topic = batch.topics[cursor.topic] as string
    // The client may have lost the right to it since it was first sent (Q22).
    if (!this.access.maySubscribe(topic, qos)) return false
    const replay = this.replays.claim(topic, log)
    const claim = this.claim(topic, log, position) ?? replay
    const retain = retained ?? (claim?.retainAsPublished === true && cursor.retain)
    const { identifiers } = claim ?? this.claim(topic, log, Number.POSITIVE_INFINITY) ?? { identifiers: NO_IDENTIFIERS }
    return this.link.sendRecord(batch, cursor, qos, packetId, true, retain, identifiers, replay?.offsets === true ? position : NO_OFFSET)
  }

  abandon({ packetId }: Unsent): void {
    this.finish(packetId)
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
        for (const tag of release?.repeated.splice(0) ?? []) inbound.settle(tag, reasonCode)
        if (reasonCode !== REASON.success) this.releases.end(packetId)
        else if (release !== undefined) {
          release.stored = true
          if (release.releasing) void this.settleRelease(packetId, release.log)
        }
      }
      if (!this.link.sendAck(type, packetId, reasonCode)) return
    }
  }

  /** The client has let go of a packet id. PUBCOMP leaves when the log has forgotten it, or the next message under it would be taken for a repetition (Q5). */
  async settleRelease(packetId: number, log: LogId): Promise<void> {
    try {
      if (log === DELAYED_LOG) await this.context.delayed.release(this.uid, packetId)
      else await this.context.store.release(this.uid, packetId, log)
      this.releases.end(packetId)
      this.link.sendAck(PACKET.pubcomp, packetId, REASON.success)
    } catch (error) {
      this.failed(error)
    }
  }

  // ---- persistence and the end

  get before(): readonly CursorSource[] {
    return this.shared.recorded
  }

  get stored(): boolean {
    return this.persistent
  }

  unsaved(): UnsavedCursors {
    return this.cursors.unsaved(this.closed)
  }

  saved(mark: number): void {
    this.cursors.saved(mark)
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
    const owed = this.feeds.close()
    this.consumer.close()
    this.#resender.close()
    this.#held.drop()
    this.#changes.close()
    for (const filter of this.subscriptions.keys()) {
      context.table.remove(this, filter)
      context.store.deregister(filter)
    }
    this.shared.close()
    this.replays.close()
    try {
      if (this.#commits) await context.saver.saveNow(this)
      await owed
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
const NO_OFFSET = -1

/** Attributes of a client's message. */
export const recordAttributes = (qos: number, retain: boolean, expires: boolean, headers: boolean): number =>
  qos |
  (retain ? ATTRIBUTE.retain : 0) |
  (expires ? ATTRIBUTE.expiry : 0) |
  (qos === 2 ? ATTRIBUTE.sequence : 0) |
  (headers ? ATTRIBUTE.headers : 0)
