// SPDX-License-Identifier: Apache-2.0
// Turns consecutive batches of a log into one chunk: a run for each topic. One topic is then one range of keys, and the more
// batches are waiting the fewer and larger the writes are (D-001).
import { must } from '#base/assert'
import type { KvOperation } from '#base/port/kv'
import type { Position } from '#contract/client/engine-client'
import { type RecordBatch, RecordBatchBuilder, RecordCursor } from '#contract/record/record-batch'
import { encodeChunk, encodeTopic, type LogKeys } from './key-layout.ts'
import type { Topic } from './topic.ts'

/** A chunk is closed when it has this many bytes. A larger batch is a chunk of its own. */
const CHUNK_BYTES = 64 * 1024
/** The batches of a chunk were appended within this time: its runs know only the time of the first. */
export const CHUNK_SPAN_MS_MAX = 100
/** Builders kept for the next chunk. */
const BUILDERS_KEPT = 64

/** Fills one chunk at a time. One serves all logs of a storage type: a chunk is filled and closed within one turn. */
export interface ChunkWriter {
  readonly isEmpty: boolean
  /** Whether the chunk must be closed before this batch, which is in entry `entry`. */
  isFullFor(batch: RecordBatch, entry: number): boolean
  /** `topics` are those of the batch, in its order. */
  add(batch: RecordBatch, topics: readonly Topic[], end: Position, entry: number): void
  /** Adds the operations that store the chunk, and its new topics. Returns how many runs it has, and the bytes of its records. */
  close(keys: LogKeys, operations: KvOperation[]): { readonly runs: number; readonly bytes: number }
}

export class ChunkBuilder implements ChunkWriter {
  readonly #batches: RecordBatch[] = []
  readonly #topics: (readonly Topic[])[] = []
  #bytes = 0
  #end: Position = 0
  readonly #cursor = new RecordCursor()
  /** Place of a topic among those of the chunk. */
  readonly #slots = new Map<Topic, number>()
  readonly #slotTopics: Topic[] = []
  readonly #builders: RecordBatchBuilder[] = []
  /** Slot of each topic of the batch at hand. */
  readonly #slotOf: number[] = []

  isFullFor(batch: RecordBatch): boolean {
    const first = this.#batches[0]
    if (first === undefined) return false
    return (
      this.#bytes + batch.bytes.length > CHUNK_BYTES ||
      batch.term !== first.term ||
      batch.appendTimeMs - first.appendTimeMs > CHUNK_SPAN_MS_MAX
    )
  }

  get isEmpty(): boolean {
    return this.#batches.length === 0
  }

  add(batch: RecordBatch, topics: readonly Topic[], end: Position): void {
    this.#batches.push(batch)
    this.#topics.push(topics)
    this.#bytes += batch.bytes.length
    this.#end = end
  }

  close(keys: LogKeys, operations: KvOperation[]): { readonly runs: number; readonly bytes: number } {
    const first = must(this.#batches[0], 'a chunk that is closed has a batch')
    const base = first.basePosition
    const topicIds: number[] = []
    let bytes = 0
    const emit = (topic: Topic, run: RecordBatch): void => {
      if (!topic.isSaved) {
        topic.savedLast = topic.last
        operations.push({ key: keys.topic(topic.name), value: encodeTopic(topic.id, topic.last) })
      }
      operations.push({ key: keys.run(topic.id, base), value: run.bytes })
      topicIds.push(topic.id)
      bytes += run.bytes.length
    }
    // A batch of a single topic is stored as it is.
    if (this.#batches.length === 1 && first.topics.length === 1) emit(this.#topicOf(0, 0), first)
    else {
      this.#split(base)
      this.#slotTopics.forEach((topic, slot) => {
        const builder = this.#builders[slot] as RecordBatchBuilder
        if (builder.recordCount === 0) return
        const run = builder.build()
        run.stamp(base, first.appendTimeMs, first.term)
        emit(topic, run)
      })
    }
    operations.push({ key: keys.chunk(base), value: encodeChunk(this.#end, first.appendTimeMs, bytes, topicIds) })
    this.#reset()
    return { runs: topicIds.length, bytes }
  }

  /** Copies each record to the builder of its topic. */
  #split(base: Position): void {
    const cursor = this.#cursor
    this.#batches.forEach((batch, index) => {
      for (let at = 0; at < batch.topics.length; at++) this.#slotOf[at] = this.#slot(this.#topicOf(index, at))
      cursor.reset(batch)
      while (cursor.next()) {
        const builder = this.#builders[this.#slotOf[cursor.topic] as number] as RecordBatchBuilder
        builder.copy(batch, cursor, 0, base)
      }
    })
  }

  #slot(topic: Topic): number {
    const known = this.#slots.get(topic)
    if (known !== undefined) return known
    const slot = this.#slotTopics.push(topic) - 1
    this.#slots.set(topic, slot)
    let builder = this.#builders[slot]
    if (builder === undefined) {
      builder = new RecordBatchBuilder()
      this.#builders.push(builder)
    }
    builder.topic(topic.name)
    return slot
  }

  #topicOf(batch: number, index: number): Topic {
    return must(this.#topics[batch]?.[index], 'every topic of a batch is in the dictionary')
  }

  #reset(): void {
    this.#batches.length = 0
    this.#topics.length = 0
    this.#slotTopics.length = 0
    this.#slots.clear()
    this.#bytes = 0
    if (this.#builders.length > BUILDERS_KEPT) this.#builders.length = BUILDERS_KEPT
  }
}
