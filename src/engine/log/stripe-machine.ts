// SPDX-License-Identifier: Apache-2.0
// The replicated state of one log: its records, its topics and the sequences it remembers. Applying is synchronous; the store follows behind.

import { assert } from '#base/assert'
import type { KvOperation } from '#base/port/kv'
import type { Ports } from '#base/port/ports'
import type { LogId, Position, StorageType } from '#contract/client/engine-client'
import type { MetaClient } from '#contract/client/meta-client'
import { RecordBatch, RecordCursor } from '#contract/record/record-batch'
import type { Entry, StateMachine } from '#raft'
import { CatchUp, type ReadableLog } from './catch-up.ts'
import type { ChunkWriter } from './chunk-builder.ts'
import { decodeControl, isBatch } from './control-record.ts'
import { EntryBatches } from './entry-batches.ts'
import type { EntryCache } from './entry-cache.ts'
import { EntryRecords } from './entry-records.ts'
import { FilterSet } from './filter-set.ts'
import { KeyReads } from './key-reads.ts'
import { RemovedRecords } from './removed-records.ts'
import { RetainedView } from './retained-view.ts'
import { SequenceTable } from './sequence-table.ts'
import { StateWriter, type WriterSource } from './state-writer.ts'
import { StoredLog } from './stored-log.ts'
import { RunRecords, type StoredRecords } from './stored-records.ts'
import type { StripeMetrics } from './stripe-metrics.ts'
import { Tail, type TailBudget } from './tail.ts'
import type { Topic } from './topic.ts'
import { TopicDictionary } from './topic-dictionary.ts'

/** Bytes of retained records read again in one step after a restart. */
const READ_AGAIN_BYTES = 1024 * 1024

export type StripePorts = Pick<Ports, 'kv' | 'clock' | 'logger' | 'crash' | 'probe'>

/** Told of every committed batch, in order, synchronously. */
export interface CommitListener {
  onCommitted(log: LogId, batch: RecordBatch): void
}

/** The side of a log that proposes. */
export interface Proposals {
  /** The batch whose bytes these are, when it was proposed here: it needs no parsing. */
  batchOf(data: Buffer): RecordBatch | undefined
  onLeader(term: number): void
  onFollower(): void
}

/** What all logs of a storage type share. */
export interface StripeShare {
  readonly ports: StripePorts
  readonly meta: Pick<MetaClient, 'retain'>
  readonly listener: CommitListener
  readonly metrics: StripeMetrics
  readonly budget: TailBudget
  readonly chunkBuilder: ChunkWriter
  readonly entryCache: EntryCache
  /** Bytes that may wait for the store before applying waits too. */
  readonly backlogBytesMax: number
}

/** The store of a log that is not only in memory. */
export interface StripeStore {
  readonly log: StoredLog
  readonly records: StoredRecords
  readonly dictionary: TopicDictionary
  readonly writer: StateWriter
  readonly removed: RemovedRecords
}

export class StripeMachine implements StateMachine, WriterSource, ReadableLog {
  readonly log: LogId
  readonly storage: StorageType
  readonly sequences = new SequenceTable()
  readonly tail: Tail
  readonly retained: RetainedView
  readonly catchUp: CatchUp
  readonly keyReads: KeyReads
  readonly stored: StripeStore | undefined
  /** Of a log of type segment: its records stay in the Raft log. */
  readonly entries: EntryBatches | undefined
  readonly #proposals: Proposals
  readonly #listener: CommitListener
  readonly #metrics: StripeMetrics
  readonly #cursor = new RecordCursor()
  #appliedIndex = 0
  /** Position of the next record to be applied: everything before it is committed. */
  #end: Position = 0
  #start: Position = 0
  #neededFrom = 0
  #isAbandoned = false

