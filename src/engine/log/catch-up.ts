// SPDX-License-Identifier: Apache-2.0
// Reads of one log that cost what matches, not what is stored (D6): from what there is of the matching topics, from the chunks when there are too many
// of those, and from the tail where the store ends. Every call does a bounded amount of work and says where to go on.
import { must } from '#base/assert'
import type { Counter } from '#base/port/metrics'
import type { Position, ReadRequest, ReadResult } from '#contract/client/engine-client'
import type { RecordBatch } from '#contract/record/record-batch'
import { FilterSet } from './filter-set.ts'
import type { Chunk } from './key-layout.ts'
import { RecentChunks } from './recent-chunks.ts'
import { RecordSelection, type Wanted } from './record-selection.ts'
import type { RemovedRecords } from './removed-records.ts'
import type { StoredLog } from './stored-log.ts'
import type { RecordSet, StoredRecords } from './stored-records.ts'
import type { Tail, TailEntry } from './tail.ts'
import type { Topic } from './topic.ts'
import type { TopicDictionary } from './topic-dictionary.ts'

/** More matching topics than this are not merged run by run: the log is gone through by its chunks. */
const TOPICS_MAX = 256
/** So many matching topics in one chunk are read together with the chunks that follow, rather than each on its own. */
const DENSE_TOPICS = 8
/** Matching topics that are read each on its own, even where a chunk has not much else. */
const SINGLE_TOPICS = 2
/** Chunks, and topics in them, that one read looks at. */
const CHUNKS_LOOKED_MAX = 512
const CHUNK_TOPICS_LOOKED_MAX = 16_384
/** Chunks that a read looks at first: a session takes about as much at a time. */
const CHUNKS_FIRST = 4
/** Chunks whose runs are fetched together at most, as long as their bytes are wanted. */
const CHUNKS_FETCHED_MAX = 16
/** Batches of the tail that one read looks at. */
const TAIL_LOOKED_MAX = 2048

/** What a log shows to its readers. */
export interface ReadableLog {
  /** The log was removed: there is nothing to be read, whatever fails. */
  readonly isAbandoned: boolean
  readonly start: Position
  readonly tail: Tail
  /** Undefined for a log that is only in memory. */
  readonly stored:
    | {
        readonly log: StoredLog
        readonly records: StoredRecords
        readonly dictionary: TopicDictionary
        readonly removed: RemovedRecords
      }
    | undefined
}

/** How often each plan was chosen. */
export interface PlanCounters {
  readonly nothing: Counter
  readonly topics: Counter
  readonly chunks: Counter
  readonly tail: Counter
}

/** One read under way. */
interface Progress {
  readonly filters: FilterSet
  readonly bytesMax: number
  readonly recordsMax: number
  readonly batches: RecordBatch[]
  bytes: number
  records: number
  /** Everything before it has been looked at. */
  at: Position
  /** Work of this call is used up. */
  full: boolean
}

export type ReadPlan = keyof PlanCounters

export class CatchUp {
  readonly #log: ReadableLog
  readonly #plans: PlanCounters
  readonly #selection = new RecordSelection()
  readonly #everything = new FilterSet('all')
  readonly #recent = new RecentChunks()
  readonly #planCounts: Record<ReadPlan, number> = { nothing: 0, topics: 0, chunks: 0, tail: 0 }

  constructor(log: ReadableLog, plans: PlanCounters) {
    this.#log = log
    this.#plans = plans
  }

  /** How often each plan was chosen in this log. */
  get planCounts(): Readonly<Record<ReadPlan, number>> {
    return this.#planCounts
  }

  /** `request.from` past the end reads from the end: the log has lost what was there. Rejects with dataDamaged. */
  read(request: Omit<ReadRequest, 'log'>): Promise<ReadResult> {
    return this.readMatching(new FilterSet(request.filters), request.from, request.bytesMax, request.recordsMax)
  }

