// SPDX-License-Identifier: Apache-2.0
// A shard store whose commits happen when the test says so.

import { matches } from '#base/topic-filter'
import type {
  AppendOutcome,
  LogDescription,
  LogId,
  LogPosition,
  ReadRequest,
  ReadResult,
  StorageModel,
  StorageType,
  TailSink,
} from '#contract/client/engine-client'
import { type RecordBatch, RecordBatchBuilder, RecordCursor } from '#contract/record/record-batch'
import type { ShardStore } from '#storage'

export const DURABLE: LogId = 0
export const PASSING: LogId = 1

interface Append {
  readonly log: LogId
  readonly batch: RecordBatch
  readonly done: (outcome: AppendOutcome) => void
}

export class FakeShardStore implements ShardStore {
  readonly appends: Append[] = []
  readonly reads: ReadRequest[] = []
  readonly #logs: LogDescription[] = [
    { id: DURABLE, storage: 'rocksdb', model: 'shared' },
    { id: PASSING, storage: 'memory', model: 'shared' },
  ]
  readonly #batches: RecordBatch[][] = [[], []]
  readonly #ends = [0, 0]
  #sink: TailSink | undefined
  /** Reads resolve only when this does. */
  readGate: Promise<void> = Promise.resolve()
  /** The most records that one read looks at. */
  readCount = Number.POSITIVE_INFINITY

  logs(): readonly LogDescription[] {
    return this.#logs
  }

  describe(log: LogId): LogDescription | undefined {
    return this.#logs.find(({ id }) => id === log)
  }

  logOf(storage: StorageType, topic: string, model: StorageModel = 'shared'): LogId {
    if (model === 'shared') return storage === 'memory' ? PASSING : DURABLE
    return this.#logs.find((log) => log.topic === topic && log.storage === storage)?.id ?? this.create(topic, storage)
  }

  /** Creates the log of a topic. */
  create(topic: string, storage: StorageType = 'rocksdb'): LogId {
    const id = this.#batches.push([]) - 1
    this.#ends[id] = 0
    this.#logs.push({ id, storage, model: 'independent', topic })
    return id
  }

  /** What is under way to it is rejected. */
  remove(log: LogId): void {
    this.#logs.splice(
      this.#logs.findIndex(({ id }) => id === log),
      1,
    )
    for (const append of this.appends.filter((other) => other.log === log)) {
      this.appends.splice(this.appends.indexOf(append), 1)
      append.done({ kind: 'rejected', reason: 'removed' })
    }
  }

  append(log: LogId, batch: RecordBatch, done: (outcome: AppendOutcome) => void): void {
    this.appends.push({ log, batch, done })
  }

  /** Commits the oldest append that is under way, or a given one. */
  commit(append: Append | undefined = this.appends[0]): void {
    if (append === undefined) throw new Error('nothing is under way')
    this.appends.splice(this.appends.indexOf(append), 1)
    this.store(append.log, append.batch)
    append.done({ kind: 'appended', basePosition: append.batch.basePosition })
  }

  /** Puts a batch at the end of a log, as if somebody had appended it. */
  store(log: LogId, batch: RecordBatch): void {
    const end = this.#ends[log] as number
    batch.stamp(end, 0, 1)
    this.#ends[log] = end + batch.recordCount
    this.#batches[log]?.push(batch)
    this.#sink?.onCommitted(log, batch)
  }

  async read({ log, from, filters, ...rest }: ReadRequest): Promise<ReadResult> {
    this.reads.push({ log, from, filters, ...rest })
    await this.readGate
    const until = Math.min(from + this.readCount, this.extent(log).end)
    const builder = new RecordBatchBuilder()
    const cursor = new RecordCursor()
    for (const batch of this.#batches[log] ?? []) {
      cursor.reset(batch)
      while (cursor.next()) {
        const topic = batch.topics[cursor.topic] as string
        const wanted = filters.some((filter) => matches(filter, topic))
        if (cursor.position >= from && cursor.position < until && wanted) builder.copy(batch, cursor, builder.topic(topic), from)
      }
    }
    const batches = builder.recordCount === 0 ? [] : [builder.build()]
    for (const batch of batches) batch.stamp(from, 0, 1)
    return { batches, next: until, atEnd: until === this.extent(log).end, from }
  }

  extent(log: LogId): { first: number; end: number } {
    return { first: 0, end: this.#ends[log] as number }
  }

  async positionAt(): Promise<number> {
    return 0
  }

  attach(sink: TailSink): void {
    this.#sink = sink
  }

  async readKey(): Promise<never> {
    throw new Error('brokers do not read by key')
  }

  async fetch(): Promise<readonly RecordBatch[]> {
    return []
  }

  async register(filter: string): Promise<readonly LogPosition[]> {
    const concerned = this.#logs.filter(({ topic }) => topic === undefined || matches(filter, topic))
    return concerned.map(({ id }) => ({ log: id, position: this.extent(id).end }))
  }

  deregister(): void {}

  async retainedUpTo(): Promise<void> {}

  async release(): Promise<boolean> {
    return true
  }

  async forget(): Promise<void> {}

  async unreleased(): Promise<readonly { sequence: number; log: LogId }[]> {
    return []
  }
}

const NO_HEADERS = Buffer.alloc(0)

/** A batch of QoS 1 records whose payloads are given, all on one topic. */
export function batchOf(topic: string, payloads: readonly string[], qos = 1): RecordBatch {
  const builder = new RecordBatchBuilder()
  for (const text of payloads) {
    const payload = Buffer.from(text)
    builder.append(builder.topic(topic), qos, 7, 0, -1, NO_HEADERS, payload, 0, payload.length)
  }
  return builder.build()
}

export const payloadOf = (batch: RecordBatch, cursor: RecordCursor): string => batch.bytes.toString('utf8', cursor.payloadStart, cursor.end)

/** All promises that can go on without outside help have gone on. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
