// SPDX-License-Identifier: Apache-2.0
// The checker of one log (RELIABILITY T14): what was sent, what was acknowledged where, and what anybody has seen at which position. A stored log is one
// for the whole run; one in memory begins anew with each process. Every observation is compared with all earlier ones, in constant time (T15).
import type { LogId, Position, StorageType } from '#contract/client/engine-client'
import { type RecordBatch, RecordCursor } from '#contract/record/record-batch'
import type { FakeMeta } from '../fake-meta.ts'
import { idOf, type RecordContent, SentRecord } from '../sent-record.ts'
import { CHUNK_SPAN_MS, type JudgedLog, type RemovalRules } from './removal-rules.ts'
import { EngineViolation, type Promised } from './violation.ts'

/** Everything that was sent in a run. */
export class RecordBook {
  readonly #entries: { readonly record: SentRecord; readonly log: LogChecker }[] = []

  get size(): number {
    return this.#entries.length
  }

  add(log: LogChecker, producer: string, content: RecordContent, nowMs: number): SentRecord {
    const record = new SentRecord(this.#entries.length, producer, content, nowMs, log.highestAcknowledged)
    this.#entries.push({ record, log })
    return record
  }

  entry(id: number): { readonly record: SentRecord; readonly log: LogChecker } | undefined {
    return this.#entries[id]
  }
}

/** What somebody asks for, by topic or by key. */
export interface Wanted {
  /** For messages. */
  readonly what: string
  /** Every record there is. */
  readonly everything: boolean
  matches(content: RecordContent): boolean
}

export interface LogCheckerOptions {
  readonly log: LogId
  readonly storage: StorageType
  /** Of a log that belongs to one. */
  readonly topic: string | undefined
  /** Of a log in memory: the process that it lives in. 0 for stored ones. */
  readonly epoch: number
  readonly book: RecordBook
  readonly rules: RemovalRules
  readonly meta: FakeMeta
  readonly nowMs: () => number
}

export class LogChecker implements JudgedLog {
  readonly log: LogId
  readonly storage: StorageType
  readonly topic: string | undefined
  readonly epoch: number
  /** Of a log that belongs to one topic: its removal was asked for. */
  mayVanish = false
  /** It was removed, and is never there again. */
  isRemoved = false
  readonly #options: LogCheckerOptions
  readonly #sent: SentRecord[] = []
  /** What is known to be at each position, gone or not. */
  readonly #at: (SentRecord | undefined)[] = []
  /** Those of them that are retained. */
  readonly #retained: SentRecord[] = []
  readonly #cursor = new RecordCursor()
  #highestAcknowledged: Position = -1
  /** As far as the start of the log was seen to have moved. */
  #first: Position = 0

  constructor(options: LogCheckerOptions) {
    this.#options = options
    this.log = options.log
    this.storage = options.storage
    this.epoch = options.epoch
    this.topic = options.topic
    options.rules.join(this)
  }

  get highestAcknowledged(): Position {
    return this.#highestAcknowledged
  }

  /** Position after the last one that anybody has seen. */
  get knownEnd(): Position {
    return this.#at.length
  }

  /** What is known to be, or to have been, at a position. */
  at(position: Position): SentRecord | undefined {
    return this.#at[position]
  }

  /** A batch of QoS 0 is passed on by a log in memory, and not kept. */
  keeps(record: SentRecord): boolean {
    return this.storage !== 'memory' || record.content.qos > 0
  }

  /** A record that is about to be sent for the first time. */
  send(producer: string, content: RecordContent): SentRecord {
    const record = this.#options.book.add(this, producer, content, this.#options.nowMs())
    this.#sent.push(record)
    return record
  }

  /** Without a position when the answer does not tell which of several duplicates is where. */
  acknowledge(record: SentRecord, position: Position | undefined): void {
    record.acknowledgedAtMs ??= this.#options.nowMs()
    if (position === undefined) return
    this.#place(record, position, 'the answer to its append')
    this.#highestAcknowledged = Math.max(this.#highestAcknowledged, position)
    if (record.content.retain) this.#requireRetained(record)
  }

