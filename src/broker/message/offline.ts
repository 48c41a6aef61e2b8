// SPDX-License-Identifier: Apache-2.0
// What a client that comes back does not get any more (Q20): messages that are too old, and those beyond the newest ones. The oldest go first.
//
// Messages wait in the logs, so there is no queue to drop from: the backlog is read twice, first to count it and then to deliver what is left. That happens
// only where a limit is set, and costs no memory but 16 bytes for each message that the limit lets through.
import { Heap } from '#base/heap'
import type { LogId, Position, ReadRequest, ReadResult } from '#contract/client/engine-client'
import { type RecordBatch, RecordCursor } from '#contract/record/record-batch'
import type { OfflineLimit } from '#storage'

export interface OfflineLimits extends OfflineLimit {
  /** When the client came back, ms since 1970: ages are as of then. */
  readonly nowMs: number
  /** Those of a topic, besides; undefined when it has none. */
  ofTopic(topic: string): OfflineLimit | undefined
}

/** Reason of a drop, as the metric and the event name it. */
export type OfflineReason = 'offline_age' | 'offline_count'

/** What went by in a log while the client was away: [from, until). */
export interface Stretch {
  readonly log: LogId
  readonly from: Position
  readonly until: Position
}

export interface BacklogReader {
  read(request: ReadRequest): Promise<ReadResult>
}

export interface BacklogOwner {
  filters(): readonly string[]
  /** Whether the record is owed, as far as it matters here. */
  owes(topic: string, log: LogId, cursor: RecordCursor): boolean
  closed(): boolean
}

const READ_BYTES = 256 * 1024

/** Decides which records of a backlog are left out. Ask once for each record that is owed, in the order of each log. */
export class OfflineCut {
  readonly #limits: OfflineLimits
  /** Position in each log before which records are beyond the newest ones. */
  readonly #newestFrom: ReadonlyMap<LogId, Position>
  /** How many of the oldest are still to be left out, by topic. */
  readonly #excess: Map<string, number>

  constructor(limits: OfflineLimits, newestFrom: ReadonlyMap<LogId, Position>, excess: Map<string, number>) {
    this.#limits = limits
    this.#newestFrom = newestFrom
    this.#excess = excess
  }

  /** Undefined when the record is to be delivered. */
  reason(topic: string, log: LogId, position: Position, appendTimeMs: number): OfflineReason | undefined {
    if (isTooOld(this.#limits, topic, this.#limits.nowMs - appendTimeMs)) return 'offline_age'
    const excess = this.#excess.get(topic) ?? 0
    if (excess > 0) this.#excess.set(topic, excess - 1)
    if (excess > 0 || position < (this.#newestFrom.get(log) ?? 0)) return 'offline_count'
    return undefined
  }
}

/** Counts the backlog. Records of QoS 0 and others are treated alike, as far as they are owed. */
export async function measureBacklog(
  store: BacklogReader,
  owner: BacklogOwner,
  limits: OfflineLimits,
  stretches: readonly Stretch[],
): Promise<OfflineCut> {
  const newest = new Newest(limits.maxMessages)
  const counts = new Map<string, number>()
  for (const stretch of stretches) {
    let { from } = stretch
    while (from < stretch.until && !owner.closed()) {
      const { batches, next } = await store.read({ log: stretch.log, from, filters: owner.filters(), bytesMax: READ_BYTES })
      for (const batch of batches) count(batch, { ...stretch, from }, owner, limits, newest, counts)
      from = next
    }
  }
  const excess = new Map<string, number>()
  for (const [topic, total] of counts) {
    const over = total - (limits.ofTopic(topic)?.maxMessages ?? total)
    if (over > 0) excess.set(topic, over)
  }
  return new OfflineCut(limits, newest.begins(), excess)
}

function count(
  batch: RecordBatch,
  { log, from, until }: Stretch,
  owner: BacklogOwner,
  limits: OfflineLimits,
  newest: Newest,
  counts: Map<string, number>,
): void {
  const cursor = new RecordCursor()
  const ageMs = limits.nowMs - batch.appendTimeMs
  cursor.reset(batch)
  while (cursor.next()) {
    if (cursor.position < from || cursor.position >= until) continue
    const topic = batch.topics[cursor.topic] as string
    if (cursor.expiryMs !== 0 && cursor.expiryMs <= limits.nowMs) continue
    if (!owner.owes(topic, log, cursor) || isTooOld(limits, topic, ageMs)) continue
    newest.add(log, cursor.position, batch.appendTimeMs)
    if ((limits.ofTopic(topic)?.maxMessages ?? Number.POSITIVE_INFINITY) !== Number.POSITIVE_INFINITY) {
      counts.set(topic, (counts.get(topic) ?? 0) + 1)
    }
  }
}

const isTooOld = (limits: OfflineLimits, topic: string, ageMs: number): boolean =>
  ageMs > limits.maxAge || ageMs > (limits.ofTopic(topic)?.maxAge ?? Number.POSITIVE_INFINITY)

/** The newest places of one log, oldest first: a ring. */
interface Ring {
  readonly positions: number[]
  readonly timesMs: number[]
  /** Of the oldest. */
  head: number
  overflowed: boolean
}

/** Finds where the newest records begin, over all logs by append time. */
class Newest {
  readonly #countMax: number
  readonly #rings = new Map<LogId, Ring>()

  constructor(countMax: number) {
    this.#countMax = countMax
  }

  add(log: LogId, position: Position, timeMs: number): void {
    if (this.#countMax === Number.POSITIVE_INFINITY) return
    let ring = this.#rings.get(log)
    if (ring === undefined) {
      ring = { positions: [], timesMs: [], head: 0, overflowed: false }
      this.#rings.set(log, ring)
    }
    if (ring.positions.length < this.#countMax) {
      ring.positions.push(position)
      ring.timesMs.push(timeMs)
      return
    }
    ring.positions[ring.head] = position
    ring.timesMs[ring.head] = timeMs
    ring.head = (ring.head + 1) % this.#countMax
    ring.overflowed = true
  }

  /** The first position of each log that is among the newest. Nothing is said of logs of which all are. */
  begins(): ReadonlyMap<LogId, Position> {
    const rings = [...this.#rings].map(([log, ring]) => ({ log, ring, taken: 0 }))
    let over = rings.reduce((sum, { ring }) => sum + ring.positions.length, 0) - this.#countMax
    const at = ({ ring, taken }: (typeof rings)[number], of: readonly number[]): number =>
      of[(ring.head + taken) % ring.positions.length] ?? Number.POSITIVE_INFINITY
    const oldest = new Heap<(typeof rings)[number]>((a, b) => {
      const [timeA, timeB] = [at(a, a.ring.timesMs), at(b, b.ring.timesMs)]
      return timeA < timeB || (timeA === timeB && a.log < b.log)
    })
    for (const lane of rings) oldest.push(lane)
    for (; over > 0; over--) {
      const lane = oldest.pop()
      if (lane === undefined) break
      lane.taken++
      if (lane.taken < lane.ring.positions.length) oldest.push(lane)
    }
    const begins = new Map<LogId, Position>()
    for (const lane of rings) {
      if (lane.taken === lane.ring.positions.length) begins.set(lane.log, Number.POSITIVE_INFINITY)
      else if (lane.taken > 0 || lane.ring.overflowed) begins.set(lane.log, at(lane, lane.ring.positions))
    }
    return begins
  }
}
