// SPDX-License-Identifier: Apache-2.0
// The consumer of a shared group, on a real log whose commits are made by hand.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import fc from 'fast-check'
import type { LogId, Position } from '#contract/client/engine-client'
import type { ShareConsumer, ShareProgress, ShareSink } from '#contract/client/share-client'
import type { RecordBatch, RecordCursor } from '#contract/record/record-batch'
import { EngineNode, type SampleRecord, settled } from '../engine-node.ts'

/** Takes as many records as it has room for. */
class Taker implements ShareSink {
  readonly got: Position[] = []
  readonly lost: Position[] = []
  room = Number.POSITIVE_INFINITY
  /** Called in the middle of an offer. */
  during: (position: Position) => void = () => {}

  offer(_log: LogId, _batch: RecordBatch, cursor: RecordCursor): boolean {
    if (this.room <= 0) return false
    this.during(cursor.position)
    this.room--
    this.got.push(cursor.position)
    return true
  }

  appetiteBytes(): number {
    return 200
  }

  missed(_log: LogId, from: Position, to: Position): void {
    for (let position = from; position < to; position++) this.lost.push(position)
  }

  failed(error: unknown): void {
    throw error
  }
}

const LOG = 0
const records = (count: number, topic = 't'): readonly SampleRecord[] => Array.from({ length: count }, () => ({ topic }))
const upTo = (end: number, from = 0): readonly Position[] => Array.from({ length: end - from }, (_, at) => from + at)

async function open(filter = 't', progress: readonly ShareProgress[] = []) {
  const node = await EngineNode.start()
  const taker = new Taker()
  const consumer = await node.engine.openShare(filter, taker, progress)
  return { node, taker, consumer }
}

const progressIn = (consumer: ShareConsumer, log = LOG): ShareProgress | undefined =>
  consumer.progress().find((progress) => progress.log === log)

suite('handing out', () => {
  test('a group begins at the end of the log, and gets every matching record once, in order', async () => {
    const node = await EngineNode.start()
    await node.write(LOG, records(3))
    const taker = new Taker()
    await node.engine.openShare('t/#', taker, [])
    await node.write(LOG, [{ topic: 't' }, { topic: 'other' }, { topic: 't/x' }])
    await node.write(LOG, [{ topic: 't/y' }])
    assert.deepEqual(taker.got, [3, 5, 6])
  })

  test('a record that is refused waits with all behind it, and comes again when there is room', async () => {
    const { node, taker, consumer } = await open()
    taker.room = 2
    await node.write(LOG, records(5))
    await node.write(LOG, records(5))
    assert.deepEqual(taker.got, [0, 1])
    assert.equal(progressIn(consumer)?.next, 2)
    taker.room = 4
    consumer.resume()
    await settled()
    assert.deepEqual(taker.got, upTo(6))
    taker.room = Number.POSITIVE_INFINITY
    consumer.resume()
    await settled()
    assert.deepEqual(taker.got, upTo(10))
    await node.write(LOG, records(1))
    assert.deepEqual(taker.got, upTo(11), 'it is live again')
  })

  test('room that is made while the log is read is not overlooked', async () => {
    const { node, taker, consumer } = await open()
    taker.room = 0
    await node.write(LOG, records(3))
    consumer.resume()
    taker.room = 3
    consumer.resume()
    await settled()
    assert.deepEqual(taker.got, upTo(3))
  })

  test('QoS 0 is offered as it comes, also while the group is behind, and never again', async () => {
    const { node, taker, consumer } = await open()
    taker.room = 0
    await node.write(LOG, [{ topic: 't', qos: 0 }, { topic: 't' }, { topic: 't', qos: 0 }])
    taker.room = Number.POSITIVE_INFINITY
    await node.write(LOG, [{ topic: 't', qos: 0 }])
    assert.deepEqual(taker.got, [3])
    consumer.resume()
    await settled()
    assert.deepEqual(taker.got, [3, 1])
    assert.deepEqual(progressIn(consumer)?.open, [1])
  })

  test('nothing is offered after the close', async () => {
    const { node, taker, consumer } = await open()
    taker.room = 0
    await node.write(LOG, records(1))
    consumer.close()
    taker.room = 1
    consumer.resume()
    await node.write(LOG, records(1))
    await settled()
    assert.deepEqual(taker.got, [])
  })
})

