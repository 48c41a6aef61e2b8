// SPDX-License-Identifier: Apache-2.0
// One subscriber's progress through the logs (D5). At the tail it is fed from memory; when it has no room it keeps a position and nothing
// else, and reads from the log until it has caught up.
import type { LogId, Position } from '#contract/client/engine-client'
import { type RecordBatch, RecordCursor } from '#contract/record/record-batch'
import type { ShardStore } from '#storage'
import { type BacklogOwner, measureBacklog, type OfflineCut, type OfflineLimits, type OfflineReason } from './offline.ts'
import type { Target } from './subscription-table.ts'

/** The receiving end of a consumer: a session. */
export interface Outlet {
  /** How it is called where it is told that it is held up. */
  readonly reader?: string
  /** Filters of the subscriptions that are owed records of QoS 1 and 2; all of them when messages of QoS 0 are stored. */
  filters(): readonly string[]
  /** Messages of QoS 0 are stored for clients that are away. */
  readonly storesQos0: boolean
  /** Stored records are owed at QoS 0 as they are at the others, whether or not the client was away. */
  readonly owesEverything?: boolean
  /** The claim on a record by the subscriptions that had begun at its position; undefined when there is none. */
  claim(topic: string, log: LogId, position: Position): Target | undefined
  /** Sends a record, or refuses it for want of room: then it comes again after `resume`. */
  offer(target: Target, log: LogId, batch: RecordBatch, cursor: RecordCursor): boolean
  /** Bytes it could take now, about. */
  appetiteBytes(): number
  /** Records it could take now. */
  readonly appetite: number
  /** Limits on what it gets of the time when it was away; absent or undefined for none. Asked once. */
  offlineLimits?(): OfflineLimits | undefined
  /** So many records were left out by these limits. */
  dropped?(reason: OfflineReason, count: number): void
  /** So many records that were owed were removed by the retention of their topics, as far as that is known. */
  removed?(count: number): void
  /** More of a log has been read and offered. */
  advanced?(log: LogId): void
  /** Records [from, to) were removed by retention before they could be delivered. */
  missed(log: LogId, from: Position, to: Position): void
  failed(error: unknown): void
}

/** What it reads. */
export type ConsumedStore = Pick<ShardStore, 'read' | 'extent'>

interface Follower {
  readonly log: LogId
  /** Fed by `live`; `next` has no meaning meanwhile. */
  live: boolean
  /** Everything before it was offered or is not for this consumer. */
  next: Position
  /** Records in [awayFrom, awayUntil) went by while the client was away: those of QoS 0 among them, if stored, are sent now. */
  awayFrom: Position
  awayUntil: Position
  reading: boolean
}

/** Logs read at the same time for one consumer: each read holds a page of its log in memory. */
const READINGS_MAX = 8

export class Consumer {
  readonly #store: ConsumedStore
  readonly #outlet: Outlet
  /** Of the logs it has had to do with. One that is not among them is followed live. */
  readonly #followers = new Map<LogId, Follower>()
  /** Those that are not live, whose turn it is to be read first. */
  readonly #behind = new Set<Follower>()
  #readings = 0
  readonly #cursor = new RecordCursor()
  /** What went by while the client was away has not been counted yet. */
  #unmeasured: OfflineLimits | undefined
  #measuring = false
  #cut: OfflineCut | undefined
  /** Not told yet. */
  readonly #drops = new Map<OfflineReason, number>()
  #closed = false

  constructor(store: ConsumedStore, outlet: Outlet) {
    this.#store = store
    this.#outlet = outlet
  }