  async readMatching(filters: FilterSet, from: Position, bytesMax: number, recordsMax = Number.POSITIVE_INFINITY): Promise<ReadResult> {
    for (;;) {
      const first = this.#firstFrom(from)
      const progress = begin(filters, first, bytesMax, recordsMax)
      while (!progress.full && progress.at < this.#log.tail.end && !this.#log.isAbandoned) {
        if (progress.at >= this.#log.tail.first) this.#readTail(progress)
        else await this.#readStored(progress).catch((error: unknown) => this.#unlessAbandoned(error))
      }
      if (this.#log.isAbandoned) return { batches: [], next: from, atEnd: true, from }
      // Retention, or eviction, may have taken away what lay ahead: then what was found may be incomplete.
      if (this.#firstFrom(from) !== first) continue
      const result = { batches: progress.batches, next: progress.at, atEnd: progress.at === this.#log.tail.end, from: first }
      const removed = this.#log.stored?.removed.count(filters, first, progress.at) ?? 0
      return removed === 0 ? result : { ...result, removed }
    }
  }

  /** The records at exactly these positions, ascending, that are still there. */
  async fetch(positions: readonly Position[]): Promise<RecordBatch[]> {
    const batches: RecordBatch[] = []
    const set = new Set(positions)
    let done: Position = -1
    for (const position of positions) {
      if (position <= done || position < this.#log.start || position >= this.#log.tail.end) continue
      const entry = this.#tailEntryAt(position)
      const chunk = entry === undefined ? await this.#log.stored?.log.chunkAt(position) : undefined
      const end = entry?.end ?? chunk?.end
      if (end === undefined) continue
      const sets = entry !== undefined ? [[entry.batch]] : chunk !== undefined ? await this.#setsOf([chunk], new Set(chunk.topicIds)) : []
      const wanted: Wanted = { filters: this.#everything, from: position, to: end, positions: set }
      for (const sources of sets) {
        const batch = this.#selection.select(sources, wanted, end)
        if (batch !== undefined) batches.push(batch)
      }
      done = end - 1
    }
    return batches
  }

  #unlessAbandoned(error: unknown): void {
    if (!this.#log.isAbandoned) throw error
  }

  #tailEntryAt(position: Position): TailEntry | undefined {
    const tail = this.#log.tail
    const entry = position < tail.first ? undefined : tail.entry(tail.locate(position))
    return entry !== undefined && entry.base <= position ? entry : undefined
  }

  /** First position to read when asked for `from`. */
  #firstFrom(from: Position): Position {
    const tail = this.#log.tail
    const kept = this.#log.stored === undefined ? tail.first : this.#log.start
    return Math.min(Math.max(from, kept), tail.end)
  }

  /** Synchronous: the tail does not change meanwhile. */
  #readTail(progress: Progress): void {
    this.#chose('tail')
    const { tail } = this.#log
    const wanted: Wanted = { filters: progress.filters, from: progress.at, to: Number.POSITIVE_INFINITY }
    const begin = tail.locate(progress.at)
    for (let index = begin; ; index++) {
      const entry = tail.entry(index)
      if (entry === undefined) {
        progress.at = tail.end
        return
      }
      if (progress.full || index - begin >= TAIL_LOOKED_MAX) {
        progress.full = true
        progress.at = Math.max(progress.at, entry.base)
        return
      }
      this.#take(progress, this.#selection.select([entry.batch], wanted, entry.end))
    }
  }

  /** Reads the store up to where the tail begins now: everything before that is stored. */
  async #readStored(progress: Progress): Promise<void> {
    const stored = must(this.#log.stored, 'a log in memory has nothing before its tail')
    const to = this.#log.tail.first
    const topics = stored.dictionary.select(progress.filters, progress.at, TOPICS_MAX)
    if (topics === undefined) return await this.#readChunks(progress, to, false)
    if (topics.length === 0) {
      this.#chose('nothing')
      progress.at = to
      return
    }
    const chunk = this.#recent.at(progress.at) ?? (await stored.log.chunkAt(progress.at))
    if (chunk !== undefined) this.#recent.add(chunk)
    if (isDense(topics, chunk)) {
      await this.#readChunks(progress, to, true)
      return
    }
    this.#chose('topics')
    const reader = stored.records.ofTopics(topics, chunk?.base ?? progress.at, to)
    const wanted: Wanted = { filters: progress.filters, from: progress.at, to }
    for (;;) {
      const sources = await reader.next(bytesLeft(progress))
      const base = sources[0]?.basePosition
      if (base === undefined) break
      if (progress.full) {
        progress.at = Math.max(progress.at, base)
        return
      }
      this.#take(progress, this.#selection.select(sources, wanted, undefined))
    }
    progress.at = to
  }

  /** Goes through the chunks, and reads those that have a matching topic. `whileDense`: not past a stretch of which most chunks have none. */
  async #readChunks(progress: Progress, to: Position, whileDense: boolean): Promise<void> {
    const stored = must(this.#log.stored, 'a log in memory has no chunks')
    this.#chose('chunks')
    const wanted: Wanted = { filters: progress.filters, from: progress.at, to }
    let from = this.#recent.at(progress.at)?.base ?? (await stored.log.chunkBaseAt(progress.at))
    let topicsLooked = 0
    for (let looked = 0, limit = CHUNKS_FIRST; ; limit = Math.min(2 * limit, CHUNKS_LOOKED_MAX - looked)) {
      const chunks = await stored.log.chunks(from, to, limit)
      let wantedChunks = 0
      for (let at = 0; at < chunks.length; ) {
        const group: Chunk[] = []
        const topicIds = new Set<number>()
        let { bytes, records } = progress
        while (at < chunks.length && group.length < CHUNKS_FETCHED_MAX && bytes < progress.bytesMax && records < progress.recordsMax) {
          if (topicsLooked >= CHUNK_TOPICS_LOOKED_MAX) break
          const chunk = chunks[at++] as Chunk
          const wantedIds = chunk.topicIds.filter((id) => this.#isWanted(progress.filters, id))
          for (const id of wantedIds) topicIds.add(id)
          if (wantedIds.length > 0) wantedChunks++
          group.push(chunk)
          topicsLooked += chunk.topicIds.length
          bytes += (chunk.bytes * wantedIds.length) / chunk.topicIds.length
          records += ((chunk.end - chunk.base) * wantedIds.length) / chunk.topicIds.length
        }
        this.#takeChunks(progress, wanted, group, await this.#setsOf(group, topicIds))
        if (!progress.full && topicsLooked >= CHUNK_TOPICS_LOOKED_MAX) progress.full = progress.at < to
        if (progress.full) {
          this.#stoppedIn(chunks, progress.at)
          return
        }
      }
      if (whileDense && 2 * wantedChunks < chunks.length) return
      looked += chunks.length
      if (chunks.length < limit) break
      if (looked >= CHUNKS_LOOKED_MAX) {
        progress.full = progress.at < to
        return
      }
      from = (chunks.at(-1) as Chunk).end
    }
    progress.at = to
  }

  /** The reader goes on behind what it has, or, when it could not use all of that, before. */
  #stoppedIn(chunks: readonly Chunk[], position: Position): void {
    for (const chunk of chunks) {
      if (chunk.base > position) return
      if (chunk.end >= position) this.#recent.add(chunk)
    }
  }

  /** Takes what was read chunk by chunk until the bytes are used up. */
  #takeChunks(progress: Progress, wanted: Wanted, group: readonly Chunk[], sets: readonly RecordSet[]): void {
    let at = 0
    for (const chunk of group) {
      if (progress.full) return
      for (let set = sets[at]; set !== undefined && (set[0]?.basePosition ?? 0) < chunk.end; set = sets[++at])
        this.#take(progress, this.#selection.select(set, wanted, chunk.end))
      progress.at = Math.min(wanted.to, Math.max(progress.at, chunk.end))
    }
  }

  #setsOf(chunks: readonly Chunk[], topicIds: ReadonlySet<number>): Promise<readonly RecordSet[]> {
    return must(this.#log.stored, 'a log in memory has no chunks').records.ofChunks(chunks, topicIds)
  }

  #chose(plan: ReadPlan): void {
    this.#plans[plan].add(1)
    this.#planCounts[plan]++
  }

  #isWanted(filters: FilterSet, topicId: number): boolean {
    const topic = this.#log.stored?.dictionary.byId(topicId)
    return topic !== undefined && filters.matches(topic.name)
  }

