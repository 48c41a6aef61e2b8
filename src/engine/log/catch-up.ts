// SPDX-License-Identifier: Apache-2.0
// Reads of one log that cost what matches, not what is stored (D6): from the runs of the matching topics, from the chunks when there are too many
// of those, and from the tail where the store ends. Every call does a bounded amount of work and says where to go on.
import { must } from '#base/assert'
import type { Counter } from '#base/port/metrics'
import type { Position, ReadRequest, ReadResult } from '#contract/client/engine-client'
import type { RecordBatch } from '#contract/record/record-batch'
import { FilterSet } from './filter-set.ts'
import { type Chunk, damaged } from './key-layout.ts'
import { RecordSelection, type Wanted } from './record-selection.ts'
import type { StoredLog } from './stored-log.ts'
import type { Tail, TailEntry } from './tail.ts'
import type { Topic } from './topic.ts'
import type { TopicDictionary } from './topic-dictionary.ts'
import { TopicRuns } from './topic-runs.ts'

/** More matching topics than this are not merged run by run: the log is gone through by its chunks. */
const TOPICS_MAX = 256
/** So many matching topics in one chunk are read together with the chunks that follow, rather than each on its own. */
const DENSE_TOPICS = 8
/** Chunks, and topics in them, that one read looks at. */
const CHUNKS_LOOKED_MAX = 512
const CHUNK_TOPICS_LOOKED_MAX = 16_384
/** Chunks whose runs are fetched together at most, as long as their bytes are wanted. */
const CHUNKS_FETCHED_MAX = 16
/** Batches of the tail that one read looks at. */
const TAIL_LOOKED_MAX = 2048

/** What a log shows to its readers. */
export interface ReadableLog {
  readonly start: Position
  readonly tail: Tail
  /** Undefined for a log that is only in memory. */
  readonly stored: { readonly log: StoredLog; readonly dictionary: TopicDictionary } | undefined
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
  readonly batches: RecordBatch[]
  bytes: number
  /** Everything before it has been looked at. */
  at: Position
  /** Work of this call is used up. */
  full: boolean
}

export class CatchUp {
  readonly #log: ReadableLog
  readonly #plans: PlanCounters
  readonly #selection = new RecordSelection()
  readonly #everything = new FilterSet('all')

  constructor(log: ReadableLog, plans: PlanCounters) {
    this.#log = log
    this.#plans = plans
  }

  /** `request.from` past the end reads from the end: the log has lost what was there. Rejects with dataDamaged. */
  read(request: Omit<ReadRequest, 'log'>): Promise<ReadResult> {
    return this.readMatching(new FilterSet(request.filters), request.from, request.bytesMax)
  }

