// SPDX-License-Identifier: Apache-2.0
// The recent batches of a log in memory. For a log of type rocksdb it always holds what the store does not have yet; for a log of type
// memory it is all there is. All tails that share a budget give up their oldest batch first, whichever log it belongs to.
import { assert } from '#base/assert'
import type { Position } from '#contract/client/engine-client'
import type { RecordBatch } from '#contract/record/record-batch'

/** What a batch costs beside its bytes: its objects and topic names. An estimate. */
const BATCH_OVERHEAD_BYTES = 256
const TOPIC_OVERHEAD_BYTES = 64
/** Evicted places at the front of the array are closed up when they are this many and half of it. */
const CLOSE_UP_COUNT = 256

export interface TailEntry {
  readonly batch: RecordBatch
  readonly base: Position
  /** Position after its last record. */
  readonly end: Position
  readonly sizeBytes: number
  /** Age among all entries of the budget. */
  readonly order: number
}

/** Bounds the bytes of several tails together. */
export class TailBudget {
  readonly #bytesMax: number
  readonly #onEvict: (sizeBytes: number) => void
  readonly #tails: Tail[] = []
  #bytes = 0
  #order = 0

  constructor(bytesMax: number, onEvict: (sizeBytes: number) => void) {
    this.#bytesMax = bytesMax
    this.#onEvict = onEvict
  }

  get bytes(): number {
    return this.#bytes
  }

  join(tail: Tail): void {
    this.#tails.push(tail)
  }

  leave(tail: Tail): void {
    const at = this.#tails.indexOf(tail)
    if (at >= 0) this.#tails.splice(at, 1)
  }

  /** Accounts for an entry; returns its place in the order of age. */
  add(sizeBytes: number): number {
    this.#bytes += sizeBytes
    return this.#order++
  }

  /** An entry has been given up without need. */
  release(sizeBytes: number): void {
    this.#bytes -= sizeBytes
  }

  /** Evicts the oldest batches over the bound, but for those that must stay. */
  trim(): void {
    while (this.#bytes > this.#bytesMax) {
      let oldest: Tail | undefined
      let order = Number.POSITIVE_INFINITY
      for (const tail of this.#tails) {
        const candidate = tail.oldestEvictable()
        if (candidate === undefined || candidate.order >= order) continue
        oldest = tail
        order = candidate.order
      }
      if (oldest === undefined) return
      const freed = oldest.evictOldest()
      this.#bytes -= freed
      this.#onEvict(freed)
    }
  }
}

export class Tail {
  readonly #budget: TailBudget
  #entries: (TailEntry | undefined)[] = []
  #head = 0
  #first: Position
  #end: Position
  /** Batches that end at or below it are elsewhere too, or need not be kept. */
  #storedEnd: Position
  #sizeBytes = 0

  /** A tail that begins empty at `position`. `volatile`: any batch may be evicted. */
  constructor(budget: TailBudget, position: Position, volatile: boolean) {
    this.#budget = budget
    this.#first = position
    this.#end = position
    this.#storedEnd = volatile ? Number.POSITIVE_INFINITY : position
    budget.join(this)
  }

  /** Everything that is kept of [first, end) is here. */
  get first(): Position {
    return this.#first
  }

  get end(): Position {
    return this.#end
  }

  /** Everything before it is in the store; no limit for a tail that is all there is. */
  get storedEnd(): Position {
    return this.#storedEnd
  }

  /** What its batches count for in the budget. */
  get sizeBytes(): number {
    return this.#sizeBytes
  }

  get count(): number {
    return this.#entries.length - this.#head
  }

  /** Begins again, empty, at a position read from the store. */
  begin(position: Position): void {
    assert(this.count === 0, 'a tail begins empty')
    this.#first = this.#end = this.#storedEnd = position
  }

  append(batch: RecordBatch, base: Position, end: Position): void {
    assert(base === this.#end, 'batches enter the tail without a gap')
    const sizeBytes = batch.bytes.length + BATCH_OVERHEAD_BYTES + TOPIC_OVERHEAD_BYTES * batch.topics.length
    const order = this.#budget.add(sizeBytes)
    this.#entries.push({ batch, base, end, sizeBytes, order })
    this.#sizeBytes += sizeBytes
    this.#end = end
    this.#budget.trim()
  }

  /** Passes over records of which nothing is kept. */
  skip(end: Position): void {
    this.#end = end
    if (this.count === 0) this.#first = end
  }

  /** Batches that end at or below `position` may be evicted from now on. */
  storedTo(position: Position): void {
    this.#storedEnd = position
    this.#budget.trim()
  }

  oldestEvictable(): TailEntry | undefined {
    const oldest = this.#entries[this.#head]
    return oldest !== undefined && oldest.end <= this.#storedEnd ? oldest : undefined
  }

  /** Returns the bytes freed. */
  evictOldest(): number {
    const oldest = this.#entries[this.#head]
    assert(oldest !== undefined, 'only a batch that is there is evicted')
    this.#entries[this.#head++] = undefined
    this.#sizeBytes -= oldest.sizeBytes
    this.#first = this.count === 0 ? this.#end : oldest.end
    if (this.#head >= CLOSE_UP_COUNT && this.#head * 2 >= this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head)
      this.#head = 0
    }
    return oldest.sizeBytes
  }

  /** Gives up what lies before `position` and is in the store too. */
  evictStored(position: Position): void {
    for (let oldest = this.oldestEvictable(); oldest !== undefined && oldest.base < position; oldest = this.oldestEvictable())
      this.#budget.release(this.evictOldest())
  }

  /** The log is gone, and its batches with it. */
  abandon(): void {
    this.#budget.leave(this)
    this.#budget.release(this.#sizeBytes)
    this.#entries = []
    this.#head = 0
    this.#sizeBytes = 0
    this.#first = this.#end
  }

  /** Index, for `entry`, of the first batch that ends after `position`; `count` when there is none. */
  locate(position: Position): number {
    let low = this.#head
    let high = this.#entries.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#entries[middle] as TailEntry).end <= position) low = middle + 1
      else high = middle
    }
    return low - this.#head
  }

  entry(index: number): TailEntry | undefined {
    return this.#entries[this.#head + index]
  }
}