  /** A record that the log has given to somebody, who asked at `askedAtMs`. */
  observe(batch: RecordBatch, cursor: RecordCursor, source: string, askedAtMs: number): SentRecord {
    const { position } = cursor
    const entry = this.#options.book.entry(idOf(batch, cursor))
    if (entry === undefined || entry.log !== this) this.fail('phantom', `at ${position}, ${source} has a record that was never sent to it`)
    const { record } = entry
    const difference = record.difference(batch, cursor)
    if (difference !== undefined) this.fail('content', `at ${position}, ${source} has ${record}, and ${difference}`)
    if (!record.mayExist) this.fail('phantom', `at ${position}, ${source} has ${record}`)
    this.#place(record, position, source)
    if (this.#options.rules.isRemoved(this, record, askedAtMs))
      this.fail('removal', `at ${position}, ${source} has ${record}, whose topic was removed after it`)
    return record
  }

  /** All records of a batch, which has no gaps. */
  observeWhole(batch: RecordBatch, source: string): void {
    const cursor = this.#cursor
    cursor.reset(batch)
    for (let expected = batch.basePosition; cursor.next(); expected++) {
      if (cursor.position !== expected) this.fail('positions', `${source} has ${cursor.position} in the place of ${expected}`)
      this.observe(batch, cursor, source, this.#options.nowMs())
    }
  }

  /** The log says that it begins at `first` and ends at `end`. */
  extent(first: Position, end: Position): void {
    if (end < this.knownEnd) this.fail('lost', `it ends at ${end}, and ${this.knownEnd - 1} was seen`)
    if (first > end) this.fail('positions', `it begins at ${first}, after its end ${end}`)
    if (first <= this.#first) return
    const before = this.#first
    this.#first = first
    // The newest had the least reason to go. Records without it in memory are those of QoS 0.
    for (let position = first - 1; position >= before; position--) {
      const record = this.#at[position]
      if (record === undefined) continue
      this.judgeAbsence(record, 'the log begins after it')
      if (this.keeps(record)) return
    }
  }

  /** The records of [from, to) that are wanted, other than those `found`, must have a reason to be absent. */
  expectAll(from: Position, to: Position, wanted: Wanted, found: ReadonlySet<Position>): void {
    const { what } = wanted
    const everything = wanted.everything && !this.#options.rules.leavesGaps(this.storage)
    for (let position = from; position < to; position++) {
      if (found.has(position)) continue
      const record = this.#at[position]
      if (record === undefined) {
        if (everything) this.fail('read', `${what} has nothing at ${position}, between ${from} and ${to}`)
      } else if (wanted.matches(record.content)) this.judgeAbsence(record, `${what} has not got it`)
    }
  }

  /** Fails unless the record, which was in the log, may be gone by now. */
  judgeAbsence(record: SentRecord, how: string): void {
    if (!this.mayLack(record)) this.fail('lost', `at ${record.position}, ${record}: ${how}, and nothing allows that`)
    if (record.content.retain) this.#requireRetained(record)
  }

  /** When the whole log was read: everything that was acknowledged is there or may be gone, and each producer finds its order. */
  checkWhole(first: Position): void {
    for (const record of this.#sent) {
      if (!record.acknowledged) continue
      if (record.position === undefined) this.judgeAbsence(record, 'it was acknowledged, and nobody has ever seen it')
      else if (record.position < first) this.judgeAbsence(record, `the log begins at ${first}`)
    }
    const lastOf = new Map<string, SentRecord>()
    for (const record of this.#at) {
      // What was sent again may have been overtaken by what its sender had sent in between.
      if (record === undefined || record.attempts > 1) continue
      const last = lastOf.get(record.producer)
      if (last !== undefined && last.id > record.id)
        this.fail('order', `${record} at ${record.position} comes after ${last} at ${last.position}`)
      lastOf.set(record.producer, record)
    }
  }

  /** The log says that meta has the values of all records before `position` (Q15). */
  checkRetainedTo(position: Position): void {
    for (const record of this.#retained) if ((record.position ?? 0) < position) this.#requireRetained(record)
  }

  /** The last retained record of each topic that was seen must be what meta has: nothing is under way any more. */
  checkRetained(): void {
    const lastOf = new Map<string, SentRecord>()
    for (const record of this.#at) if (record?.content.retain) lastOf.set(record.content.topic, record)
    for (const record of lastOf.values()) {
      this.#requireRetained(record)
      const value = this.#options.meta.value(this.log, record.content.topic)
      const { payload } = record.content
      // A later one that nobody has seen may have come in between.
      if (value?.position !== record.position && this.#at[value?.position ?? 0] === undefined) continue
      if (value?.position !== record.position) this.fail('retained', `meta has ${value?.position} and not ${record.position} of ${record}`)
      if (!(value?.message?.payload ?? Buffer.alloc(0)).equals(payload)) this.fail('retained', `meta has another payload than ${record}`)
    }
  }

  /** An estimate, rather too high, of what was appended since a record, with what may share its chunk: a chunk goes as a whole. */
  bytesSince(first: SentRecord, topic?: string): number {
    const fromMs = first.sentAtMs - CHUNK_SPAN_MS
    let bytes = 0
    for (const record of this.#sent) {
      if (record.id < first.id && (record.acknowledgedAtMs ?? Number.POSITIVE_INFINITY) < fromMs) continue
      if (topic === undefined || record.content.topic === topic) bytes += record.bytesHigh
    }
    return bytes
  }

  /** The same, of everything that was ever sent. */
  get bytesSent(): number {
    return this.#sent.reduce((sum, { bytesHigh }) => sum + bytesHigh, 0)
  }

  /** There may be a reason for which the record is gone. */
  mayLack(record: SentRecord): boolean {
    return !this.keeps(record) || this.#options.rules.excuses(this, record, this.#options.nowMs())
  }

  fail(rule: Promised, message: string): never {
    throw new EngineViolation(rule, `${this.storage} log ${this.log}: ${message}`)
  }

  #place(record: SentRecord, position: Position, source: string): void {
    const known = this.#at[position]
    if (known === record) return
    if (known !== undefined) this.fail('positions', `at ${position}, ${source} has ${record} where ${known} was`)
    if (record.position !== undefined) this.fail('duplicate', `at ${position}, ${source} has ${record}, which is at ${record.position} too`)
    if (position <= record.bound)
      this.fail('positions', `at ${position}, ${source} has ${record}, but ${record.bound} was acknowledged before it was sent`)
    record.position = position
    if (record.content.retain) this.#retained.push(record)
    while (this.#at.length < position) this.#at.push(undefined)
    this.#at[position] = record
  }

  /** Its value, or a later one, must be in meta (Q1, L28). */
  #requireRetained(record: SentRecord): void {
    const value = this.#options.meta.value(this.log, record.content.topic)
    if (record.position !== undefined && (value === undefined || value.position < record.position))
      this.fail(
        'retained',
        `meta has ${value === undefined ? 'nothing' : `the value of ${value.position}`} after ${record} at ${record.position}`,
      )
  }
}
