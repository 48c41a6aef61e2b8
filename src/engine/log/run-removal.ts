// SPDX-License-Identifier: Apache-2.0
// Removes topics from the middle of a stored log. Each chunk is rewritten in the same write in which its runs go, so that the index says at every moment
// exactly what may be read, and a crash leaves nothing to clear up. The bytes of a log of type segment are given back when their file goes.
import { must } from '#base/assert'
import type { KvOperation } from '#base/port/kv'
import type { Position } from '#contract/client/engine-client'
import { type Chunk, encodeChunk } from './key-layout.ts'
import type { StripeMachine, StripeStore } from './stripe-machine.ts'
import type { StripeMetrics } from './stripe-metrics.ts'
import { sharesOf } from './topic-share.ts'

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

  /**
   * Removes these topics from the chunks, which are as the store has them now. From then on no read delivers their records; resolves when that is durable, with how many
   * they were. One call at a time for each log.
   */
  async remove(chunks: readonly Chunk[], topicIds: ReadonlySet<number>): Promise<number> {
    const { log, writer } = this.#store
    const operations: KvOperation[] = []
    let freedBytes = 0
    let count = 0
    let end: Position = 0
    for (const chunk of chunks) {
      const doomed = chunk.topicIds.filter((id) => topicIds.has(id))
      if (doomed.length === 0) continue
      const left = chunk.topicIds.filter((id) => !topicIds.has(id))
      const shares = await sharesOf(log, chunk, doomed)
      let topicBytes = 0
      shares.forEach(({ records, bytes }, at) => {
        topicBytes += bytes
        count += records
        this.#note(chunk, must(doomed[at], 'each topic has a share'), records)
      })
      // With the last topic goes what belongs to none: headers and names.
      const chunkBytes = left.length === 0 ? chunk.bytes : Math.min(topicBytes, chunk.bytes)
      for (const id of doomed) operations.push({ key: log.keys.run(id, chunk.base), value: undefined })
      operations.push({ key: log.keys.chunk(chunk.base), value: rewritten(chunk, left, chunkBytes) })
      freedBytes += chunkBytes
      end = chunk.end
    }
    if (operations.length === 0) return 0
    this.#machine.tail.evictStored(end)
    this.#metrics.retentionBytes.add(freedBytes)
    writer.add(operations, freedBytes)
    await writer.persist()
    return count
  }

  #note({ base, end }: Chunk, topicId: number, records: number): void {
    this.#metrics.retentionRecords.add(records)
    const topic = this.#store.dictionary.byId(topicId)
    if (topic !== undefined) this.#store.removed.note(base, end, topic.name, records)
  }
}

/** The chunk with only these topics; undefined when nothing is left of it. */
function rewritten({ end, appendTimeMs, bytes, extent }: Chunk, topicIds: readonly number[], freedBytes: number): Buffer | undefined {
  if (topicIds.length === 0) return undefined
  return encodeChunk(end, appendTimeMs, bytes - freedBytes, topicIds, extent && { ...extent, isTrimmed: true })
}
