// SPDX-License-Identifier: Apache-2.0
// Reads the state, the topics and the chunks of one log from the key-value store, and its runs, each checked before it is believed (L26).
import { must } from '#base/assert'
import { readUint64 } from '#base/bytes'
import { crc32c } from '#base/crc32c'
import type { Kv, KvPair } from '#base/port/kv'
import type { LogId, Position } from '#contract/client/engine-client'
import { RecordBatch } from '#contract/record/record-batch'
import {
  type Chunk,
  damaged,
  decodeChunk,
  decodeState,
  decodeTopic,
  LogKeys,
  publisherOf,
  recordKeyPositionOf,
  type StoredState,
  sequenceOf,
  topicNameOf,
} from './key-layout.ts'
import { decodeReference, type Reference } from './reference.ts'

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

/** The records of a topic in the chunk of a base. */
export interface RunPlace {
  readonly topicId: number
  readonly base: Position
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

  /** Positions in [from, to) of records of a topic whose key may be this one, ascending, at most `limit`. Some may be gone, or have another key of the same hash. */
  async positionsOfKey(topicId: number, recordKey: Buffer, from: Position, to: Position, limit: number): Promise<readonly Position[]> {
    if (from >= to) return []
    const hash = crc32c(recordKey)
    const range = { gte: this.keys.recordKey(topicId, hash, from), lt: this.keys.recordKey(topicId, hash, to) }
    return (await this.#kv.scan({ ...range, limit })).map(({ key }) => recordKeyPositionOf(key))
  }

  /** Of the next `limit` entries for keys of records after `after`, those of records before `start`, and the last one looked at; undefined at the end. */
  async recordKeysBefore(
    start: Position,
    after: Buffer | undefined,
    limit: number,
  ): Promise<{ readonly old: readonly Buffer[]; readonly last: Buffer | undefined }> {
    const { gte, lt } = this.keys.recordKeys
    const pairs = await this.#kv.scan({ gte: after === undefined ? gte : Buffer.concat([after, Buffer.from([0])]), lt, limit })
    const old = pairs.map(({ key }) => key).filter((key) => recordKeyPositionOf(key) < start)
    return { old, last: pairs.length < limit ? undefined : pairs.at(-1)?.key }
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

  /** Where the records of a topic are, for chunks whose base is in [from, to), at most `limit`. Only of a log of type segment. */
  async references(topicId: number, from: Position, to: Position, limit: number): Promise<Reference[]> {
    if (from >= to) return []
    const pairs = await this.#kv.scan({ ...this.keys.runs(topicId, from, to), limit })
    return pairs.map(({ key, value }) => decodeReference(key, value))
  }

  /** The references of several chunks, in order; undefined in place of one that is not there any more. Only of a log of type segment. */
  async referencesAt(places: readonly RunPlace[]): Promise<(Reference | undefined)[]> {
    const keys = places.map(({ topicId, base }) => this.keys.run(topicId, base))
    const values = await this.#kv.getMany(keys)
    return values.map((value, at) => (value === undefined ? undefined : decodeReference(keys[at] as Buffer, value)))
  }

  /** The runs of several chunks, in order; undefined in place of one that is not there any more. */
  async runsAt(places: readonly RunPlace[]): Promise<(RecordBatch | undefined)[]> {
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