  #take(progress: Progress, batch: RecordBatch | undefined): void {
    if (batch === undefined) return
    progress.batches.push(batch)
    progress.bytes += batch.bytes.length
    progress.records += batch.recordCount
    if (progress.bytes >= progress.bytesMax || progress.records >= progress.recordsMax) progress.full = true
  }
}

function begin(filters: FilterSet, from: Position, bytesMax: number, recordsMax: number): Progress {
  return {
    filters,
    bytesMax: Math.max(bytesMax, 1),
    recordsMax: Math.max(recordsMax, 1),
    batches: [],
    bytes: 0,
    records: 0,
    at: from,
    full: false,
  }
}

/** What the reader still takes, if its records go on as they began. */
function bytesLeft({ bytes, bytesMax, records, recordsMax }: Progress): number {
  const left = bytesMax - bytes
  return records === 0 || recordsMax === Number.POSITIVE_INFINITY ? left : Math.min(left, ((recordsMax - records) * bytes) / records)
}

/** Whether a chunk has so many of the topics, or so little else, that its neighbours are likely to be wanted too. */
function isDense(topics: readonly Topic[], chunk: Chunk | undefined): boolean {
  if (chunk === undefined || topics.length <= SINGLE_TOPICS) return false
  const ids = new Set(chunk.topicIds)
  let count = 0
  for (const topic of topics) if (ids.has(topic.id)) count++
  return count > DENSE_TOPICS || 2 * count >= ids.size
}
