// SPDX-License-Identifier: Apache-2.0
// Reads the state, the topics and the chunks of one log from the key-value store, and its runs, each checked before it is believed (L26).
import { must } from '#base/assert'
import { readUint64 } from '#base/bytes'
import type { Kv, KvPair } from '#base/port/kv'
import type { LogId, Position } from '#contract/client/engine-client'
import { RecordBatch } from '#contract/record/record-batch'
import {
  type Chunk,
  damaged,
  decodeChunk,
  decodeReference,
  decodeState,
  decodeTopic,
  LogKeys,
  publisherOf,
  runBaseOf,
  type StoredState,
  sequenceOf,
  topicNameOf,
} from './key-layout.ts'

const PAGE_COUNT = 1000

export interface StoredSequence {
  readonly publisher: number
  readonly sequence: number
  readonly position: Position
}

export interface StoredTopic {
  readonly id: number
  readonly name: string
  last: Position
}

/** The entries of one chunk in which a topic occurs. */
export interface Reference {
  /** Of the chunk. */
  readonly base: Position
  readonly entries: readonly number[]
}

/** Everything but the records. */
export interface StoredLogState {
  readonly state: StoredState
  readonly topics: readonly StoredTopic[]
  readonly sequences: readonly StoredSequence[]
}

export class StoredLog {
  readonly log: LogId
  readonly keys: LogKeys
  readonly #kv: Kv
  readonly #hasExtents: boolean

  /** `hasExtents`: its records are in the Raft log, and the chunks say where. */
  constructor(log: LogId, kv: Kv, hasExtents: boolean) {
    this.log = log
    this.#hasExtents = hasExtents
    this.keys = new LogKeys(log)
    this.#kv = kv
  }

  /** Undefined for a log that has never been written. */
  async load(): Promise<StoredLogState | undefined> {
    const bytes = await this.#kv.get(this.keys.state)
    if (bytes === undefined) return undefined
    const state = decodeState(bytes)
    const topics = new Map<number, StoredTopic>()
    for await (const { key, value } of this.#pairs(this.keys.topics)) {
      const { id, last } = decodeTopic(value)
      // A last position is written as it is in memory, which may be ahead of the records in the store: those are applied again.
      topics.set(id, { id, name: topicNameOf(key), last: Math.min(last, state.end - 1) })
    }
    const from = await this.chunkBaseAt(state.topicsSavedUpTo)
    for await (const { key, value } of this.#pairs(this.keys.chunks(from))) {
      const chunk = decodeChunk(key, value, this.#hasExtents)
      for (const id of chunk.topicIds) {
        const topic = topics.get(id)
        if (topic === undefined && chunk.end > state.start)
          throw damaged(`log ${this.log}: chunk ${chunk.base} has topic ${id}, which is unknown`)
        if (topic !== undefined) topic.last = Math.max(topic.last, chunk.end - 1)
      }
    }
    const sequences: StoredSequence[] = []
    for await (const { key, value } of this.#pairs(this.keys.sequences))
      sequences.push({ publisher: publisherOf(key), sequence: sequenceOf(key), position: readUint64(value, 0) })
    return { state, topics: [...topics.values()], sequences }
  }

  /** Base of the chunk that holds `position`, or `position` itself when none does. */
  async chunkBaseAt(position: Position): Promise<Position> {
    const chunk = await this.chunkAt(position)
    return chunk?.base ?? position
  }

  async chunkAt(position: Position): Promise<Chunk | undefined> {
    const chunk = await this.chunkUpTo(position)
    return chunk !== undefined && chunk.end > position ? chunk : undefined
  }

  /** The last chunk that begins at or before `position`. */
  async chunkUpTo(position: Position): Promise<Chunk | undefined> {
    const [pair] = await this.#kv.scan({ ...this.keys.chunks(0, position + 1), reverse: true, limit: 1 })
    return pair === undefined ? undefined : decodeChunk(pair.key, pair.value, this.#hasExtents)
  }

  /** Whether the chunk of this base has records of the topic, as of now. */
  async lists(base: Position, topicId: number): Promise<boolean> {
    const chunk = await this.chunkAt(base)
    return chunk?.base === base && chunk.topicIds.includes(topicId)
  }

  /** Chunks whose base is in [from, to), at most `limit`. */
  async chunks(from: Position, to: Position, limit: number): Promise<Chunk[]> {
    if (from >= to) return []
    const pairs = await this.#kv.scan({ ...this.keys.chunks(from, to), limit })
    return pairs.map((pair) => decodeChunk(pair.key, pair.value, this.#hasExtents))
  }

  /** Runs of a topic whose base is in [from, to), at most `limit`. */
  async runs(topicId: number, from: Position, to: Position, limit: number): Promise<RecordBatch[]> {
    if (from >= to) return []
    const pairs = await this.#kv.scan({ ...this.keys.runs(topicId, from, to), limit })
    return pairs.map((pair) => RecordBatch.parse(pair.value))
  }

  /** Which entries have records of a topic, for chunks whose base is in [from, to), at most `limit`. */
  async references(topicId: number, from: Position, to: Position, limit: number): Promise<Reference[]> {
    if (from >= to) return []
    const pairs = await this.#kv.scan({ ...this.keys.runs(topicId, from, to), limit })
    return pairs.map(({ key, value }) => ({ base: runBaseOf(key), entries: decodeReference(value) }))
  }

  /** The runs of several chunks, in order; undefined in place of one that is not there any more. */
  async runsAt(places: readonly { readonly topicId: number; readonly base: Position }[]): Promise<(RecordBatch | undefined)[]> {
    const values = await this.#kv.getMany(places.map(({ topicId, base }) => this.keys.run(topicId, base)))
    return values.map((value) => (value === undefined ? undefined : RecordBatch.parse(value)))
  }

  async *#pairs(range: { readonly gte: Buffer; readonly lt: Buffer }): AsyncIterableIterator<KvPair> {
    let gte = range.gte
    for (;;) {
      const page = await this.#kv.scan({ gte, lt: range.lt, limit: PAGE_COUNT })
      for (const pair of page) yield pair
      if (page.length < PAGE_COUNT) return
      gte = Buffer.concat([must(page.at(-1), 'a full page has a last pair').key, Buffer.from([0])])
    }
  }
}
