// SPDX-License-Identifier: Apache-2.0
// The records of a log of type segment: the Raft log is the data log, and the store holds only references. What has much of its chunk is read by whole
// entries, what has little of it by pieces.
import type { Position } from '#contract/client/engine-client'
import { RecordBatch } from '#contract/record/record-batch'
import type { EntryBatches } from './entry-batches.ts'
import { type Chunk, damaged } from './key-layout.ts'
import { ListedRecords } from './listed-records.ts'
import { PieceRuns, type TopicPart } from './piece-runs.ts'
import type { Reference } from './reference.ts'
import type { StoredLog } from './stored-log.ts'
import type { RecordSet, StoredRecords, TopicReader } from './stored-records.ts'
import type { Topic } from './topic.ts'
import type { TopicDictionary } from './topic-dictionary.ts'

/** References read at first, over all topics, and then in a page of one topic; at least one of each. */
const FIRST_COUNT = 4
const PAGE_COUNT_MAX = 64
/** Chunks of which records are asked for together. */
const CHUNKS_MAX = 64
/** A chunk in which no more than this part of the topics is wanted is not read whole. */
const WANTED_PART = 1 / 8

/** An entry that is read whole, and what of it may be seen: its records of other topics may have been removed. */
interface WholeEntry {
  readonly index: number
  readonly isListed: (topic: string) => boolean
}

/** How the records of a log are read, of single topics and of all. */
export class EntryRecords implements StoredRecords {
  readonly #log: StoredLog
  readonly #dictionary: TopicDictionary
  readonly #entries: EntryReads
  readonly #pieces: PieceRuns

  /** Entries before `neededFrom` may be gone. */
  constructor(log: StoredLog, dictionary: TopicDictionary, batches: EntryBatches, neededFrom: () => number) {
    this.#log = log
    this.#dictionary = dictionary
    this.#entries = new EntryReads(log, batches, neededFrom)
    this.#pieces = new PieceRuns(log, batches, neededFrom)
  }

