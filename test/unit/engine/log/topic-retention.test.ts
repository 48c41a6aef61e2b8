// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { batchOf, EngineNode, STORED_LOGS, settled } from '../engine-node.ts'
import type { ModelKv } from '../model-kv.ts'

const LOG = 0
const HOUR_MS = 3_600_000
const ROUND_MS = 10 * HOUR_MS

/** Ten chunks an hour apart, with one record of each topic in each. */
async function tenHours(node: EngineNode, ...topics: readonly string[]): Promise<void> {
  for (let hour = 0; hour < 10; hour++) {
    const payload = String(hour).repeat(1000)
    await node.write(
      LOG,
      topics.map((topic) => ({ topic, payload })),
    )
    await node.flush()
    await node.clock.pass(HOUR_MS)
  }
  await node.flush()
}

const positionsOf = async (node: EngineNode, filter: string): Promise<readonly number[]> =>
  (await node.readAll(LOG, [filter])).map(({ position }) => position)

describe('retention of topics', () => {
  test('L28: records of a topic beyond its age go, those of the others stay, and so it is after a restart', async () => {
    const topics = [{ filter: 'short/+', maxAgeMs: 5.5 * HOUR_MS, maxBytes: 0 }]
    const node = await EngineNode.start({ tailBytes: 0, retention: { maxAgeMs: 0, maxBytes: 0, intervalMs: ROUND_MS, topics } })
    await tenHours(node, 'short/a', 'long')
    assert.deepEqual(await positionsOf(node, 'short/#'), [10, 12, 14, 16, 18])
    assert.deepEqual(await positionsOf(node, 'long'), [1, 3, 5, 7, 9, 11, 13, 15, 17, 19])
    assert.equal(node.kv.count(LOG, 'r'), 15)
    const next = await node.restart()
    assert.deepEqual(await positionsOf(next, '#'), [1, 3, 5, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19])
  })

  test('the bytes of a topic are bounded, the oldest records go first, round after round', async () => {
    const topics = [{ filter: 'small', maxAgeMs: 0, maxBytes: 3500 }]
    const node = await EngineNode.start({ tailBytes: 0, retention: { maxAgeMs: 0, maxBytes: 0, intervalMs: ROUND_MS, topics } })
    await tenHours(node, 'small', 'large')
    assert.deepEqual(await positionsOf(node, 'small'), [14, 16, 18])
    await tenHours(node, 'small', 'large')
    assert.deepEqual(await positionsOf(node, 'small'), [34, 36, 38])
    assert.equal((await positionsOf(node, 'large')).length, 20)
  })

  test('of several tables that match, the first decides alone, even when it sets no limit', async () => {
    const topics = [
      { filter: 'kept/#', maxAgeMs: 0, maxBytes: 0 },
      { filter: '#', maxAgeMs: 5.5 * HOUR_MS, maxBytes: 0 },
    ]
    const node = await EngineNode.start({ tailBytes: 0, retention: { maxAgeMs: 0, maxBytes: 0, intervalMs: ROUND_MS, topics } })
    await tenHours(node, 'kept/a', 'other')
    assert.equal((await positionsOf(node, 'kept/a')).length, 10)
    assert.equal((await positionsOf(node, 'other')).length, 5)
  })

  test('Q20: a reader that comes for removed records is told how many there were, and one of other topics is not', async () => {
    const topics = [{ filter: 'short', maxAgeMs: 5.5 * HOUR_MS, maxBytes: 0 }]
    const node = await EngineNode.start({ tailBytes: 0, retention: { maxAgeMs: 0, maxBytes: 0, intervalMs: ROUND_MS, topics } })
    await tenHours(node, 'short', 'long')
    const removed = async (filter: string, from: number): Promise<number | undefined> =>
      (await node.engine.read({ log: LOG, from, filters: [filter], bytesMax: 1 << 20 })).removed
    assert.equal(await removed('short', 0), 5)
    assert.equal(await removed('short', 6), 2)
    assert.equal(await removed('long', 0), undefined)
  })

  test('a crash at any write of a round leaves a log that can be read whole', async () => {
    const topics = [{ filter: 'short', maxAgeMs: 5.5 * HOUR_MS, maxBytes: 0 }]
    const node = await EngineNode.start({ tailBytes: 0, retention: { maxAgeMs: 0, maxBytes: 0, intervalMs: ROUND_MS, topics } })
    const forks: ModelKv[] = []
    const write = node.kv.write.bind(node.kv)
    node.kv.write = async (batch, options) => {
      await write(batch, options)
      forks.push(node.kv.fork())
    }
    await tenHours(node, 'short', 'long')
    const found = new Set<number>()
    for (const kv of forks.slice(-3)) {
      const next = await node.restart(kv)
      assert.equal((await positionsOf(next, 'long')).length, 10)
      found.add((await positionsOf(next, '#')).length)
    }
    assert.ok(found.has(15), 'the removal is among the writes')
  })

  test('a topic that is removed takes its records, its index and its entry with it; the name may come again', async () => {
    const node = await EngineNode.start()
    await tenHours(node, 'gone', 'here')
    assert.equal(await node.engine.removeTopic('rocksdb', 'gone'), true)
    assert.equal(await node.engine.removeTopic('rocksdb', 'never'), false)
    assert.deepEqual(await positionsOf(node, 'gone'), [], 'what was in memory is gone too')
    assert.equal((await positionsOf(node, '#')).length, 10)
    assert.equal(node.kv.count(LOG, 'r'), 10)
    assert.equal(node.kv.count(LOG, 't'), 1)
    await node.write(LOG, [{ topic: 'gone', payload: 'again' }])
    assert.deepEqual(await positionsOf(node, 'gone'), [20])
    await node.flush()
    const next = await node.restart()
    assert.deepEqual(await positionsOf(next, 'gone'), [20])
  })

  test('the place of a time is found although whole chunks are missing from the middle', async () => {
    const node = await EngineNode.start({ tailBytes: 0 })
    const times: number[] = []
    for (const topic of ['here', 'here', 'gone', 'gone', 'gone', 'gone', 'gone', 'here']) {
      times.push(node.clock.nowMs)
      await node.write(LOG, [{ topic }])
      await node.flush()
      await node.clock.pass(HOUR_MS)
    }
    await node.engine.removeTopic('rocksdb', 'gone')
    for (const [position, timeMs] of times.entries()) {
      const found = await node.engine.positionAt(LOG, timeMs)
      assert.ok(found <= position && found >= Math.min(position - 1, 2), `${found} for the time of record ${position}`)
    }
  })

  test('a topic whose retained value is not in meta yet keeps the record that it is made of', async () => {
    const node = await EngineNode.start()
    const open = node.meta.hold()
    node.append(LOG, batchOf([{ topic: 'kept', retain: true }]))
    await node.group(LOG).commit()
    await node.flush()
    assert.equal(await node.engine.removeTopic('rocksdb', 'kept'), true)
    assert.deepEqual(await positionsOf(node, 'kept'), [0])
    open()
  })

  test('an engine reports each of its logs', async () => {
    const node = await EngineNode.start({ retention: { maxAgeMs: 100 * HOUR_MS, maxBytes: 1 << 20 } })
    await tenHours(node, 'a', 'b')
    const [log] = node.engine.storage()
    assert.equal(log?.type, 'rocksdb')
    assert.equal(log?.end, 20)
    assert.equal(log?.topics, 2)
    assert.ok((log?.bytes ?? 0) > 20_000)
    assert.deepEqual(log?.retention, { maxAgeMs: 100 * HOUR_MS, maxBytes: 1 << 20 })
    assert.equal(node.engine.storage().length, node.engine.logs().length)
  })
})

