// SPDX-License-Identifier: Apache-2.0
// A shared group on this broker: hands each record that its consumer offers to one member, and knows what is with members whose client is away (Q17).
import { assert, must } from '#base/assert'
import { messageOf } from '#base/error'
import type { Clock } from '#base/port/clock'
import type { Logger } from '#base/port/logger'
import type { Counter } from '#base/port/metrics'
import type { LogId, Position } from '#contract/client/engine-client'
import type { ShareConsumer, ShareSink } from '#contract/client/share-client'
import type { RecordBatch, RecordCursor } from '#contract/record/record-batch'
import type { InFlight, Session } from '#contract/record/session'
import type { CursorSaver, CursorSource, UnsavedCursors } from './cursor-saver.ts'
import type { LogSet } from './durable-logs.ts'
import type { BrokerEvents } from './events.ts'
import { MovedLogs } from './moved-logs.ts'
import type { SharedFilter } from './share-filter.ts'
import type { SharePolicy } from './share-policy.ts'
import type { Target } from './subscription-table.ts'

/** A member whose client is connected. */
export interface ShareMember {
  readonly uid: number
  /** Its session outlives the connection. */
  readonly persistent: boolean
  /** Bytes of records it could take now, about. */
  readonly appetiteBytes: number
  /** Sends a record, or refuses it for want of room. What is sent above QoS 0 is finished under `group`, be it at once. */
  offer(target: Target, log: LogId, batch: RecordBatch, cursor: RecordCursor, group: number): boolean
}

/** A record that was sent to a member and is not finished. */
export interface HeldRecord {
  readonly log: LogId
  readonly position: Position
  readonly qos: 1 | 2
}

/** What all groups of a broker share. */
export interface ShareServices {
  readonly clock: Clock
  readonly logger: Logger
  readonly metrics: {
    readonly droppedQueueFull: Pick<Counter, 'add'>
    readonly droppedRetention: Pick<Counter, 'add'>
    readonly droppedExpired: Pick<Counter, 'add'>
  }
  readonly events: Pick<BrokerEvents, 'isOn' | 'tell'>
  /** Members whose client is connected, over all groups. */
  readonly seats: { count: number }
  readonly saver: CursorSaver
  readonly durableLogs: LogSet
}

interface Seat {
  readonly member: ShareMember
  readonly target: Target
}

const READ_BYTES_MIN = 4 * 1024
const READ_BYTES_MAX = 256 * 1024
const RETRY_MS = 1_000
const NO_RECORDS: readonly HeldRecord[] = Object.freeze([])

export class ShareGroup implements ShareSink, CursorSource {
  /** Names the group on this node, for as long as it lives. */
  readonly number: number
  readonly shared: SharedFilter
  readonly before: readonly CursorSource[] = []
  readonly #services: ShareServices
  readonly #policy: SharePolicy
  /** Replaced as a whole: a member may leave while a record is offered. */
  #seats: readonly Seat[] = []
  /** QoS granted to members whose client is away, by uid. */
  readonly #away = new Map<number, number>()
  /** What is with clients that are away, by uid. Some of them may have given up the subscription. */
  readonly #held = new Map<number, readonly HeldRecord[]>()
  /** Highest QoS granted: members that were all granted 0 are owed nothing that cannot be sent as it comes. */
  #qosMax = 0
  #consumer: ShareConsumer | undefined
  readonly #moved = new MovedLogs()
  #record: Session | undefined

  constructor(number: number, shared: SharedFilter, policy: SharePolicy, services: ShareServices) {
    assert(number > 0, 'zero stands for no group')
    this.number = number
    this.shared = shared
    this.#policy = policy
    this.#services = services
  }

  attach(consumer: ShareConsumer): void {
    this.#consumer = consumer
  }

  /** What meta knows it as. Undefined for a group that ends with its last member or with this process. */
  get record(): Session | undefined {
    return this.#record
  }

  set record(record: Session | undefined) {
    this.#record = record
    // A log that a record does not know came after it: the first save is of all that there are.
    this.#moved.markAll()
    if (record === undefined) this.#services.saver.forget(this)
  }

  get reader(): string {
    return this.shared.name
  }

  get memberCount(): number {
    return this.#seats.length + this.#away.size
  }

  /** Members whose session outlives their connection. */
  get persistentCount(): number {
    return this.#seats.reduce((count, { member }) => count + (member.persistent ? 1 : 0), this.#away.size)
  }

  close(): void {
    this.record = undefined
    this.#consumer?.close()
  }

  // ---- members

  /** The member is connected, or its subscription has changed. */
  seat(member: ShareMember, target: Target): void {
    this.#away.delete(member.uid)
    const seat = { member, target }
    const at = this.#seats.findIndex((other) => other.member.uid === member.uid)
    if (at < 0) this.#services.seats.count++
    this.#seats = at < 0 ? [...this.#seats, seat] : this.#seats.with(at, seat)
    this.#reviewQos()
    this.resume()
  }

  /** The member has given up its subscription, or its session has ended. What it has not finished is not touched. */
  unseat(uid: number): void {
    this.#away.delete(uid)
    this.#vacate(uid)
  }

  /** The client of a member is away; its session goes on. */
  seatAway(uid: number, qos: number): void {
    this.#away.set(uid, qos)
    this.#vacate(uid)
  }

  /** There is room again. */
  resume(): void {
    this.#consumer?.resume()
  }

