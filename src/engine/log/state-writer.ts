// SPDX-License-Identifier: Apache-2.0
// Carries what a stored log has applied into the key-value store: in order, one write at a time, each with the applied index (R8).
// Nothing waits for it but `persist`: entries are durable in the Raft log, and readers have the tail.
import { must } from '#base/assert'
import { uint64Bytes } from '#base/bytes'
import { crc32c } from '#base/crc32c'
import type { Clock, Timer } from '#base/port/clock'
import type { Kv, KvOperation } from '#base/port/kv'
import type { Position } from '#contract/client/engine-client'
import { ATTRIBUTE, type RecordBatch, RecordCursor } from '#contract/record/record-batch'
import type { ChunkWriter } from './chunk-builder.ts'
import { encodeState, encodeTopic, type LogKeys, type StoredState } from './key-layout.ts'
import type { Topic } from './topic.ts'
import type { TopicDictionary } from './topic-dictionary.ts'

/** How long applied batches wait for company. */
const LINGER_MS = 20
/** This many bytes do not wait. */
const FLUSH_BYTES = 256 * 1024
/** Bounds one write, and so the time for which building it holds up the loop. */
const WRITE_BYTES_MAX = 256 * 1024
/** The last positions of topics are stored again after this many runs: what is left for a start to work out is bounded by it. */
const TOPIC_SAVE_RUNS = 2048
const NOTHING = Buffer.alloc(0)

/** What one entry changes. */
export interface AppliedEntry {
  readonly index: number
  /** End of the log after it. */
  readonly end: Position
  readonly batch: RecordBatch | undefined
  /** Topics of the batch, in its order. */
  readonly topics: readonly Topic[]
  readonly operations: readonly KvOperation[]
}

/** What is stored besides the entries themselves, as of the moment of a write. */
export interface WriterSource {
  readonly start: Position
  readonly retainedUpTo: Position
  /** Everything before `end` is in the store. */
  onStored(end: Position): void
}

interface SyncWaiter {
  readonly index: number
  readonly done: (index: number) => void
}

export class StateWriter {
  readonly #kv: Kv
  readonly #clock: Clock
  readonly #crash: (reason: Error) => void
  readonly #keys: LogKeys
  readonly #chunk: ChunkWriter
  readonly #dictionary: TopicDictionary
  readonly #source: WriterSource
  readonly #backlogBytesMax: number
  readonly #cursor = new RecordCursor()
  #queue: AppliedEntry[] = []
  #backlogBytes = 0
  #writing = false
  #timer: Timer | undefined
  #syncWaiters: SyncWaiter[] = []
  #roomWaiters: (() => void)[] = []
  /** Applied, written or not. */
  #appliedIndex = 0
  #appliedEnd: Position = 0
  /** Everything up to it is written. */
  #writtenIndex = 0
  #storedBytes = 0
  #topicsSavedUpTo: Position = 0
  #runsSinceTopicSave = 0

  constructor(
    kv: Kv,
    clock: Clock,
    crash: (reason: Error) => void,
    keys: LogKeys,
    chunk: ChunkWriter,
    dictionary: TopicDictionary,
    source: WriterSource,
    backlogBytesMax: number,
  ) {
    this.#kv = kv
    this.#clock = clock
    this.#crash = crash
    this.#keys = keys
    this.#chunk = chunk
    this.#dictionary = dictionary
    this.#source = source
    this.#backlogBytesMax = backlogBytesMax
  }

  /** Bytes of batches that the store does not have yet. */
  get backlogBytes(): number {
    return this.#backlogBytes
  }

  /** Everything up to this entry is in the store, or changes nothing there. */
  get writtenIndex(): number {
    return this.#queue.length === 0 && !this.#writing ? this.#appliedIndex : this.#writtenIndex
  }

  /** Bytes of all records, those waiting excluded. */
  get storedBytes(): number {
    return this.#storedBytes
  }

  /** Goes on from what was stored. */
  begin(state: StoredState): void {
    this.#appliedIndex = this.#writtenIndex = state.appliedIndex
    this.#appliedEnd = state.end
    this.#storedBytes = state.storedBytes
    this.#topicsSavedUpTo = state.topicsSavedUpTo
  }

  enqueue(entry: AppliedEntry): void {
    this.#appliedIndex = entry.index
    this.#appliedEnd = entry.end
    this.#queue.push(entry)
    this.#backlogBytes += sizeOf(entry)
    this.#schedule()
  }