describe('scrubber', () => {
  for (const { storage, log } of STORED_LOGS) {
    test(`L29: damaged records of a ${storage} log are found, told with their place, and not served; the rest is`, async () => {
      const node = await EngineNode.start({ tailBytes: 0, scrubRate: 1 << 20 })
      for (const topic of ['a', 'b', 'c']) {
        await node.write(log, [{ topic, payload: topic.repeat(100) }])
        await node.flush()
      }
      await damageRecordsOf(node, log, 1)
      for (let step = 0; step < 20; step++) await node.clock.pass(61_000)
      const [damaged, ...others] = node.engine.storage()[log]?.damaged ?? []
      assert.deepEqual(others, [])
      assert.deepEqual(damaged, { log, from: 1, to: 2, topics: ['b'] })
      assert.equal(node.engine.warnings().length, 1)
      assert.equal(node.engine.unready(), undefined)
      await assert.rejects(node.engine.read({ log, from: 0, filters: ['b'], bytesMax: 1000 }), { name: 'PlatformError' })
      assert.equal((await node.readAll(log, ['a'])).length, 1)
      assert.equal((await node.readAll(log, ['c'])).length, 1)
    })
  }

  test('E6: damage that a reader meets is looked for at once, though nothing is read in the background', async () => {
    const node = await EngineNode.start({ tailBytes: 0 })
    for (const topic of ['a', 'b', 'c']) {
      await node.write(LOG, [{ topic, payload: topic.repeat(100) }])
      await node.flush()
    }
    await damageRecordsOf(node, LOG, 1)
    assert.deepEqual(node.engine.warnings(), [])
    await assert.rejects(node.engine.read({ log: LOG, from: 0, filters: ['b'], bytesMax: 1000 }), { name: 'PlatformError' })
    await settled()
    assert.deepEqual(node.engine.storage()[LOG]?.damaged, [{ log: LOG, from: 1, to: 2, topics: ['b'] }])
    await node.engine.removeTopic('rocksdb', 'b')
    assert.equal((await node.readAll(LOG, ['#'])).length, 2, 'without the damaged topic the log is whole again')
  })

  test('a rate of 0 reads nothing', async () => {
    const node = await EngineNode.start({ tailBytes: 0 })
    await node.write(LOG, [{ topic: 'a' }])
    await node.flush()
    const before = node.kv.pairsRead
    for (let step = 0; step < 10; step++) await node.clock.pass(100)
    assert.equal(node.kv.pairsRead, before)
  })
})

/** Flips a bit in the records at `position`, wherever the storage type has them. */
async function damageRecordsOf(node: EngineNode, log: number, position: number): Promise<void> {
  const runs = await node.kv.scan({ gte: Buffer.from([0x65, 0, 0, 0, log, 0x72]), lt: Buffer.from([0x65, 0, 0, 0, log, 0x73]) })
  const run = runs.find(({ key }) => key.readUIntBE(12, 6) === position)
  assert.ok(run !== undefined)
  if (node.engine.logs()[log]?.storage === 'rocksdb') {
    const value = Buffer.from(run.value)
    value.writeUInt8(value.readUInt8(value.length - 5) ^ 1, value.length - 5)
    await node.kv.write([{ key: run.key, value }], { sync: false })
    return
  }
  const entry = node.group(log).entries.find(({ index }) => index === Number(run.value.readBigUInt64BE(0)))
  assert.ok(entry !== undefined)
  entry.data.writeUInt8(entry.data.readUInt8(entry.data.length - 5) ^ 1, entry.data.length - 5)
}
