// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { batchOf, EngineNode, STORED_LOGS } from '../engine-node.ts'
import type { ModelKv } from '../model-kv.ts'

const HOUR_MS = 3_600_000
const ROUND_MS = 10 * HOUR_MS

/** Ten chunks an hour apart, with one record of each topic in each. */
async function tenHours(node: EngineNode, log: number, ...topics: readonly string[]): Promise<void> {
  for (let hour = 0; hour < 10; hour++) {
    const payload = String(hour).repeat(1000)
    await node.write(
      log,
      topics.map((topic) => ({ topic, payload })),
    )
    await node.flush()
    await node.clock.pass(HOUR_MS)
  }
  await node.flush()
}

const positionsIn = async (node: EngineNode, log: number, filter: string): Promise<readonly number[]> =>
  (await node.readAll(log, [filter])).map(({ position }) => position)

for (const { storage, log: LOG } of STORED_LOGS) {
  describe(`retention of topics in a log of type ${storage}`, () => {
    const positionsOf = (node: EngineNode, filter: string): Promise<readonly number[]> => positionsIn(node, LOG, filter)
    test('L28: records of a topic beyond its age go, those of the others stay, and so it is after a restart', async () => {
      const topics = [{ filter: 'short/+', maxAgeMs: 5.5 * HOUR_MS, maxBytes: 0 }]
      const node = await EngineNode.start({ tailBytes: 0, retention: { maxAgeMs: 0, maxBytes: 0, intervalMs: ROUND_MS, topics } })
      await tenHours(node, LOG, 'short/a', 'long')
      assert.deepEqual(await positionsOf(node, 'short/#'), [10, 12, 14, 16, 18])
      assert.deepEqual(await positionsOf(node, 'long'), [1, 3, 5, 7, 9, 11, 13, 15, 17, 19])
      assert.equal(node.kv.count(LOG, 'r'), 15)
      const next = await node.restart()
      assert.deepEqual(await positionsOf(next, '#'), [1, 3, 5, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19])
    })

    test('the bytes of a topic are bounded, the oldest records go first, round after round', async () => {
      const topics = [{ filter: 'small', maxAgeMs: 0, maxBytes: 3500 }]
      const node = await EngineNode.start({ tailBytes: 0, retention: { maxAgeMs: 0, maxBytes: 0, intervalMs: ROUND_MS, topics } })
      await tenHours(node, LOG, 'small', 'large')
      assert.deepEqual(await positionsOf(node, 'small'), [14, 16, 18])
      await tenHours(node, LOG, 'small', 'large')
      assert.deepEqual(await positionsOf(node, 'small'), [34, 36, 38])
      assert.equal((await positionsOf(node, 'large')).length, 20)
    })

    test('of several tables that match, the first decides alone, even when it sets no limit', async () => {
      const topics = [
        { filter: 'kept/#', maxAgeMs: 0, maxBytes: 0 },
        { filter: '#', maxAgeMs: 5.5 * HOUR_MS, maxBytes: 0 },
      ]
      const node = await EngineNode.start({ tailBytes: 0, retention: { maxAgeMs: 0, maxBytes: 0, intervalMs: ROUND_MS, topics } })
      await tenHours(node, LOG, 'kept/a', 'other')
      assert.equal((await positionsOf(node, 'kept/a')).length, 10)
      assert.equal((await positionsOf(node, 'other')).length, 5)
    })

    test('Q20: a reader that comes for removed records is told how many there were, and one of other topics is not', async () => {
      const topics = [{ filter: 'short', maxAgeMs: 5.5 * HOUR_MS, maxBytes: 0 }]
      const node = await EngineNode.start({ tailBytes: 0, retention: { maxAgeMs: 0, maxBytes: 0, intervalMs: ROUND_MS, topics } })
      await tenHours(node, LOG, 'short', 'long')
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
      await tenHours(node, LOG, 'short', 'long')
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
      await tenHours(node, LOG, 'gone', 'here')
      assert.equal(await node.engine.removeTopic(storage, 'gone'), true)
      assert.equal(await node.engine.removeTopic(storage, 'never'), false)
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
      await node.engine.removeTopic(storage, 'gone')
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
      assert.equal(await node.engine.removeTopic(storage, 'kept'), true)
      assert.deepEqual(await positionsOf(node, 'kept'), [0])
      open()
    })

    test('an engine reports each of its logs', async () => {
      const node = await EngineNode.start({ retention: { maxAgeMs: 100 * HOUR_MS, maxBytes: 1 << 20, intervalMs: 60_000 } })
      await tenHours(node, LOG, 'a', 'b')
      const log = node.engine.storage()[LOG]
      assert.equal(log?.type, storage)
      assert.equal(log?.end, 20)
      assert.equal(log?.topics, 2)
      assert.ok((log?.bytes ?? 0) > 20_000)
      assert.deepEqual(log?.retention, { maxAgeMs: 100 * HOUR_MS, maxBytes: 1 << 20 })
      assert.equal(node.engine.storage().length, node.engine.logs().length)
    })
  })
}
