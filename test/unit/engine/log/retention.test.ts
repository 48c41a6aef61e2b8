// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { batchOf, EngineNode, recordsOf, STORED_LOGS } from '../engine-node.ts'

for (const { storage, log: LOG } of STORED_LOGS) {
  describe(`log of type ${storage}`, () => {
    const HOUR_MS = 3_600_000

    /** Ten chunks an hour apart, each with a topic of its own and one that they share. */
    async function tenHours(node: EngineNode): Promise<void> {
      for (let hour = 0; hour < 10; hour++) {
        await node.write(LOG, [{ topic: `hour/${hour}`, payload: 'p'.repeat(1000) }, { topic: 'shared' }])
        await node.flush()
        await node.clock.pass(HOUR_MS)
      }
    }

    test('L28: records beyond the age go, with their topics; the rest is read as before', async () => {
      const node = await EngineNode.start({ tailBytes: 0, retention: { maxAgeMs: 5.5 * HOUR_MS, maxBytes: 0, intervalMs: 10 * HOUR_MS } })
      await tenHours(node)
      await node.flush()
      assert.deepEqual(node.engine.extent(LOG), { first: 10, end: 20 })
      assert.equal(node.kv.count(LOG, 'p'), 5)
      assert.equal(node.kv.count(LOG, 'r'), 10)
      assert.equal(node.kv.count(LOG, 't'), 6)
      const result = await node.engine.read({ log: LOG, from: 3, filters: ['shared', 'hour/#'], bytesMax: 1 << 20 })
      assert.equal(result.from, 10)
      assert.equal(result.next, 20)
      assert.deepEqual(
        (await node.readAll(LOG, ['shared'], 0)).map(({ position }) => position),
        [11, 13, 15, 17, 19],
      )
      assert.equal(node.counters.get(`robustmq_engine_retention_records_total ${storage}`), 10)
      const next = await node.restart()
      assert.deepEqual(next.engine.extent(LOG), { first: 10, end: 20 })
      assert.equal((await next.readAll(LOG, ['#'])).length, 10)
    })

    test('L28: records beyond the bytes go, the oldest first', async () => {
      const node = await EngineNode.start({ tailBytes: 0, retention: { maxAgeMs: 0, maxBytes: 4000, intervalMs: 20 * HOUR_MS } })
      await tenHours(node)
      await node.clock.pass(10 * HOUR_MS)
      await node.flush()
      assert.deepEqual(node.engine.extent(LOG), { first: 14, end: 20 })
      assert.equal(node.kv.count(LOG, 'p'), 3)
    })

    test('L28: the start is raised durably before anything is deleted, and what a crash left below it is deleted later', async () => {
      const node = await EngineNode.start({ tailBytes: 0, retention: { maxAgeMs: 5.5 * HOUR_MS, maxBytes: 0, intervalMs: 10 * HOUR_MS } })
      const forks: { readonly kv: ReturnType<typeof node.kv.fork>; readonly synced: boolean }[] = []
      const write = node.kv.write.bind(node.kv)
      node.kv.write = async (batch, options) => {
        await write(batch, options)
        forks.push({ kv: node.kv.fork(), synced: options.sync })
      }
      await tenHours(node)
      await node.flush()
      const raised = forks.findIndex(({ synced }) => synced)
      assert.ok(raised >= 0)
      assert.equal(forks[raised]?.kv.count(LOG, 'p'), 10)
      for (const { kv } of forks.slice(raised)) {
        const next = await node.restart(kv)
        assert.deepEqual(next.engine.extent(LOG), { first: 10, end: 20 })
        assert.equal((await next.readAll(LOG, ['#'])).length, 10)
        await next.clock.pass(10 * HOUR_MS)
        await next.flush()
        assert.equal(next.kv.count(LOG, 'r'), 0)
        next.clock.nowMs -= 10 * HOUR_MS + 50
      }
    })

    test('Q14: a record is not removed before its retained value is in meta', async () => {
      const node = await EngineNode.start({ tailBytes: 0, retention: { maxAgeMs: 1, maxBytes: 0, intervalMs: HOUR_MS } })
      node.meta.failure = new PlatformError(ERROR_CODES.notLeader, 'meta is away')
      await node.write(LOG, [{ topic: 'a' }])
      const answer = node.append(LOG, batchOf([{ topic: 'b', retain: true, payload: 'kept' }]))
      await node.group(LOG).commit()
      await node.flush()
      await node.clock.pass(HOUR_MS)
      await node.flush()
      assert.equal(answer.outcome, undefined)
      assert.deepEqual(node.engine.extent(LOG), { first: 0, end: 2 })
      node.meta.failure = undefined
      await node.clock.pass(HOUR_MS)
      await node.clock.pass(HOUR_MS)
      await node.flush()
      assert.equal(node.meta.view.get('b')?.payload, 'kept')
      assert.deepEqual(node.engine.extent(LOG), { first: 2, end: 2 })
      assert.equal(node.kv.count(LOG, 't'), 0)
    })

    test('L28: a read that retention overtakes says what is gone, and returns the rest without a gap', async () => {
      const node = await EngineNode.start({ tailBytes: 0, retention: { maxAgeMs: 5.5 * HOUR_MS, maxBytes: 0, intervalMs: 10.5 * HOUR_MS } })
      await tenHours(node)
      const fetched = node.kv.scan.bind(node.kv)
      let round = 0
      node.kv.scan = async (range) => {
        const pairs = await fetched(range)
        // The store answers the first question of the read, and the records go before it is asked again.
        if (round++ === 0) await node.clock.pass(HOUR_MS)
        return pairs
      }
      assert.equal(node.engine.extent(LOG).first, 0)
      const result = await node.engine.read({ log: LOG, from: 0, filters: ['hour/#', 'shared'], bytesMax: 1 << 20 })
      const seen = recordsOf(result.batches).map(({ position }) => position)
      assert.deepEqual(
        seen,
        Array.from({ length: result.next - result.from }, (_, at) => result.from + at),
      )
      assert.equal(result.from, node.engine.extent(LOG).first)
      assert.equal(result.from, 12)
    })
  })
}