  /** Notes an entry that changes nothing. */
  advance(index: number): void {
    if (this.#queue.length > 0) this.enqueue({ index, end: this.#appliedEnd, batch: undefined, topics: [], operations: [] })
    else this.#appliedIndex = index
  }

  /** Writes operations that belong to no entry, after everything applied so far. `freedBytes` of runs are among what they delete. */
  add(operations: readonly KvOperation[], freedBytes: number): void {
    this.#storedBytes = Math.max(0, this.#storedBytes - freedBytes)
    this.enqueue({ index: this.#appliedIndex, end: this.#appliedEnd, batch: undefined, topics: [], operations })
  }

  /** Makes everything applied so far durable; resolves with the index covered. */
  persist(): Promise<number> {
    return new Promise((done) => {
      this.#syncWaiters.push({ index: this.#appliedIndex, done })
      this.#write()
    })
  }

  /** Undefined while the backlog is within its bound; else resolves when it is again. */
  room(): Promise<void> | undefined {
    if (this.#backlogBytes <= this.#backlogBytesMax) return undefined
    return new Promise((resolve) => this.#roomWaiters.push(resolve))
  }

  #schedule(): void {
    if (this.#writing) return
    if (this.#backlogBytes >= FLUSH_BYTES) this.#write()
    else this.#timer ??= this.#clock.after(LINGER_MS, () => this.#write())
  }

  #write(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    if (this.#writing) return
    this.#writing = true
    // Not at once: the entry at hand is acknowledged first.
    queueMicrotask(() => this.#drain().catch((error: Error) => this.#crash(error)))
  }

  async #drain(): Promise<void> {
    do await this.#writeSome()
    while (this.#syncWaiters.length > 0 || this.#backlogBytes >= FLUSH_BYTES)
    this.#writing = false
    if (this.#queue.length > 0) this.#schedule()
  }

  async #writeSome(): Promise<void> {
    const count = this.#countOfNext()
    const entries = this.#queue.splice(0, count)
    const last = entries.at(-1)
    const whole = this.#queue.length === 0
    const index = whole ? this.#appliedIndex : must(last, 'a write that leaves entries behind has some').index
    const end = whole ? this.#appliedEnd : must(last, 'a write that leaves entries behind has some').end
    const operations = this.#encode(entries)
    this.#saveTopics(operations, end)
    operations.push({ key: this.#keys.state, value: this.#encodeState(index, end) })
    const covered = this.#syncWaiters.filter((waiter) => waiter.index <= index)
    await this.#kv.write(operations, { sync: covered.length > 0 })
    for (const entry of entries) this.#backlogBytes -= sizeOf(entry)
    this.#writtenIndex = Math.max(this.#writtenIndex, index)
    this.#source.onStored(end)
    this.#syncWaiters = this.#syncWaiters.filter((waiter) => !covered.includes(waiter))
    for (const waiter of covered) waiter.done(index)
    if (this.#backlogBytes <= this.#backlogBytesMax) for (const resolve of this.#roomWaiters.splice(0)) resolve()
  }

  #countOfNext(): number {
    let bytes = 0
    let count = 0
    for (const entry of this.#queue) {
      bytes += sizeOf(entry)
      if (count > 0 && bytes > WRITE_BYTES_MAX) break
      count++
    }
    return count
  }

  #encode(entries: readonly AppliedEntry[]): KvOperation[] {
    const operations: KvOperation[] = []
    for (const entry of entries) {
      for (const operation of entry.operations) operations.push(operation)
      if (entry.batch === undefined) continue
      if (entry.batch.hasSequences) this.#encodeSequences(entry.batch, operations)
      if (entry.batch.hasKeys) this.#encodeKeys(entry.batch, entry.topics, operations)
      if (this.#chunk.isFullFor(entry.batch, entry.index)) this.#closeChunk(operations)
      this.#chunk.add(entry.batch, entry.topics, entry.end, entry.index)
    }
    if (!this.#chunk.isEmpty) this.#closeChunk(operations)
    return operations
  }

  #encodeKeys(batch: RecordBatch, topics: readonly Topic[], operations: KvOperation[]): void {
    const cursor = this.#cursor
    cursor.reset(batch)
    while (cursor.next()) {
      if ((cursor.attributes & ATTRIBUTE.key) === 0) continue
      const { id } = must(topics[cursor.topic], 'every topic of a batch is in the dictionary')
      const hash = crc32c(batch.bytes, 0, cursor.keyStart, cursor.keyEnd)
      operations.push({ key: this.#keys.recordKey(id, hash, cursor.position), value: NOTHING })
    }
  }

  #encodeSequences(batch: RecordBatch, operations: KvOperation[]): void {
    const cursor = this.#cursor
    cursor.reset(batch)
    while (cursor.next()) {
      if (cursor.sequence < 0) continue
      operations.push({ key: this.#keys.sequence(cursor.publisher, cursor.sequence), value: uint64Bytes(cursor.position) })
    }
  }

  #closeChunk(operations: KvOperation[]): void {
    const { runs, bytes } = this.#chunk.close(this.#keys, operations)
    this.#storedBytes += bytes
    this.#runsSinceTopicSave += runs
  }

  #saveTopics(operations: KvOperation[], end: Position): void {
    if (this.#runsSinceTopicSave < TOPIC_SAVE_RUNS) return
    for (const topic of this.#dictionary.recent(this.#topicsSavedUpTo)) {
      if (!topic.isSaved || topic.savedLast === topic.last) continue
      topic.savedLast = topic.last
      operations.push({ key: this.#keys.topic(topic.name), value: encodeTopic(topic.id, topic.last) })
    }
    this.#topicsSavedUpTo = end
    this.#runsSinceTopicSave = 0
  }

  #encodeState(appliedIndex: number, end: Position): Buffer {
    return encodeState({
      appliedIndex,
      end,
      start: this.#source.start,
      nextTopicId: this.#dictionary.nextId,
      storedBytes: this.#storedBytes,
      topicsSavedUpTo: this.#topicsSavedUpTo,
      retainedUpTo: Math.min(this.#source.retainedUpTo, end),
    })
  }
}

/** Operations without a batch count too: they are a backlog as well. */
const sizeOf = (entry: AppliedEntry): number => (entry.batch?.bytes.length ?? 0) + 64 * entry.operations.length
