// SPDX-License-Identifier: Apache-2.0
// Reads of the records of one topic that have a given key: what is stored by the index of keys, what is in the tail by looking through it.
import type { KeyReadRequest, Position, ReadResult } from '#contract/client/engine-client'
import type { RecordBatch } from '#contract/record/record-batch'
import type { CatchUp, ReadableLog } from './catch-up.ts'
import { FilterSet } from './filter-set.ts'
import { RecordSelection, type Wanted } from './record-selection.ts'

/** Entries of the index taken at once. */
const POSITIONS_MAX = 64

/** One read under way. */
interface Progress {
  readonly filters: FilterSet
  readonly key: Buffer
  readonly batches: RecordBatch[]
  bytes: number
  /** Everything before it has been looked at. */
  at: Position
}

export class KeyReads {
  readonly #log: ReadableLog
  readonly #catchUp: CatchUp
  readonly #selection = new RecordSelection()

  constructor(log: ReadableLog, catchUp: CatchUp) {
    this.#log = log
    this.#catchUp = catchUp
  }

  /** Rejects with dataDamaged. */
  async read({ topic, key, from, bytesMax }: Omit<KeyReadRequest, 'log'>): Promise<ReadResult> {
    const first = Math.min(Math.max(from, this.#log.start), this.#log.tail.end)
    const progress: Progress = { filters: new FilterSet([topic]), key, batches: [], bytes: 0, at: first }
    if (!(await this.#readStored(progress, topic, bytesMax)))
      return { batches: progress.batches, next: progress.at, atEnd: false, from: first }
    const rest = await this.#catchUp.readMatching(progress.filters, progress.at, Math.max(1, bytesMax - progress.bytes))
    for (const batch of rest.batches) this.#take(progress, [batch], Number.POSITIVE_INFINITY)
    return {
      batches: progress.batches,
      next: rest.next,
      atEnd: rest.next === this.#log.tail.end,
      from: this.#log.stored === undefined ? rest.from : first,
    }
  }

  /** Reads up to where the tail begins now; false when it stopped earlier. */
  async #readStored(progress: Progress, topic: string, bytesMax: number): Promise<boolean> {
    const { stored, tail } = this.#log
    const to = tail.first
    const id = stored?.dictionary.byName(topic)?.id
    if (stored === undefined || id === undefined || progress.at >= to) return true
    const positions = await stored.log.positionsOfKey(id, progress.key, progress.at, to, POSITIONS_MAX)
    const ids = new Set([id])
    for (const position of positions) {
      // What a chunk has of the key is taken together.
      if (position < progress.at) continue
      if (progress.bytes >= bytesMax) return false
      const chunk = await stored.log.chunkAt(position)
      if (chunk === undefined) continue
      const end = Math.min(chunk.end, to)
      for (const sources of await stored.records.ofChunks([chunk], ids)) this.#take(progress, sources, end)
      progress.at = end
    }
    if (positions.length === POSITIONS_MAX) return false
    progress.at = Math.max(progress.at, to)
    return true
  }

  #take(progress: Progress, sources: readonly RecordBatch[], to: Position): void {
    const { filters, key, at } = progress
    const wanted: Wanted = { filters, key, from: at, to }
    const batch = this.#selection.select(sources, wanted, undefined)
    if (batch === undefined) return
    progress.batches.push(batch)
    progress.bytes += batch.bytes.length
  }
}
