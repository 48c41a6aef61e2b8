// SPDX-License-Identifier: Apache-2.0
// Turns consecutive batches of a log of type segment into one chunk that holds no record: for each topic the entries of the Raft log in which it occurs.
import { must } from '#base/assert'
import type { KvOperation } from '#base/port/kv'
import type { Position } from '#contract/client/engine-client'
import type { RecordBatch } from '#contract/record/record-batch'
import { CHUNK_SPAN_MS_MAX, type ChunkWriter } from './chunk-builder.ts'
import { CHUNK_ENTRIES_MAX, encodeChunk, encodeReference, encodeTopic, type LogKeys } from './key-layout.ts'
import type { Topic } from './topic.ts'

/** A chunk is closed when its batches have this many bytes: a reader without a topic goes through all of them. */
const CHUNK_BYTES = 128 * 1024

export class ReferenceBuilder implements ChunkWriter {
  #first: RecordBatch | undefined
  #firstEntry = 0
  #lastEntry = 0
  #bytes = 0
  #end: Position = 0
  readonly #entries = new Map<Topic, number[]>()

  get isEmpty(): boolean {
    return this.#first === undefined
  }

  isFullFor(batch: RecordBatch, entry: number): boolean {
    const first = this.#first
    if (first === undefined) return false
    return (
      this.#bytes + batch.bytes.length > CHUNK_BYTES ||
      entry - this.#firstEntry >= CHUNK_ENTRIES_MAX ||
      batch.appendTimeMs - first.appendTimeMs > CHUNK_SPAN_MS_MAX
    )
  }

  add(batch: RecordBatch, topics: readonly Topic[], end: Position, entry: number): void {
    if (this.#first === undefined) {
      this.#first = batch
      this.#firstEntry = entry
    }
    this.#lastEntry = entry
    this.#bytes += batch.bytes.length
    this.#end = end
    for (const topic of topics) {
      const entries = this.#entries.get(topic)
      if (entries === undefined) this.#entries.set(topic, [entry])
      else entries.push(entry)
    }
  }

  close(keys: LogKeys, operations: KvOperation[]): { readonly runs: number; readonly bytes: number } {
    const first = must(this.#first, 'a chunk that is closed has a batch')
    const base = first.basePosition
    const topicIds: number[] = []
    for (const [topic, entries] of this.#entries) {
      if (!topic.isSaved) {
        topic.savedLast = topic.last
        operations.push({ key: keys.topic(topic.name), value: encodeTopic(topic.id, topic.last) })
      }
      operations.push({ key: keys.run(topic.id, base), value: encodeReference(entries) })
      topicIds.push(topic.id)
    }
    const extent = { first: this.#firstEntry, count: this.#lastEntry - this.#firstEntry + 1 }
    operations.push({ key: keys.chunk(base), value: encodeChunk(this.#end, first.appendTimeMs, this.#bytes, topicIds, extent) })
    const bytes = this.#bytes
    this.#first = undefined
    this.#bytes = 0
    this.#entries.clear()
    return { runs: topicIds.length, bytes }
  }
}