suite('what comes back', () => {
  test('Q17 is handed out again in order, before anything new; what is finished is not', async () => {
    const { node, taker, consumer } = await open()
    await node.write(LOG, records(6))
    consumer.finish(LOG, 2)
    taker.room = 0
    consumer.handBack(LOG, [4, 2, 0])
    await node.write(LOG, records(2))
    taker.got.length = 0
    taker.room = Number.POSITIVE_INFINITY
    consumer.resume()
    await settled()
    assert.deepEqual(taker.got, [0, 4, 6, 7])
  })

  test('what is finished while it waits to be handed out again is left out', async () => {
    const { node, taker, consumer } = await open()
    await node.write(LOG, records(3))
    taker.got.length = 0
    consumer.handBack(LOG, [0, 1, 2])
    consumer.finish(LOG, 1)
    await settled()
    assert.deepEqual(taker.got, [0, 2])
  })

  test('what retention has removed meanwhile is told as missed, and not waited for', async () => {
    const node = await EngineNode.start({ memoryBytes: 2_000 })
    const memory = 1
    const taker = new Taker()
    const consumer = await node.engine.openShare('t', taker, [])
    await node.write(memory, records(2))
    for (let count = 0; count < 40; count++) await node.write(memory, [{ topic: 'other', payload: 'y'.repeat(200) }])
    consumer.handBack(memory, [0, 1])
    await settled()
    assert.deepEqual(
      [taker.got, taker.lost],
      [
        [0, 1],
        [0, 1],
      ],
    )
    assert.deepEqual(progressIn(consumer, memory)?.open, [])
  })
})

suite('progress', () => {
  test('counts a record as handed out from the middle of a batch on', async () => {
    const { node, taker, consumer } = await open()
    const seen: (ShareProgress | undefined)[] = []
    taker.during = () => seen.push(progressIn(consumer))
    await node.write(LOG, [{ topic: 't' }, { topic: 'other' }, { topic: 't' }])
    assert.deepEqual(seen, [
      { log: LOG, next: 1, open: [0] },
      { log: LOG, next: 3, open: [0, 2] },
    ])
  })

  test('a member that leaves in the middle of a batch takes nothing of the rest with it', async () => {
    const { node, taker, consumer } = await open()
    const leave = (): void => consumer.handBack(LOG, [0])
    taker.during = (position) => {
      if (position === 1 && !taker.got.includes(1)) leave()
    }
    await node.write(LOG, records(4))
    await settled()
    assert.deepEqual(taker.got, [0, 1, 0, 2, 3])
  })

  test('goes on where an earlier consumer stopped, without what that one had handed out', async () => {
    const { node } = await open()
    await node.write(LOG, records(8))
    const taker = new Taker()
    const consumer = await node.engine.openShare('t', taker, [{ log: LOG, next: 4, open: [1, 2] }])
    consumer.handBack(LOG, [1])
    await settled()
    assert.deepEqual(taker.got, [1, 4, 5, 6, 7])
    assert.deepEqual(progressIn(consumer), { log: LOG, next: 8, open: [1, 2, 4, 5, 6, 7] })
  })

  test('a group without room begins where it stopped, too: opening reads nothing', async () => {
    const { node } = await open()
    await node.write(LOG, records(4))
    const taker = new Taker()
    const consumer = await node.engine.openShare('t', taker, [{ log: LOG, next: 2, open: [] }])
    await node.write(LOG, records(1))
    assert.deepEqual(taker.got, [])
    assert.deepEqual(progressIn(consumer), { log: LOG, next: 2, open: [] })
  })
})

test('Q17 whatever happens, every record is handed out once, and once more each time it comes back', async () => {
  const step = fc.oneof(
    fc.record({ kind: fc.constant('write' as const), count: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ kind: fc.constant('room' as const), count: fc.integer({ min: 0, max: 4 }) }),
    fc.record({ kind: fc.constant('back' as const), count: fc.integer({ min: 1, max: 3 }) }),
    fc.record({ kind: fc.constant('finish' as const), count: fc.integer({ min: 1, max: 3 }) }),
    fc.record({ kind: fc.constant('settle' as const), count: fc.constant(0) }),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      const { node, taker, consumer } = await open()
      taker.room = 0
      const returns = new Map<Position, number>()
      const isWith = new Set<Position>()
      taker.during = (position) => void isWith.add(position)
      let written = 0
      for (const { kind, count } of steps) {
        const some = [...isWith].slice(0, count)
        if (kind === 'write') {
          await node.write(LOG, records(count))
          written += count
        } else if (kind === 'room') {
          taker.room = count
          consumer.resume()
        } else if (kind === 'settle') await settled()
        else {
          for (const position of some) isWith.delete(position)
          if (kind === 'back') for (const position of some) returns.set(position, (returns.get(position) ?? 0) + 1)
          if (kind === 'back') consumer.handBack(LOG, some)
          else for (const position of some) consumer.finish(LOG, position)
        }
      }
      taker.room = Number.POSITIVE_INFINITY
      for (let round = 0; round < 3; round++) {
        consumer.resume()
        await settled()
      }
      const times = upTo(written).map((position) => taker.got.filter((other) => other === position).length)
      assert.deepEqual(
        times,
        upTo(written).map((position) => 1 + (returns.get(position) ?? 0)),
      )
    }),
    { numRuns: 150 },
  )
})
