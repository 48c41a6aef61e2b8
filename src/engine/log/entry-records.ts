// SPDX-License-Identifier: Apache-2.0
// The records of a log of type segment: the Raft log is the data log, so a batch is got by the index of its entry, and the store holds only references.
import type { Position } from '#contract/client/engine-client'
import { RecordBatch } from '#contract/record/record-batch'
import type { EntryBatches, EntryContent } from './entry-batches.ts'
import { type Chunk, damaged } from './key-layout.ts'
import type { Reference, StoredLog } from './stored-log.ts'
import type { RecordSet, StoredRecords, TopicReader } from './stored-records.ts'
import type { Topic } from './topic.ts'

/** References read at first, over all topics, and then in a page of one topic; at least one of each. */
const FIRST_COUNT = 4
const PAGE_COUNT_MAX = 64
/** Entries that are asked for together. */
const ENTRIES_MAX = 256

export class EntryRecords implements StoredRecords {
  readonly #log: StoredLog
  readonly #batches: EntryBatches
  readonly #start: () => Position

  constructor(log: StoredLog, batches: EntryBatches, start: () => Position) {
    this.#log = log
    this.#batches = batches
    this.#start = start
  }

  ofTopics(topics: readonly Topic[], from: Position, to: Position): TopicReader {
    return new TopicEntries(this.#log, this.#batches, this.#start, topics, from, to)
  }

  async ofChunks(chunks: readonly Chunk[], topicIds: ReadonlySet<number>): Promise<readonly RecordSet[]> {
    const indexes: number[] = []
    let firstBase: Position | undefined
    for (const { base, extent, topicIds: ids } of chunks) {
      if (extent === undefined || !ids.some((id) => topicIds.has(id))) continue
      firstBase ??= base
      for (let at = 0; at < extent.count; at++) indexes.push(extent.first + at)
    }
    if (firstBase === undefined) return []
    return batchesOf(this.#log, await this.#batches.read(indexes, Number.POSITIVE_INFINITY), firstBase, this.#start)
  }
}

/** References of one topic. */
interface Lane {
  readonly topicId: number
  references: readonly Reference[]
  at: number
  /** The store has no more of them. */
  last: boolean
}

/** The entries that have any of several topics, each once, in order. Reads some references of each topic ahead. */
class TopicEntries implements TopicReader {
  readonly #log: StoredLog
  readonly #batches: EntryBatches
  readonly #start: () => Position
  readonly #topics: readonly Topic[]
  readonly #from: Position
  readonly #to: Position
  #lanes: Lane[] | undefined
  /** Entries to read, and the base of the chunk of the first of them. */
  #entries: number[] = []
  #entriesBase: Position = 0
  #ready: RecordSet[] = []
  #readyAt = 0
  /** Grows, so that a reader of one message costs one entry. */
  #entriesMax = 1

  constructor(log: StoredLog, batches: EntryBatches, start: () => Position, topics: readonly Topic[], from: Position, to: Position) {
    this.#log = log
    this.#batches = batches
    this.#start = start
    this.#topics = topics
    this.#from = from
    this.#to = to
  }

  async next(bytesLeft: number): Promise<RecordSet> {
    while (this.#readyAt === this.#ready.length) {
      if (this.#entries.length === 0 && !(await this.#refer())) return []
      const contents = await this.#batches.read(this.#entries, Math.max(1, bytesLeft))
      this.#entries = this.#entries.slice(contents.length)
      this.#ready = batchesOf(this.#log, contents, this.#entriesBase, this.#start)
      this.#readyAt = 0
    }
    return this.#ready[this.#readyAt++] as RecordSet
  }

  /** Takes the entries of the next chunks that have any of the topics. False at the end. */
  async #refer(): Promise<boolean> {
    this.#lanes ??= await this.#open()
    while (this.#entries.length < this.#entriesMax) {
      const base = await this.#lowestBase(this.#lanes)
      if (base === Number.POSITIVE_INFINITY) break
      if (this.#entries.length === 0) this.#entriesBase = base
      const entries = new Set<number>()
      for (const lane of this.#lanes) {
        if (baseOf(lane) !== base) continue
        for (const entry of (lane.references[lane.at] as Reference).entries) entries.add(entry)
        lane.at++
      }
      this.#entries.push(...[...entries].sort((a, b) => a - b))
    }
    this.#entriesMax = Math.min(ENTRIES_MAX, this.#entriesMax * 4)
    return this.#entries.length > 0
  }

  async #lowestBase(lanes: readonly Lane[]): Promise<Position> {
    const empty = lanes.filter((lane) => lane.at === lane.references.length && !lane.last)
    if (empty.length > 0) await Promise.all(empty.map((lane) => this.#refill(lane)))
    let base = Number.POSITIVE_INFINITY
    for (const lane of lanes) base = Math.min(base, baseOf(lane))
    return base
  }

  #open(): Promise<Lane[]> {
    const count = Math.max(1, Math.floor(FIRST_COUNT / this.#topics.length))
    return Promise.all(
      this.#topics.map(async ({ id }) => {
        const references = await this.#log.references(id, this.#from, this.#to, count)
        return { topicId: id, references, at: 0, last: references.length < count }
      }),
    )
  }

  async #refill(lane: Lane): Promise<void> {
    const count = Math.min(PAGE_COUNT_MAX, lane.references.length * 4)
    const after = (lane.references.at(-1)?.base ?? this.#from) + 1
    lane.references = await this.#log.references(lane.topicId, after, this.#to, count)
    lane.at = 0
    lane.last = lane.references.length < count
  }
}

const baseOf = (lane: Lane): Position => lane.references[lane.at]?.base ?? Number.POSITIVE_INFINITY

/** Each batch as a set. `base` is that of the chunk of the first entry: while the log begins at or before it, none may be missing. */
function batchesOf(log: StoredLog, contents: readonly EntryContent[], base: Position, start: () => Position): RecordSet[] {
  const sets: RecordSet[] = []
  for (const content of contents) {
    if (content instanceof RecordBatch) sets.push([content])
    else if (content === 'gone' && base >= start()) throw damaged(`log ${log.log}: entries of chunk ${base} or of one after it are missing`)
  }
  return sets
}
