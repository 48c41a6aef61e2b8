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
  /** Limits on what it gets of the time when it was away; absent or undefined for none. Asked once. */
  offlineLimits?(): OfflineLimits | undefined
  /** So many records were left out by these limits. */
  dropped?(reason: OfflineReason, count: number): void
  /** So many records that were owed were removed by the retention of their topics, as far as that is known. */
  removed?(count: number): void
  /** Records [from, to) were removed by retention before they could be delivered. */
  missed(log: LogId, from: Position, to: Position): void
  failed(error: unknown): void
}

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

export class Consumer {
  readonly #store: ShardStore
  readonly #outlet: Outlet
  readonly #followers: Follower[] = []
  readonly #cursor = new RecordCursor()
  /** What went by while the client was away has not been counted yet. */
  #unmeasured: OfflineLimits | undefined
  #measuring = false
  #cut: OfflineCut | undefined
  /** Not told yet. */
  readonly #drops = new Map<OfflineReason, number>()
  #closed = false

  constructor(store: ShardStore, outlet: Outlet) {
    this.#store = store
    this.#outlet = outlet
  }

  /** A live record that is owed at QoS 1 or 2. */
  live(target: Target, log: LogId, batch: RecordBatch, cursor: RecordCursor): void {
    const follower = this.#followers[log] ?? this.#follow(log)
    if (!follower.live || this.#closed) return
    if (this.#outlet.offer(target, log, batch, cursor)) return
    follower.live = false
    follower.next = cursor.position
  }

  /** Whether a live record that is owed at QoS 0 may be sent now. If not, it is read from the log: stored ones from before must come first. */
  liveQos0(log: LogId, position: Position): boolean {
    const follower = this.#followers[log]
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
    this.#unmeasured ??= this.#outlet.offlineLimits?.()
  }

  /** There is room again: reads on in every log that is behind. */
  resume(): void {
    if (this.#closed) return
    if (this.#unmeasured !== undefined) {
      if (!this.#measuring) void this.#measure(this.#unmeasured)
      return
    }
    for (const follower of this.#followers) {
      if (follower !== undefined && !follower.live && !follower.reading) void this.#catchUp(follower)
    }
  }

  /** Nothing is offered any more; positions stay readable. */
  close(): void {
    this.#closed = true
  }

  /** Where the consumer stands in each log it has had to do with: everything before it was offered. */
  positions(): readonly { readonly log: LogId; readonly next: Position }[] {
    return this.#followers
      .filter((follower) => follower !== undefined)
      .map(({ log, live, next }) => ({ log, next: live ? this.#store.extent(log).end : next }))
  }

  /** Notes that the consumer begins at the tail of a log, so that `positions` tells of it. */
  follow(log: LogId): void {
    if (this.#followers[log] === undefined) this.#follow(log)
  }

  #follow(log: LogId): Follower {
    const follower: Follower = { log, live: true, next: 0, awayFrom: 0, awayUntil: 0, reading: false }
    this.#followers[log] = follower
    return follower
  }

  async #catchUp(follower: Follower): Promise<void> {
    follower.reading = true
    try {
      while (!this.#closed && !follower.live) {
        const filters = this.#outlet.filters()
        const { log, next: from } = follower
        if (filters.length === 0) {
          follower.live = true
          return
        }
        const result = await this.#store.read({ log, from, filters, bytesMax: this.#outlet.appetiteBytes() })
        if (this.#closed) return
        if (result.from > from) this.#outlet.missed(log, from, result.from)
        const took = result.batches.every((batch) => this.#offerAll(follower, batch))
        this.#reportDrops()
        if (!took) return
        // Told only of what has been passed: a range that is read again is counted again.
        if (result.removed !== undefined) this.#outlet.removed?.(result.removed)
        follower.next = result.next
        // Everything committed up to here has passed `live` already, and what comes next will.
        if (follower.next >= this.#store.extent(log).end) follower.live = true
      }
    } catch (error) {
      this.#outlet.failed(error)
    } finally {
      follower.reading = false
    }
  }

  async #measure(limits: OfflineLimits): Promise<void> {
    this.#measuring = true
    const owner: BacklogOwner = {
      filters: () => this.#outlet.filters(),
      owes: (topic, log, cursor) => this.#owes(topic, log, cursor),
      closed: () => this.#closed,
    }
    const behind = this.#followers.filter((follower) => follower !== undefined && !follower.live)
    const stretches = behind.map(({ log, next, awayUntil }) => ({ log, from: next, until: awayUntil }))
    try {
      this.#cut = await measureBacklog(this.#store, owner, limits, stretches)
      this.#unmeasured = undefined
      this.resume()
    } catch (error) {
      this.#outlet.failed(error)
    }
  }

  #owes(topic: string, log: LogId, cursor: RecordCursor): boolean {
    const follower = this.#followers[log]
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
