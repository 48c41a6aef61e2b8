// SPDX-License-Identifier: Apache-2.0
// The least that a shard store can be: lists in memory, looked through from end to end. It shows that the suite asks for nothing that only an engine has.
import { matches } from '#base/topic-filter'
import type {
  AppendOutcome,
  KeyReadRequest,
  LogDescription,
  LogId,
  LogPosition,
  Position,
  ReadRequest,
  ReadResult,
  StorageType,
  TailSink,
} from '#contract/client/engine-client'
import { ATTRIBUTE, type RecordBatch, RecordBatchBuilder, RecordCursor } from '#contract/record/record-batch'
import type { ShardStore } from '#storage'

/** One record as a batch of its own. */
interface Kept {
  readonly topic: string
  readonly publisher: number
  readonly sequence: number
  readonly batch: RecordBatch
}

const LOGS: readonly LogDescription[] = [{ id: 0, storage: 'memory', model: 'shared' }]

export class ModelShardStore implements ShardStore {
  readonly #nowMs: () => number
  readonly #records: Kept[] = []
  readonly #interests: string[] = []
  /** 'publisher/sequence' */
  readonly #unreleased = new Set<string>()
  #sink: TailSink | undefined

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs
  }

  logs(): readonly LogDescription[] {
    return LOGS
  }

  describe(log: LogId): LogDescription | undefined {
    return LOGS[log]
  }

  logOf(_storage: StorageType, _shard: string): LogId {
    return 0
  }

  append(log: LogId, batch: RecordBatch, done: (outcome: AppendOutcome) => void): void {
    queueMicrotask(() => {
      const basePosition = this.#records.length
      const cursor = new RecordCursor()
      cursor.reset(batch)
      while (cursor.next()) this.#keep(log, batch, cursor)
      done({ kind: 'appended', basePosition })
    })
  }

  async read({ from, filters, bytesMax }: ReadRequest): Promise<ReadResult> {
    const first = Math.min(from, this.#records.length)
    const batches: RecordBatch[] = []
    let next = first
    for (let bytes = 0; next < this.#records.length && bytes < bytesMax; next++) {
      const { topic, batch } = this.#at(next)
      if (!filters.some((filter) => matches(filter, topic))) continue
      batches.push(batch)
      bytes += batch.bytes.length
    }
    return { batches, next, atEnd: next === this.#records.length, from: first }
  }

  async readKey({ log, topic, key, from }: KeyReadRequest): Promise<ReadResult> {
    const all = await this.read({ log, from, filters: [topic], bytesMax: Number.POSITIVE_INFINITY })
    const cursor = new RecordCursor()
    const batches = all.batches.filter((batch) => {
      cursor.reset(batch)
      cursor.next()
      return (cursor.attributes & ATTRIBUTE.key) !== 0 && key.equals(batch.bytes.subarray(cursor.keyStart, cursor.keyEnd))
    })
    return { ...all, batches }
  }

  async fetch(_log: LogId, positions: readonly Position[]): Promise<readonly RecordBatch[]> {
    return positions.filter((position) => position < this.#records.length).map((position) => this.#at(position).batch)
  }

  async positionAt(_log: LogId, timeMs: number): Promise<Position> {
    const found = this.#records.findIndex(({ batch }) => batch.appendTimeMs >= timeMs)
    return found < 0 ? this.#records.length : found
  }

  extent(): { readonly first: Position; readonly end: Position } {
    return { first: 0, end: this.#records.length }
  }

  attach(sink: TailSink): void {
    this.#sink = sink
  }

  async register(filter: string): Promise<readonly LogPosition[]> {
    this.#interests.push(filter)
    return [{ log: 0, position: this.#records.length }]
  }

  deregister(filter: string): void {
    this.#interests.splice(this.#interests.indexOf(filter), 1)
  }

  async retainedUpTo(): Promise<void> {}

  async release(publisher: number, sequence: number): Promise<boolean> {
    return this.#unreleased.delete(`${publisher}/${sequence}`)
  }

  async forget(publishers: readonly number[]): Promise<void> {
    for (const known of this.#unreleased) if (publishers.includes(Number(known.split('/')[0]))) this.#unreleased.delete(known)
  }

  async unreleased(publisher: number): Promise<readonly { readonly sequence: number; readonly log: LogId }[]> {
    const own = [...this.#unreleased].filter((known) => known.startsWith(`${publisher}/`))
    return own.map((known) => ({ sequence: Number(known.split('/')[1]), log: 0 }))
  }

  #keep(log: LogId, batch: RecordBatch, cursor: RecordCursor): void {
    const { publisher, sequence } = cursor
    if (sequence >= 0 && this.#unreleased.has(`${publisher}/${sequence}`)) return
    if (sequence >= 0) this.#unreleased.add(`${publisher}/${sequence}`)
    const topic = batch.topics[cursor.topic] as string
    const builder = new RecordBatchBuilder(64)
    builder.copy(batch, cursor, builder.topic(topic), cursor.position)
    const one = builder.build()
    one.stamp(this.#records.length, this.#nowMs(), 1)
    this.#records.push({ topic, publisher, sequence, batch: one })
    if (this.#interests.some((filter) => matches(filter, topic))) this.#sink?.onCommitted(log, one)
  }

  #at(position: Position): Kept {
    return this.#records[position] as Kept
  }
}