  async readMatching(filters: FilterSet, from: Position, bytesMax: number): Promise<ReadResult> {
    for (;;) {
      const first = this.#firstFrom(from)
      const progress: Progress = { filters, bytesMax: Math.max(bytesMax, 1), batches: [], bytes: 0, at: first, full: false }
      while (!progress.full && progress.at < this.#log.tail.end) {
        if (progress.at >= this.#log.tail.first) this.#readTail(progress)
        else await this.#readStored(progress)
      }
      // Retention, or eviction, may have taken away what lay ahead: then what was found may be incomplete.
      if (this.#firstFrom(from) !== first) continue
      return { batches: progress.batches, next: progress.at, atEnd: progress.at === this.#log.tail.end, from: first }
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
      const sources = entry !== undefined ? [entry.batch] : chunk !== undefined ? await this.#runsOf([chunk], chunk.topicIds) : []
      const wanted: Wanted = { filters: this.#everything, from: position, to: end, positions: set }
      const batch = this.#selection.select(sources, wanted, end)
      if (batch !== undefined) batches.push(batch)
      done = end - 1
    }
    return batches
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
    this.#plans.tail.add(1)
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
    if (topics === undefined) return await this.#readChunks(progress, to)
    if (topics.length === 0) {
      this.#plans.nothing.add(1)
      progress.at = to
      return
    }
    const chunk = await stored.log.chunkAt(progress.at)
    if (isDense(topics, chunk)) {
      await this.#readChunks(progress, to)
      return
    }
    this.#plans.topics.add(1)
    const runs = new TopicRuns(stored.log, topics, chunk?.base ?? progress.at, to)
    const wanted: Wanted = { filters: progress.filters, from: progress.at, to }
    for (;;) {
      const sources = await runs.next(progress.bytesMax - progress.bytes)
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

  /** Goes through the chunks, and reads the runs of those that have a matching topic. */
  async #readChunks(progress: Progress, to: Position): Promise<void> {
    const stored = must(this.#log.stored, 'a log in memory has no chunks')
    this.#plans.chunks.add(1)
    const from = await stored.log.chunkBaseAt(progress.at)
    const chunks = await stored.log.chunks(from, to, CHUNKS_LOOKED_MAX)
    const wanted: Wanted = { filters: progress.filters, from: progress.at, to }
    let looked = 0
    for (let at = 0; at < chunks.length; ) {
      const group: Chunk[] = []
      const topicIds = new Set<number>()
      let bytes = progress.bytes
      while (at < chunks.length && group.length < CHUNKS_FETCHED_MAX && bytes < progress.bytesMax && looked < CHUNK_TOPICS_LOOKED_MAX) {
        const chunk = chunks[at++] as Chunk
        const wantedIds = chunk.topicIds.filter((id) => this.#isWanted(progress.filters, id))
        for (const id of wantedIds) topicIds.add(id)
        group.push(chunk)
        looked += chunk.topicIds.length
        bytes += (chunk.bytes * wantedIds.length) / chunk.topicIds.length
      }
      const sources = await this.#runsOf(group, topicIds)
      this.#takeChunks(progress, wanted, group, sources)
      if (progress.full) return
      if (looked >= CHUNK_TOPICS_LOOKED_MAX && at < chunks.length) {
        progress.full = true
        return
      }
    }
    if (chunks.length === CHUNKS_LOOKED_MAX) progress.full = progress.at < to
    else progress.at = to
  }

  /** Takes the runs chunk by chunk until the bytes are used up. */
  #takeChunks(progress: Progress, wanted: Wanted, group: readonly Chunk[], sources: readonly RecordBatch[]): void {
    let at = 0
    for (const chunk of group) {
      if (progress.full) return
      const first = at
      while (sources[at]?.basePosition === chunk.base) at++
      this.#take(progress, this.#selection.select(sources.slice(first, at), wanted, chunk.end))
      progress.at = Math.min(wanted.to, Math.max(progress.at, chunk.end))
    }
  }

  /** Runs of the chunks, in order, of those topics among `topicIds`. */
  async #runsOf(chunks: readonly Chunk[], topicIds: Iterable<number>): Promise<RecordBatch[]> {
    const stored = must(this.#log.stored, 'a log in memory has no runs')
    const chosen = new Set(topicIds)
    const places = chunks.flatMap(({ base, topicIds: ids }) => ids.filter((id) => chosen.has(id)).map((topicId) => ({ topicId, base })))
    const runs = await stored.log.runsAt(places)
    const found: RecordBatch[] = []
    runs.forEach((run, index) => {
      const base = places[index]?.base ?? 0
      if (run !== undefined) found.push(run)
      else if (base >= this.#log.start) throw damaged(`log ${stored.log.log}: a run of chunk ${base} is missing`)
    })
    return found
  }

  #isWanted(filters: FilterSet, topicId: number): boolean {
    const topic = this.#log.stored?.dictionary.byId(topicId)
    return topic !== undefined && filters.matches(topic.name)
  }

  #take(progress: Progress, batch: RecordBatch | undefined): void {
    if (batch === undefined) return
    progress.batches.push(batch)
    progress.bytes += batch.bytes.length
    if (progress.bytes >= progress.bytesMax) progress.full = true
  }
}

/** Whether a chunk has so many of the topics that its neighbours are likely to have them too. */
function isDense(topics: readonly Topic[], chunk: Chunk | undefined): boolean {
  if (chunk === undefined || topics.length <= DENSE_TOPICS) return false
  const ids = new Set(chunk.topicIds)
  let count = 0
  for (const topic of topics) if (ids.has(topic.id) && ++count > DENSE_TOPICS) return true
  return false
}