  #vacate(uid: number): void {
    const at = this.#seats.findIndex(({ member }) => member.uid === uid)
    if (at >= 0) {
      this.#seats = this.#seats.filter((_, place) => place !== at)
      this.#services.seats.count--
      this.#policy.left(at)
    }
    this.#reviewQos()
  }

  #reviewQos(): void {
    this.#qosMax = Math.max(0, ...this.#away.values(), ...this.#seats.map(({ target }) => target.qos))
  }

  // ---- records

  offer(log: LogId, batch: RecordBatch, cursor: RecordCursor): boolean {
    const { position } = cursor
    // Its time ran out while it waited in the log [MQTT-3.3.2-5].
    if (cursor.expiryMs !== 0 && cursor.expiryMs <= this.#services.clock.realtime()) {
      this.#services.metrics.droppedExpired.add(1)
      this.#tellDropped('expired', 1, batch.topics[cursor.topic])
      this.finish(log, position)
      return true
    }
    const seats = this.#seats
    const count = seats.length
    const first = count === 0 ? 0 : this.#policy.first(count, batch.topics[cursor.topic] as string, cursor.publisher)
    for (let tried = 0; tried < count; tried++) {
      const at = (first + tried) % count
      const { member, target } = seats[at] as Seat
      if (!member.offer(target, log, batch, cursor, this.number)) continue
      this.#policy.taken(at)
      const qos = Math.min(target.qos, cursor.qos)
      // At QoS 2 the message is completed to this client or dropped with its session [MQTT-4.8.2-4] [MQTT-4.8.2-5]: one that ends with the
      // connection never gives it back.
      if (qos === 0 || (qos === 2 && !member.persistent)) this.finish(log, position)
      else this.#advanced(log)
      return true
    }
    if (cursor.qos > 0 && (this.#qosMax > 0 || this.memberCount === 0)) return false
    this.#services.metrics.droppedQueueFull.add(1)
    this.#tellDropped('queue_full', 1, batch.topics[cursor.topic])
    this.finish(log, position)
    return true
  }

  /** No client has lost them: they were the group's. */
  #tellDropped(reason: string, count: number, topic?: string): void {
    const { events } = this.#services
    if (events.isOn('messageDropped')) events.tell('messageDropped', '', { share: this.shared.name, reason, topic, count })
  }

  finish(log: LogId, position: Position): void {
    this.#consumer?.finish(log, position)
    this.#advanced(log)
  }

  /** Records that were with a member go to others; those of QoS 2 to nobody. */
  giveUp(records: readonly HeldRecord[]): void {
    const byLog = new Map<LogId, Position[]>()
    for (const { log, position, qos } of records) {
      if (qos === 2) {
        this.finish(log, position)
        continue
      }
      const ofLog = byLog.get(log)
      if (ofLog === undefined) byLog.set(log, [position])
      else ofLog.push(position)
    }
    for (const [log, positions] of byLog) {
      this.#consumer?.handBack(log, positions)
      this.#moved.mark(log)
    }
  }

  appetiteBytes(): number {
    const bytes = this.#seats.reduce((sum, { member }) => sum + member.appetiteBytes, 0)
    return Math.min(Math.max(bytes, READ_BYTES_MIN), READ_BYTES_MAX)
  }

  missed(log: LogId, from: Position, to: Position): void {
    this.#advanced(log)
    this.#services.metrics.droppedRetention.add(to - from)
    this.#tellDropped('retention', to - from)
    this.#services.logger.log('warn', 'records were removed by retention before a shared group had them', {
      share: this.shared.name,
      log,
      from,
      to,
    })
  }

  failed(error: unknown): void {
    const { logger, clock } = this.#services
    logger.log('warn', 'a shared group could not read on, trying again', { share: this.shared.name, error: messageOf(error) })
    clock.after(RETRY_MS, () => this.resume())
  }

  // ---- what is with clients that are away

  /** Kept for the client until it is back, its session ends, or `release`. */
  hold(uid: number, records: readonly HeldRecord[]): void {
    if (records.length > 0) this.#held.set(uid, [...this.held(uid), ...records])
  }

  held(uid: number): readonly HeldRecord[] {
    return this.#held.get(uid) ?? NO_RECORDS
  }

  /** The client is back. What is not among these any more has been given to others. */
  takeHeld(uid: number): readonly HeldRecord[] {
    const records = this.held(uid)
    this.#held.delete(uid)
    return records
  }

  /** Gives the QoS 1 messages of a client that is away to others. */
  release(uid: number): void {
    const records = this.takeHeld(uid)
    this.hold(
      uid,
      records.filter(({ qos }) => qos === 2),
    )
    this.giveUp(records.filter(({ qos }) => qos === 1))
  }

  // ---- persistence

  get stored(): boolean {
    return this.#record !== undefined
  }

  get uid(): number {
    return must(this.#record, 'only a group with a record is saved').uid
  }

  get epoch(): number {
    return must(this.#record, 'only a group with a record is saved').epoch
  }

  unsaved(): UnsavedCursors {
    const progress = this.#consumer?.progress(this.#moved.all ? undefined : this.#moved.logs()) ?? []
    const cursors = progress
      .filter(({ log }) => this.#services.durableLogs.has(log))
      .map(({ log, next, open }) => ({
        log,
        next,
        seen: next,
        inFlight: open.map((position, order): InFlight => ({ position, packetId: 0, order, qos: 1, released: false })),
      }))
    return { cursors, mark: this.#moved.count }
  }

  saved(mark: number): void {
    this.#moved.saved(mark)
  }

  #advanced(log: LogId): void {
    if (this.#record === undefined) return
    this.#moved.mark(log)
    this.#services.saver.mark(this)
  }
}
