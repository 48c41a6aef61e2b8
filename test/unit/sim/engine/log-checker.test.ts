// SPDX-License-Identifier: Apache-2.0
// The log checker by itself: it accepts a log that keeps its promises, and names the one that is broken.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Position, ReadResult } from '#contract/client/engine-client'
import { RecordBatchBuilder } from '#contract/record/record-batch'
import { LogChecker, RecordBook } from '../../../sim/engine/checker/log-checker.ts'
import { checkFetch, checkPositionAt, checkRead, wantedByFilters } from '../../../sim/engine/checker/read-checker.ts'
import { RemovalRules } from '../../../sim/engine/checker/removal-rules.ts'
import { TailChecker } from '../../../sim/engine/checker/tail-checker.ts'
import { EngineViolation, type Promised } from '../../../sim/engine/checker/violation.ts'
import { drawEngineConfiguration, type EngineSettings } from '../../../sim/engine/engine-configuration.ts'
import { FakeMeta } from '../../../sim/engine/fake-meta.ts'
import { encodeRecords, type SentRecord } from '../../../sim/engine/sent-record.ts'
import { SimRandom } from '../../../sim/random.ts'
import { World } from '../../../sim/world.ts'

const KEEPS_ALL: EngineSettings = { ...drawEngineConfiguration(new SimRandom(1)).engine, maxAgeMs: 0, maxBytes: 0, topics: [] }

/** One log of type rocksdb, and what a client of it does. */
class Bench {
  readonly log: LogChecker
  readonly rules: RemovalRules
  nowMs = 0

  constructor(settings: Partial<EngineSettings> = {}) {
    const world = new World({ seed: 1 })
    const meta = new FakeMeta(world, world.random, { delayMs: 1, outageMs: undefined, slowRatio: 0 })
    this.rules = new RemovalRules({ ...KEEPS_ALL, ...settings }, false)
    const common = { book: new RecordBook(), rules: this.rules, meta, nowMs: () => this.nowMs }
    this.log = new LogChecker({ ...common, log: 3, storage: 'rocksdb', topic: undefined, epoch: 0 })
  }

  send(topic = 't/0/0', retain = false): SentRecord {
    const record = this.log.send('producer 1', {
      topic,
      qos: 1,
      retain,
      publisher: 1,
      sequence: -1,
      key: undefined,
      payload: Buffer.from('x'),
    })
    record.attempts++
    record.open++
    return record
  }

  /** Sent, and acknowledged there. */
  stored(position: Position, topic?: string): SentRecord {
    const record = this.send(topic)
    this.acknowledge(record, position)
    return record
  }

  acknowledge(record: SentRecord, position: Position): void {
    record.open--
    this.log.acknowledge(record, position)
  }

  /** A read of everything from 0 that has these, from `base` on. */
  read(records: readonly SentRecord[], base: Position, next: Position, from = 0): void {
    const result: ReadResult = { batches: records.length === 0 ? [] : [this.batch(records, base)], next, atEnd: true, from }
    checkRead(this.log, 0, wantedByFilters(['#']), result, this.nowMs)
  }

  batch(records: readonly SentRecord[], base: Position) {
    const batch = encodeRecords(new RecordBatchBuilder(), records)
    batch.stamp(base, 0, 1)
    return batch
  }
}

const breaks = (promise: Promised, work: () => void): void =>
  assert.throws(work, (error: unknown) => error instanceof EngineViolation && error.checker === promise)

