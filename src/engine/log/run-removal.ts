// SPDX-License-Identifier: Apache-2.0
// Removes runs from the middle of a log of type rocksdb. Each chunk is rewritten in the same write in which its runs go, so that the store says at every moment
// exactly what it has, and a crash leaves nothing to clear up.
import { must } from '#base/assert'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { KvOperation } from '#base/port/kv'
import type { Position } from '#contract/client/engine-client'
import type { RecordBatch } from '#contract/record/record-batch'
import { type Chunk, encodeChunk } from './key-layout.ts'
import type { StripeMachine, StripeStore } from './stripe-machine.ts'
import type { StripeMetrics } from './stripe-metrics.ts'

export class RunRemoval {
  readonly #machine: StripeMachine
  readonly #store: StripeStore
  readonly #metrics: StripeMetrics

  constructor(machine: StripeMachine, metrics: StripeMetrics) {
    this.#machine = machine
    this.#store = must(machine.stored, 'only a log that is stored has runs')
    this.#metrics = metrics
  }

  /** Nothing at or after it is removed: the retained view may still lack it, or the store. Never past what is committed. */
  get bound(): Position {
    return Math.min(this.#machine.tail.storedEnd, this.#machine.retainedUpTo)
  }

  /** Removes the runs of these topics from the chunks, which are as the store has them now. Resolves when that is durable. One call at a time for each log. */
  async remove(chunks: readonly Chunk[], topicIds: ReadonlySet<number>): Promise<void> {
    const { keys } = this.#store.log
    const operations: KvOperation[] = []
    let freedBytes = 0
    for (const chunk of chunks) {
      const doomed = chunk.topicIds.filter((id) => topicIds.has(id))
      if (doomed.length === 0) continue
      let chunkBytes = 0
      const runs = await this.runsOf(doomed, chunk.base)
      doomed.forEach((id, at) => {
        operations.push({ key: keys.run(id, chunk.base), value: undefined })
        chunkBytes += runs[at]?.bytes.length ?? 0
        this.#note(chunk.base, id, runs[at]?.recordCount ?? 1)
      })
      operations.push({ key: keys.chunk(chunk.base), value: rewritten(chunk, topicIds, chunkBytes) })
      freedBytes += chunkBytes
    }
    if (operations.length === 0) return
    this.#metrics.retentionBytes.add(freedBytes)
    this.#store.writer.add(operations, freedBytes)
    await this.#store.writer.persist()
  }

  /** The runs of topics in one chunk; undefined in place of one that is not there, or damaged: it may go without being read. */
  async runsOf(topicIds: readonly number[], base: Position): Promise<readonly (RecordBatch | undefined)[]> {
    try {
      return await this.#store.log.runsAt(topicIds.map((topicId) => ({ topicId, base })))
    } catch (error) {
      if (!isPlatformError(error, ERROR_CODES.dataDamaged)) throw error
    }
    if (topicIds.length === 1) return [undefined]
    const runs: (RecordBatch | undefined)[] = []
    for (const id of topicIds) runs.push((await this.runsOf([id], base))[0])
    return runs
  }

  #note(base: Position, topicId: number, records: number): void {
    this.#metrics.retentionRecords.add(records)
    const topic = this.#store.dictionary.byId(topicId)
    if (topic !== undefined) this.#store.removed.note(base, topic.name, records)
  }
}

/** The chunk without these topics; undefined when nothing is left of it. */
function rewritten(chunk: Chunk, without: ReadonlySet<number>, freedBytes: number): Buffer | undefined {
  const left = chunk.topicIds.filter((id) => !without.has(id))
  if (left.length === 0) return undefined
  return encodeChunk(chunk.end, chunk.appendTimeMs, Math.max(0, chunk.bytes - freedBytes), left, chunk.extent)
}