  /** A live record that is owed at QoS 1 or 2. */
  live(target: Target, log: LogId, batch: RecordBatch, cursor: RecordCursor): void {
    const follower = this.#followers.get(log) ?? this.#follow(log)
    if (!follower.live || this.#closed) return
    if (this.#outlet.offer(target, log, batch, cursor)) return
    follower.live = false
    follower.next = cursor.position
    this.#behind.add(follower)
  }

  /** Whether a live record that is owed at QoS 0 may be sent now. If not, it is read from the log: stored ones from before must come first. */
  liveQos0(log: LogId, position: Position): boolean {
    const follower = this.#followers.get(log)
    if (follower === undefined || !this.#outlet.storesQos0 || follower.live || follower.next >= follower.awayUntil) return true
    follower.awayUntil = position + 1
    return false
  }

  /** Goes on where an earlier connection of the session stopped, which had seen all that was live before `seen`. Reading begins with `resume`. */
  restore(log: LogId, next: Position, seen: Position): void {
    const follower = this.#follow(log)
    follower.live = false
    follower.next = next
    follower.awayFrom = seen
    follower.awayUntil = this.#store.extent(log).end
    this.#behind.add(follower)
    this.#unmeasured ??= this.#outlet.offlineLimits?.()
  }

  /** There is room again: reads on in the logs that are behind, a few at a time, in turns. */
  resume(): void {
    if (this.#closed) return
    if (this.#unmeasured !== undefined) {
      if (!this.#measuring) void this.#measure(this.#unmeasured)
      return
    }
    this.#readBehind()
  }

  /** Nothing is offered any more; positions stay readable. */
  close(): void {
    this.#closed = true
  }

  /** Where the consumer stands in each log it has had to do with: everything before it was offered. */
  positions(): readonly { readonly log: LogId; readonly next: Position }[] {
    return [...this.#followers.keys()].map((log) => ({ log, next: this.position(log) }))
  }

  /** Where it stands in one log. */
  position(log: LogId): Position {
    const follower = this.#followers.get(log)
    return follower === undefined || follower.live ? this.#store.extent(log).end : follower.next
  }

  /** Whether it has had to do with a log. */
  follows(log: LogId): boolean {
    return this.#followers.has(log)
  }

  /** Notes that the consumer begins at the tail of a log, so that `positions` tells of it. */
  follow(log: LogId): void {
    if (!this.#followers.has(log)) this.#follow(log)
  }

  #follow(log: LogId): Follower {
    const follower: Follower = { log, live: true, next: 0, awayFrom: 0, awayUntil: 0, reading: false }
    const before = this.#followers.get(log)
    if (before !== undefined) this.#behind.delete(before)
    this.#followers.set(log, follower)
    return follower
  }

  #readBehind(): void {
    if (this.#behind.size === 0) return
    const isOwed = this.#outlet.filters().length > 0
    for (const follower of this.#behind) {
      if (follower.reading) continue
      if (!isOwed || this.#isAtEnd(follower)) this.#goLive(follower)
      else if (this.#readings < READINGS_MAX) void this.#catchUp(follower)
      else return
    }
  }

  /** Everything committed up to its place has passed `live` already, and what comes next will. */
  #isAtEnd({ log, next }: Follower): boolean {
    return next >= this.#store.extent(log).end
  }

  #goLive(follower: Follower): void {
    follower.live = true
    this.#behind.delete(follower)
  }

  async #catchUp(follower: Follower): Promise<void> {
    follower.reading = true
    this.#readings++
    try {
      while (!this.#closed && !follower.live) {
        const filters = this.#outlet.filters()
        const { log, next: from } = follower
        if (filters.length === 0) {
          this.#goLive(follower)
          break
        }
        const { appetite: recordsMax, reader } = this.#outlet
        const result = await this.#store.read({ log, from, filters, bytesMax: this.#outlet.appetiteBytes(), recordsMax, reader })
        if (this.#closed) return
        if (result.from > from) this.#outlet.missed(log, from, result.from)
        const took = result.batches.every((batch) => this.#offerAll(follower, batch))
        this.#reportDrops()
        if (!took) {
          this.#outlet.advanced?.(log)
          // The others have their turn first when there is room again.
          this.#behind.delete(follower)
          this.#behind.add(follower)
          return
        }
        // Told only of what has been passed: a range that is read again is counted again.
        if (result.removed !== undefined) this.#outlet.removed?.(result.removed)
        follower.next = result.next
        if (this.#isAtEnd(follower)) this.#goLive(follower)
        this.#outlet.advanced?.(log)
      }
    } catch (error) {
      this.#outlet.failed(error)
      return
    } finally {
      follower.reading = false
      this.#readings--
    }
    if (!this.#closed) this.#readBehind()
  }

  async #measure(limits: OfflineLimits): Promise<void> {
    this.#measuring = true
    const owner: BacklogOwner = {
      filters: () => this.#outlet.filters(),
      owes: (topic, log, cursor) => this.#owes(topic, log, cursor),
      closed: () => this.#closed,
    }
    const stretches = [...this.#behind].map(({ log, next, awayUntil }) => ({ log, from: next, until: awayUntil }))
    try {
      this.#cut = await measureBacklog(this.#store, owner, limits, stretches)
      this.#unmeasured = undefined
      this.resume()
    } catch (error) {
      this.#outlet.failed(error)
    }
  }

  #owes(topic: string, log: LogId, cursor: RecordCursor): boolean {
    const follower = this.#followers.get(log)
    const target = this.#outlet.claim(topic, log, cursor.position)
    const claim = target !== undefined && cursor.publisher === target.subscriber.uid ? target.own : target
    if (claim === undefined || follower === undefined) return false
    return Math.min(claim.qos, cursor.qos) > 0 || this.#owesQos0(follower, cursor.position)
  }

  #isDropped(topic: string, log: LogId, position: Position, appendTimeMs: number): boolean {
    const reason = this.#cut?.reason(topic, log, position, appendTimeMs)
    if (reason === undefined) return false
    this.#drops.set(reason, (this.#drops.get(reason) ?? 0) + 1)
    return true
  }

  #reportDrops(): void {
    if (this.#drops.size === 0) return
    for (const [reason, count] of this.#drops) this.#outlet.dropped?.(reason, count)
    this.#drops.clear()
  }

  /** False when the outlet had no room; the follower then stands at the record it refused. */
  #offerAll(follower: Follower, batch: RecordBatch): boolean {
    const cursor = this.#cursor
    cursor.reset(batch)
    while (cursor.next()) {
      const { position } = cursor
      if (position < follower.next) continue
      const topic = batch.topics[cursor.topic] as string
      const target = this.#outlet.claim(topic, follower.log, position)
      if (target === undefined || (Math.min(target.qos, cursor.qos) === 0 && !this.#owesQos0(follower, position))) continue
      if (position < follower.awayUntil && this.#isDropped(topic, follower.log, position, batch.appendTimeMs)) continue
      if (this.#outlet.offer(target, follower.log, batch, cursor)) continue
      follower.next = position
      return false
    }
    return true
  }

  #owesQos0({ awayFrom, awayUntil }: Follower, position: Position): boolean {
    if (this.#outlet.owesEverything === true) return true
    return this.#outlet.storesQos0 && position >= awayFrom && position < awayUntil
  }
}