describe('log checker', () => {
  it('T14: a log that keeps its promises is accepted, and what nobody knows of may be in it or not', () => {
    const bench = new Bench()
    const [a, b, c] = [bench.stored(0), bench.send(), bench.send()]
    for (const record of [b, c]) {
      record.open--
      record.doubtful = true
    }
    bench.read([a, c], 0, 2)
    bench.log.extent(0, 2)
    bench.log.checkWhole(0)
  })

  it('T14: a position that is not above what was acknowledged before the record was sent is refused', () => {
    const bench = new Bench()
    bench.stored(5)
    const late = bench.send()
    breaks('positions', () => bench.acknowledge(late, 4))
  })

  it('T14: a position is given once, and a record has one', () => {
    const bench = new Bench()
    const [a, b] = [bench.send(), bench.send()]
    bench.acknowledge(a, 0)
    breaks('positions', () => bench.acknowledge(b, 0))
    breaks('duplicate', () => bench.read([a, a], 0, 2))
  })

  it('T14: what was refused, or sent to another log, is a phantom', () => {
    const bench = new Bench()
    const refused = bench.send()
    refused.open--
    breaks('phantom', () => bench.read([refused], 0, 1))
    breaks('phantom', () => bench.read([new Bench().stored(0)], 0, 1))
  })

  it('T14: other bytes under a known name are found', () => {
    const bench = new Bench()
    const record = bench.stored(0)
    const other = new Bench().stored(0, 't/1/1')
    assert.equal(record.id, other.id)
    breaks('content', () => bench.read([other], 0, 1))
  })

  it('T14: what was acknowledged and is not read is lost', () => {
    const bench = new Bench()
    const [a] = [bench.stored(0), bench.stored(1)]
    breaks('lost', () => bench.read([a], 0, 2))
    breaks('lost', () => bench.read([], 0, 2, 2))
    breaks('lost', () => bench.log.extent(0, 1))
    breaks('lost', () => bench.log.checkWhole(1))
    breaks('read', () => new Bench().read([], 0, 1))
  })

  it('L28: retention may take what is old enough, and nothing else', () => {
    const bench = new Bench({ maxAgeMs: 1_000 })
    bench.stored(0)
    bench.nowMs = 500
    breaks('lost', () => bench.log.extent(1, 1))
    const late = new Bench({ maxAgeMs: 1_000 })
    late.stored(0)
    late.nowMs = 1_000
    late.log.extent(1, 1)
    late.log.checkWhole(1)
  })

  it('L28: retention may take what is too much, judged by an estimate that is too high', () => {
    const few = new Bench({ maxBytes: 4_000, stripes: 1 })
    for (let at = 0; at < 3; at++) few.stored(at)
    breaks('lost', () => few.log.extent(1, 3))
    const many = new Bench({ maxBytes: 4_000, stripes: 1 })
    for (let at = 0; at < 30; at++) many.stored(at)
    many.log.extent(1, 30)
  })

  it('Q1 L28: a retained record is acknowledged, and removed, only when its value is in meta', () => {
    const bench = new Bench({ maxAgeMs: 1 })
    const record = bench.send('t/0/0', true)
    breaks('retained', () => bench.acknowledge(record, 0))
    bench.nowMs = 1_000
    breaks('retained', () => bench.log.extent(1, 1))
  })

  it('a removed topic may be gone once the removal has begun, and must be when it is done', () => {
    const bench = new Bench()
    const record = bench.stored(0)
    bench.nowMs = 1
    const removal = bench.rules.removalBegins(bench.log, 't/0/0', bench.nowMs)
    bench.read([record], 0, 1)
    bench.read([], 0, 1)
    bench.rules.removalEnds(removal, 2, 'done')
    bench.nowMs = 2
    breaks('removal', () => bench.read([record], 0, 1))
  })

  it('T14: records of one producer keep their order', () => {
    const bench = new Bench()
    const [a, b] = [bench.send(), bench.send()]
    bench.acknowledge(b, 0)
    a.open--
    a.doubtful = true
    bench.read([b, a], 0, 2)
    breaks('order', () => bench.log.checkWhole(0))
  })

  it('T15: a fetch has what was asked for and no more', () => {
    const bench = new Bench()
    const [a, b] = [bench.stored(0), bench.stored(1)]
    checkFetch(bench.log, [0, 1, 7], 2, [bench.batch([a, b], 0)], 0)
    breaks('lost', () => checkFetch(bench.log, [0, 1], 2, [bench.batch([a], 0)], 0))
    breaks('read', () => checkFetch(bench.log, [1], 2, [bench.batch([a, b], 0)], 0))
  })

  it('D8: the place of a time misses nothing that came later, and is not long before it', () => {
    const bench = new Bench()
    bench.stored(0)
    bench.nowMs = 1_000
    bench.stored(1)
    const place = (timeMs: number, position: Position) => () => checkPositionAt(bench.log, timeMs, 0, position, (worldMs) => worldMs)
    place(500, 1)()
    breaks('time', place(500, 0))
    breaks('time', place(500, 2))
  })

  it('D4: the tail tells each batch once, in order, and leaves nothing out', () => {
    const bench = new Bench()
    const records = [0, 1, 2].map((position) => bench.stored(position))
    const tail = new TailChecker(() => bench.log)
    tail.register('t/0/#', [{ log: 3, position: 0 }])
    tail.onCommitted(3, bench.batch(records.slice(0, 1), 0))
    breaks('tail', () => tail.onCommitted(3, bench.batch(records.slice(0, 1), 0)))
    tail.check()
    tail.onCommitted(3, bench.batch(records.slice(2), 2))
    breaks('tail', () => tail.check())
    breaks('tail', () => new TailChecker(() => bench.log).onCommitted(3, bench.batch(records, 0)))
  })
})