  constructor(log: LogId, storage: StorageType, share: StripeShare, proposals: Proposals) {
    const { kv, clock, crash } = share.ports
    this.log = log
    this.storage = storage
    this.#proposals = proposals
    this.#listener = share.listener
    this.#metrics = share.metrics
    this.tail = new Tail(share.budget, 0, storage === 'memory')
    this.entries = storage === 'segment' ? new EntryBatches(share.entryCache) : undefined
    if (storage !== 'memory') {
      const stored = new StoredLog(log, kv, storage === 'segment')
      const start = (): Position => this.#start
      const dictionary = new TopicDictionary()
      const records =
        this.entries === undefined
          ? new RunRecords(stored, start)
          : new EntryRecords(stored, dictionary, this.entries, () => this.#neededFrom)
      const writer = new StateWriter(kv, clock, crash, stored.keys, share.chunkBuilder, dictionary, this, share.backlogBytesMax)
      this.stored = { log: stored, records, dictionary, writer, removed: new RemovedRecords() }
    }
    this.catchUp = new CatchUp(this, share.metrics.plans)
    this.keyReads = new KeyReads(this, this.catchUp)
    const viewed = storage === 'memory' ? fleetingLog(log, share.ports.clock.realtime()) : log
    this.retained = new RetainedView(viewed, share.meta, share.ports, (from, to) => this.#readAgain(from, to))
  }

  get end(): Position {
    return this.#end
  }

  /** First position that retention has left. */
  get start(): Position {
    return this.#start
  }

  /** First position that can be read. */
  get first(): Position {
    return this.stored === undefined ? this.tail.first : this.#start
  }

  get retainedUpTo(): Position {
    return this.retained.upTo(this.#end)
  }

  async open(): Promise<number> {
    const loaded = await this.stored?.log.load()
    if (this.stored === undefined || loaded === undefined) return 0
    const { state, topics, sequences } = loaded
    this.stored.dictionary.restore(state.nextTopicId, topics)
    for (const { publisher, sequence, position } of sequences) this.sequences.set(publisher, sequence, position)
    this.stored.writer.begin(state)
    this.tail.begin(state.end)
    this.retained.begin(state.retainedUpTo)
    this.#appliedIndex = state.appliedIndex
    this.#end = state.end
    this.#start = state.start
    return state.appliedIndex
  }

  apply(entries: readonly Entry[]): readonly unknown[] | Promise<readonly unknown[]> {
    for (const entry of entries) this.#applyEntry(entry)
    const replies = new Array<undefined>(entries.length).fill(undefined)
    const room = this.stored?.writer.room()
    return room === undefined ? replies : room.then(() => replies)
  }

  persist(): Promise<number> {
    return this.stored === undefined ? Promise.resolve(this.#appliedIndex) : this.stored.writer.persist()
  }

  /** The log was removed: whatever a read that is under way finds, or fails to find, is of no account. */
  get isAbandoned(): boolean {
    return this.#isAbandoned
  }

  abandon(): void {
    this.#isAbandoned = true
    this.retained.stop()
  }

  /** Entries from here on are read, so the Raft log keeps them. */
  get neededFrom(): number {
    return this.entries === undefined ? Number.POSITIVE_INFINITY : this.#neededFrom
  }

  /** The entries before `index` hold no record that retention has left. */
  releaseBefore(index: number): void {
    assert(index <= this.#appliedIndex + 1, 'only what is applied is given up')
    this.#neededFrom = Math.max(this.#neededFrom, index)
  }

  onLeader(term: number): void {
    this.#proposals.onLeader(term)
    this.retained.lead(this.#end)
  }

  onFollower(): void {
    this.#proposals.onFollower()
    this.retained.follow(this.#end)
  }

  onStored(end: Position): void {
    this.tail.storedTo(end)
  }

  /** Gives up the records before `position`; takes effect durably with the next persist (L28). */
  raiseStart(position: Position): void {
    assert(position >= this.#start && position <= this.#end, 'the start of a log moves forward, and never past what is applied')
    this.#start = position
  }

  #applyEntry(entry: Entry): void {
    assert(entry.index > this.#appliedIndex, 'an entry is applied once')
    this.#appliedIndex = entry.index
    if (entry.kind !== 'normal') this.stored?.writer.advance(entry.index)
    else if (isBatch(entry.data)) this.#applyBatch(entry.index, this.#proposals.batchOf(entry.data) ?? RecordBatch.parse(entry.data))
    else this.#applyControl(entry.index, entry.data)
  }

  #applyBatch(index: number, batch: RecordBatch): void {
    const base = batch.basePosition
    assert(base === this.#end, 'positions of a log have no gap')
    const end = base + batch.recordCount
    this.#end = end
    if (batch.hasSequences) this.#remember(batch)
    if (this.stored !== undefined) {
      const topics = this.#touch(this.stored.dictionary, batch, end - 1)
      this.tail.append(batch, base, end)
      this.stored.writer.enqueue({ index, end, batch, topics, operations: NOTHING })
    } else if (batch.qosMax > 0) this.tail.append(batch, base, end)
    else this.tail.skip(end)
    this.#metrics.appendedRecords.add(batch.recordCount)
    this.#metrics.appendedBytes.add(batch.bytes.length)
    this.#listener.onCommitted(this.log, batch)
    if (batch.hasRetained) this.retained.add(batch)
  }

  #touch(dictionary: TopicDictionary, batch: RecordBatch, last: Position): readonly Topic[] {
    const names = batch.topics
    const topics = new Array<Topic>(names.length)
    for (let at = 0; at < names.length; at++) topics[at] = dictionary.touch(names[at] as string, last)
    return topics
  }

  #remember(batch: RecordBatch): void {
    const cursor = this.#cursor
    cursor.reset(batch)
    while (cursor.next()) if (cursor.sequence >= 0) this.sequences.set(cursor.publisher, cursor.sequence, cursor.position)
  }

  #applyControl(index: number, data: Buffer): void {
    const control = decodeControl(data)
    const operations: KvOperation[] = []
    if (control.kind === 'release') for (const { publisher, sequence } of control.releases) this.#release(publisher, sequence, operations)
    else
      for (const publisher of control.publishers)
        for (const sequence of this.sequences.committed(publisher, this.#end)) this.#release(publisher, sequence, operations)
    this.stored?.writer.enqueue({ index, end: this.#end, batch: undefined, topics: [], operations })
  }

  #release(publisher: number, sequence: number, operations: KvOperation[]): void {
    if (!this.sequences.release(publisher, sequence, this.#end) || this.stored === undefined) return
    operations.push({ key: this.stored.log.keys.sequence(publisher, sequence), value: undefined })
  }

  /** Records of [from, to) for the retained view. What retention has removed was in it before. */
  async #readAgain(from: Position, to: Position): Promise<{ readonly batches: readonly RecordBatch[]; readonly next: Position }> {
    const { batches, next } = await this.catchUp.readMatching(new FilterSet('all'), from, READ_AGAIN_BYTES)
    return { batches, next: Math.min(next, to) }
  }
}

const NOTHING: readonly KvOperation[] = []

const FLEETING_FIRST = 0x8000_0000
const FLEETING_STEP = 1_000_003

/**
 * The log that retained values of a log in memory are said to be in. Its positions begin anew with every process, and the higher position wins only among values of one log:
 * under its own number, what is retained now would be older than what was retained in an earlier life.
 */
const fleetingLog = (log: LogId, nowMs: number): LogId => FLEETING_FIRST + ((Math.floor(nowMs) + log * FLEETING_STEP) % FLEETING_FIRST)