  ofTopics(topics: readonly Topic[], from: Position, to: Position): TopicReader {
    return new TopicEntries(this.#log, this.#entries, this.#pieces, topics, from, to)
  }

  async ofChunks(chunks: readonly Chunk[], topicIds: ReadonlySet<number>): Promise<readonly RecordSet[]> {
    const parts = await this.#sparseParts(chunks, topicIds)
    const wholes: WholeEntry[] = []
    for (const chunk of chunks) {
      const { extent, topicIds: ids, base } = chunk
      if (extent === undefined || parts.has(base) || !ids.some((id) => topicIds.has(id))) continue
      const isListed = extent.isTrimmed ? this.#listedIn(chunk) : everything
      for (let at = 0; at < extent.count; at++) wholes.push({ index: extent.first + at, isListed })
    }
    const sets = wholes.length === 0 ? [] : [...(await this.#entries.read(wholes, Number.POSITIVE_INFINITY)).sets]
    if (parts.size === 0) return sets
    for (const { runs } of await this.#pieces.read([...parts.values()].flat())) sets.push(runs)
    return sets.sort((a, b) => (a[0]?.basePosition ?? 0) - (b[0]?.basePosition ?? 0))
  }

  /** By base, the parts of chunks of which few topics are wanted, each of which is referred to by pieces. */
  async #sparseParts(chunks: readonly Chunk[], topicIds: ReadonlySet<number>): Promise<ReadonlyMap<Position, readonly TopicPart[]>> {
    const parts = new Map<Position, readonly TopicPart[]>()
    for (const { base, topicIds: ids } of chunks) {
      const wanted = ids.flatMap((id) => (topicIds.has(id) ? (this.#dictionary.byId(id) ?? []) : []))
      if (wanted.length === 0 || wanted.length > ids.length * WANTED_PART) continue
      const references = await this.#log.referencesAt(wanted.map(({ id }) => ({ topicId: id, base })))
      const found = wanted.flatMap((topic, at) => {
        const reference = references[at]
        return reference?.pieces === undefined ? [] : { topic, reference }
      })
      if (found.length === wanted.length) parts.set(base, found)
    }
    return parts
  }

  #listedIn({ topicIds }: Chunk): (topic: string) => boolean {
    const names = new Set(topicIds.map((id) => this.#dictionary.byId(id)?.name))
    return (topic) => names.has(topic)
  }
}

const everything = (): boolean => true

/** Reads entries whole, and leaves out of them what may not be seen. */
class EntryReads {
  readonly #log: StoredLog
  readonly #batches: EntryBatches
  readonly #neededFrom: () => number
  readonly #listed = new ListedRecords()

  constructor(log: StoredLog, batches: EntryBatches, neededFrom: () => number) {
    this.#log = log
    this.#batches = batches
    this.#neededFrom = neededFrom
  }

  /** The first entry, and of the others as many as come to about `bytesMax`: each that has records as a set. `count`: how many entries that were. */
  async read(entries: readonly WholeEntry[], bytesMax: number): Promise<{ readonly sets: readonly RecordSet[]; readonly count: number }> {
    const contents = await this.#batches.read(
      entries.map(({ index }) => index),
      bytesMax,
    )
    const sets: RecordSet[] = []
    contents.forEach((content, at) => {
      const { index, isListed } = entries[at] as WholeEntry
      if (content === 'gone' && index >= this.#neededFrom()) throw damaged(`log ${this.#log.log}: entry ${index} is missing`)
      if (!(content instanceof RecordBatch)) return
      const batch = isListed === everything ? content : this.#listed.of(content, isListed)
      if (batch !== undefined) sets.push([batch])
    })
    return { sets, count: contents.length }
  }
}

/** References of one topic. */
interface Lane {
  readonly topic: Topic
  references: readonly Reference[]
  at: number
  /** The store has no more of them. */
  last: boolean
}

/** The records of several topics, in order. Reads some references of each topic ahead. */
class TopicEntries implements TopicReader {
  readonly #log: StoredLog
  readonly #entries: EntryReads
  readonly #pieces: PieceRuns
  readonly #topics: readonly Topic[]
  readonly #from: Position
  readonly #to: Position
  #lanes: Lane[] | undefined
  /** What is read next: one of the two is empty. */
  #wholes: WholeEntry[] = []
  #parts: TopicPart[] = []
  #ready: readonly RecordSet[] = []
  #readyAt = 0
  /** Grows, so that a reader of one message costs one chunk. */
  #chunksMax = 1

  constructor(log: StoredLog, entries: EntryReads, pieces: PieceRuns, topics: readonly Topic[], from: Position, to: Position) {
    this.#log = log
    this.#entries = entries
    this.#pieces = pieces
    this.#topics = topics
    this.#from = from
    this.#to = to
  }

  async next(bytesLeft: number): Promise<RecordSet> {
    while (this.#readyAt === this.#ready.length) {
      if (this.#wholes.length === 0) await this.#refer(bytesLeft)
      this.#readyAt = 0
      if (this.#parts.length > 0) {
        this.#ready = (await this.#pieces.read(this.#parts)).map(({ runs }) => runs)
        this.#parts = []
      } else if (this.#wholes.length > 0) {
        const { sets, count } = await this.#entries.read(this.#wholes, Math.max(1, bytesLeft))
        this.#ready = sets
        this.#wholes = this.#wholes.slice(count)
      } else return []
    }
    return this.#ready[this.#readyAt++] as RecordSet
  }

  /** Takes the next chunks that have any of the topics and are read in the same way, as many as come to about `bytesLeft`. None at the end. */
  async #refer(bytesLeft: number): Promise<void> {
    this.#lanes ??= await this.#open()
    let bytes = 0
    for (let chunks = 0; chunks < this.#chunksMax && (chunks === 0 || bytes < bytesLeft); chunks++) {
      const parts = await this.#nextParts(this.#lanes)
      if (parts.length === 0) break
      if (parts.every(({ reference }) => reference.pieces !== undefined)) {
        if (this.#wholes.length > 0) break
        this.#parts.push(...parts)
      } else {
        if (this.#parts.length > 0) break
        this.#wholes.push(...wholeEntriesOf(parts))
      }
      for (const { reference } of parts) bytes += reference.recordBytes
      for (const lane of this.#lanes) if (baseOf(lane) === parts[0]?.reference.base) lane.at++
    }
    this.#chunksMax = Math.min(CHUNKS_MAX, this.#chunksMax * 4)
  }

  /** What the next chunk has of the topics. */
  async #nextParts(lanes: readonly Lane[]): Promise<readonly TopicPart[]> {
    const empty = lanes.filter((lane) => lane.at === lane.references.length && !lane.last)
    if (empty.length > 0) await Promise.all(empty.map((lane) => this.#refill(lane)))
    let base = Number.POSITIVE_INFINITY
    for (const lane of lanes) base = Math.min(base, baseOf(lane))
    const parts: TopicPart[] = []
    if (base === Number.POSITIVE_INFINITY) return parts
    for (const lane of lanes) if (baseOf(lane) === base) parts.push({ topic: lane.topic, reference: lane.references[lane.at] as Reference })
    return parts
  }

  #open(): Promise<Lane[]> {
    const count = Math.max(1, Math.floor(FIRST_COUNT / this.#topics.length))
    return Promise.all(
      this.#topics.map(async (topic) => {
        const references = await this.#log.references(topic.id, this.#from, this.#to, count)
        return { topic, references, at: 0, last: references.length < count }
      }),
    )
  }

  async #refill(lane: Lane): Promise<void> {
    const count = Math.min(PAGE_COUNT_MAX, lane.references.length * 4)
    const after = (lane.references.at(-1)?.base ?? this.#from) + 1
    lane.references = await this.#log.references(lane.topic.id, after, this.#to, count)
    lane.at = 0
    lane.last = lane.references.length < count
  }
}

const baseOf = (lane: Lane): Position => lane.references[lane.at]?.base ?? Number.POSITIVE_INFINITY

/** The entries that have any of the parts of one chunk, each once and in order. */
function wholeEntriesOf(parts: readonly TopicPart[]): readonly WholeEntry[] {
  const indexes = new Set(parts.flatMap(({ reference }) => reference.entries))
  const names = new Set(parts.map(({ topic }) => topic.name))
  const isListed = (topic: string): boolean => names.has(topic)
  return [...indexes].sort((a, b) => a - b).map((index) => ({ index, isListed }))
}
