// SPDX-License-Identifier: Apache-2.0
// Turns consecutive batches of a log of type segment into one chunk that holds no record: for each topic where in the Raft log its records are.
import { must } from '#base/assert'
import type { KvOperation } from '#base/port/kv'
import type { Position } from '#contract/client/engine-client'
import type { RecordBatch } from '#contract/record/record-batch'
import { SpanCursor } from '#contract/record/span-cursor'
import { CHUNK_SPAN_MS_MAX, type ChunkWriter } from './chunk-builder.ts'
import { encodeChunk, encodeTopic, type LogKeys } from './key-layout.ts'
import { ReferenceWriter } from './reference.ts'
import type { Topic } from './topic.ts'

/** A chunk is closed when its batches have this many bytes: a reader without a topic goes through all of them. */
const CHUNK_BYTES = 128 * 1024
/** A chunk spans fewer entries than this: those without records between them are read along. */
const CHUNK_ENTRIES_MAX = 0x1_0000
/** A topic with less than this part of the bytes of a chunk is referred to by pieces: what is written then returns many times when it is read. */
const PIECES_PART = 1 / 4
/** Spans for which there is room in the next chunk. */
const SPANS_KEPT = 16_384

const NONE = -1

/** What a chunk has of one topic. Its spans are a list, linked by their numbers. */
interface Slot {
  readonly topic: Topic
  recordCount: number
  recordBytes: number
  firstSpan: number
  lastSpan: number
}

export class ReferenceBuilder implements ChunkWriter {
  readonly #batches: RecordBatch[] = []
  readonly #entries: number[] = []
  #bytes = 0
  #end: Position = 0
  readonly #slots = new Map<Topic, Slot>()
  /** Slot of each topic of the batch at hand. */
  readonly #slotOf: (Slot | undefined)[] = []
  readonly #cursor = new SpanCursor()
  readonly #writer = new ReferenceWriter()
  /** By number of the span: the place of its batch, its bytes there, and the next span of the topic. */
  #spanBatch: number[] = []
  #spanStart: number[] = []
  #spanEnd: number[] = []
  #spanNext: number[] = []
  #spanCount = 0

  get isEmpty(): boolean {
    return this.#batches.length === 0
  }

  isFullFor(batch: RecordBatch, entry: number): boolean {
    const first = this.#batches[0]
    if (first === undefined) return false
    return (
      this.#bytes + batch.bytes.length > CHUNK_BYTES ||
      entry - (this.#entries[0] as number) >= CHUNK_ENTRIES_MAX ||
      batch.term !== first.term ||
      batch.appendTimeMs - first.appendTimeMs > CHUNK_SPAN_MS_MAX
    )
  }

  /** Records of a topic that is undefined are left out. */
  add(batch: RecordBatch, topics: readonly (Topic | undefined)[], end: Position, entry: number): void {
    const place = this.#batches.push(batch) - 1
    this.#entries.push(entry)
    this.#bytes += batch.bytes.length
    this.#end = end
    for (let at = 0; at < topics.length; at++) this.#slotOf[at] = this.#slot(topics[at])
    const cursor = this.#cursor
    cursor.reset(batch)
    while (cursor.next()) {
      const slot = this.#slotOf[cursor.topic]
      if (slot === undefined) continue
      slot.recordCount += cursor.recordCount
      slot.recordBytes += cursor.end - cursor.start
      const span = this.#spanCount++
      this.#spanBatch[span] = place
      this.#spanStart[span] = cursor.start
      this.#spanEnd[span] = cursor.end
      this.#spanNext[span] = NONE
      if (slot.lastSpan === NONE) slot.firstSpan = span
      else this.#spanNext[slot.lastSpan] = span
      slot.lastSpan = span
    }
  }

  close(keys: LogKeys, operations: KvOperation[]): { readonly runs: number; readonly bytes: number } {
    const first = must(this.#batches[0], 'a chunk that is closed has a batch')
    const base = first.basePosition
    const topicIds: number[] = []
    for (const slot of this.#slots.values()) {
      // A batch may name a topic of which it has no record.
      if (slot.recordCount === 0) continue
      const { topic } = slot
      if (!topic.isSaved) {
        topic.savedLast = topic.last
        operations.push({ key: keys.topic(topic.name), value: encodeTopic(topic.id, topic.last) })
      }
      const key = keys.run(topic.id, base)
      operations.push({ key, value: this.#refer(key, slot, first) })
      topicIds.push(topic.id)
    }
    const firstEntry = this.#entries[0] as number
    const extent = { first: firstEntry, count: (this.#entries.at(-1) as number) - firstEntry + 1, isTrimmed: false }
    operations.push({ key: keys.chunk(base), value: encodeChunk(this.#end, first.appendTimeMs, this.#bytes, topicIds, extent) })
    const bytes = this.#bytes
    this.#reset()
    return { runs: topicIds.length, bytes }
  }

  #refer(key: Buffer, { recordCount, recordBytes, firstSpan }: Slot, first: RecordBatch): Buffer {
    const writer = this.#writer
    const firstEntry = this.#entries[this.#spanBatch[firstSpan] as number] as number
    const byPieces = recordBytes < this.#bytes * PIECES_PART
    if (byPieces) writer.beginPieces(key, first.basePosition, recordCount, recordBytes, firstEntry, first.appendTimeMs, first.term)
    else writer.beginWhole(recordCount, recordBytes, firstEntry)
    for (let span = firstSpan; span !== NONE; span = this.#spanNext[span] as number) {
      const place = this.#spanBatch[span] as number
      const entry = this.#entries[place] as number
      if (!byPieces) {
        writer.entry(entry)
        continue
      }
      const batch = this.#batches[place] as RecordBatch
      writer.piece(entry, batch.basePosition, batch.bytes, this.#spanStart[span] as number, this.#spanEnd[span] as number)
    }
    return writer.finish(key)
  }

  #slot(topic: Topic | undefined): Slot | undefined {
    if (topic === undefined) return undefined
    const known = this.#slots.get(topic)
    if (known !== undefined) return known
    const slot = { topic, recordCount: 0, recordBytes: 0, firstSpan: NONE, lastSpan: NONE }
    this.#slots.set(topic, slot)
    return slot
  }

  #reset(): void {
    this.#batches.length = 0
    this.#entries.length = 0
    this.#slots.clear()
    this.#slotOf.length = 0
    this.#bytes = 0
    this.#spanCount = 0
    if (this.#spanBatch.length <= SPANS_KEPT) return
    this.#spanBatch = []
    this.#spanStart = []
    this.#spanEnd = []
    this.#spanNext = []
  }
}
