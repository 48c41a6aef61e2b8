// SPDX-License-Identifier: Apache-2.0
// Picks records out of batches that begin at one position, and merges them in the order of the log.
import { must } from '#base/assert'
import { Heap } from '#base/heap'
import type { Position } from '#contract/client/engine-client'
import { ATTRIBUTE, type RecordBatch, RecordBatchBuilder, RecordCursor } from '#contract/record/record-batch'
import type { FilterSet } from './filter-set.ts'

/** Records with a position in [from, to), and, when given, among `positions` and with that key, whose topic matches. */
export interface Wanted {
  readonly filters: FilterSet
  readonly from: Position
  readonly to: Position
  readonly positions?: ReadonlySet<Position>
  readonly key?: Buffer
}

/** One source of a merge, standing at a wanted record. */
class Head {
  readonly batch: RecordBatch
  readonly cursor = new RecordCursor()
  readonly #wanted: Wanted
  readonly #topicWanted: readonly boolean[]

  constructor(batch: RecordBatch, wanted: Wanted) {
    this.batch = batch
    this.#wanted = wanted
    this.#topicWanted = batch.topics.map((topic) => wanted.filters.matches(topic))
    this.cursor.reset(batch)
  }

  /** Moves to the next wanted record; false at the end. */
  advance(): boolean {
    const { from, to, positions, key } = this.#wanted
    while (this.cursor.next()) {
      const position = this.cursor.position
      if (position >= to) return false
      if (position < from || this.#topicWanted[this.cursor.topic] !== true) continue
      if (positions !== undefined && !positions.has(position)) continue
      if (key === undefined || this.#hasKey(key)) return true
    }
    return false
  }

  #hasKey(key: Buffer): boolean {
    const { attributes, keyStart, keyEnd } = this.cursor
    return (attributes & ATTRIBUTE.key) !== 0 && key.compare(this.batch.bytes, keyStart, keyEnd) === 0
  }
}

export class RecordSelection {
  readonly #builder = new RecordBatchBuilder()

  /**
   * The wanted records of `sources`, which all have the same base position, as one batch; undefined when there are none. A single batch of which
   * everything is wanted is returned itself. `end`: position after the last record of the sources, when it is known.
   */
  select(sources: readonly RecordBatch[], wanted: Wanted, end: Position | undefined): RecordBatch | undefined {
    const first = sources[0]
    if (first === undefined) return undefined
    if (sources.length === 1) {
      if (!first.topics.some((topic) => wanted.filters.matches(topic))) return undefined
      if (isWhollyWanted(first, wanted, end)) return first
    }
    const heads = new Heap<Head>((a, b) => a.cursor.position < b.cursor.position)
    for (const source of sources) {
      const head = new Head(source, wanted)
      if (head.advance()) heads.push(head)
    }
    for (let head = heads.pop(); head !== undefined; head = heads.pop())
      if (this.#copyUpTo(heads.peek()?.cursor.position ?? Number.POSITIVE_INFINITY, head)) heads.push(head)
    if (this.#builder.recordCount === 0) return undefined
    const selected = this.#builder.build()
    selected.stamp(first.basePosition, first.appendTimeMs, first.term)
    return selected
  }

  /** Copies the wanted records of `head` before `bound`, where another source goes on. False when there are no more. */
  #copyUpTo(bound: Position, head: Head): boolean {
    const { batch, cursor } = head
    do {
      const topic = this.#builder.topic(must(batch.topics[cursor.topic], 'a record has a topic of its batch'))
      this.#builder.copy(batch, cursor, topic, batch.basePosition)
      if (!head.advance()) return false
    } while (cursor.position < bound)
    return true
  }
}

function isWhollyWanted(batch: RecordBatch, wanted: Wanted, end: Position | undefined): boolean {
  if (wanted.positions !== undefined || wanted.key !== undefined || batch.basePosition < wanted.from) return false
  if ((end ?? endOf(batch)) > wanted.to) return false
  return batch.topics.every((topic) => wanted.filters.matches(topic))
}

/** Position after the last record. Batches with gaps must be looked through. */
function endOf(batch: RecordBatch): Position {
  const cursor = new RecordCursor()
  cursor.reset(batch)
  let end = batch.basePosition
  while (cursor.next()) end = cursor.position + 1
  return end
}
