// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { batchOf, EngineNode, type SampleRecord, STORED_LOGS, settled } from '../engine-node.ts'
import type { ModelKv } from '../model-kv.ts'

for (const { storage, log: LOG } of STORED_LOGS) {
  describe(`log of type ${storage}`, () => {
    const TOPICS = ['a', 'a/b', 'b/c/d', '$x', 'e']

    const record: fc.Arbitrary<SampleRecord> = fc.record({
      topic: fc.constantFrom(...TOPICS),
      payload: fc.string({ maxLength: 8 }),
      qos: fc.constant(2),
      publisher: fc.integer({ min: 1, max: 3 }),
      sequence: fc.integer({ min: -1, max: 6 }),
      retain: fc.boolean(),
    })

    const step = fc.oneof(
      { weight: 5, arbitrary: fc.record({ write: fc.array(record, { minLength: 1, maxLength: 6 }) }) },
      { weight: 2, arbitrary: fc.record({ release: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 0, max: 6 })) }) },
      { weight: 1, arbitrary: fc.record({ forget: fc.integer({ min: 1, max: 3 }) }) },
      { weight: 3, arbitrary: fc.constant({ flush: true as const }) },
    )

    /** All that can be asked of a log. */
    async function stateOf(node: EngineNode): Promise<unknown> {
      return {
        extent: node.engine.extent(LOG),
        records: await node.readAll(LOG, ['#', '$x']),
        byTopic: await Promise.all(TOPICS.map((topic) => node.readAll(LOG, [topic], 3))),
        unreleased: await Promise.all([1, 2, 3].map((publisher) => node.engine.unreleased(publisher))),
        view: [...node.meta.view].sort(),
      }
    }

    test('R8: from whatever the store had when the process died, the log replays to the same state', async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 30 }), fc.nat(), async (steps, choice) => {
          const node = await EngineNode.start()
          const stores: ModelKv[] = [node.kv.fork()]
          for (const one of steps) {
            if ('write' in one) {
              node.append(LOG, batchOf(one.write))
              await node.group(LOG).commit()
            } else if ('release' in one) {
              const released = node.engine.release(one.release[0], one.release[1], LOG)
              await settled()
              await node.group(LOG).commit()
              await released
            } else if ('forget' in one) {
              const forgotten = node.engine.forget([one.forget])
              await settled()
              await node.group(LOG).commit()
              await forgotten
            } else {
              await node.flush()
              stores.push(node.kv.fork())
            }
          }
          const before = await stateOf(node)
          const next = await node.restart(stores[choice % stores.length])
          await settled()
          assert.deepEqual(await stateOf(next), before)
          await next.flush()
          assert.deepEqual(await stateOf(await next.restart()), before)
        }),
        { numRuns: 80, seed: 20_260_102 },
      )
    })

    test('R8: persist makes everything applied durable in one synced write, and says which index that covers', async () => {
      const node = await EngineNode.start()
      const { machine } = node.group(LOG)
      await node.write(LOG, [{ topic: 'a' }])
      await node.write(LOG, [{ topic: 'b' }])
      assert.equal(await machine.persist(), 3)
      assert.equal(node.kv.syncs, 1)
      const unsynced = node.kv.writes
      await node.write(LOG, [{ topic: 'c' }])
      await node.flush()
      assert.equal(node.kv.syncs, 1)
      assert.ok(node.kv.writes > unsynced)
      // All of it is written already, but not synced.
      assert.equal(await machine.persist(), 4)
      assert.equal(node.kv.syncs, 2)
      assert.equal(await new EngineNode({ kv: node.kv.fork() }).group(LOG).machine.open(), 4)
    })

    test('R8: persist while a write is under way covers what was applied before the call', async () => {
      const node = await EngineNode.start()
      const { machine } = node.group(LOG)
      await node.write(LOG, [{ topic: 'a' }])
      node.kv.hold()
      await node.flush()
      await node.write(LOG, [{ topic: 'b' }])
      let covered = 0
      const persisted = machine.persist().then((index) => {
        covered = index
      })
      await settled()
      assert.equal(covered, 0)
      node.kv.letGo()
      await persisted
      assert.equal(covered, 3)
    })

    test('a memory log begins anew with the process', async () => {
      const node = await EngineNode.start()
      await node.write(1, [{ topic: 'a' }])
      const next = await node.restart()
      assert.deepEqual(next.engine.extent(1), { first: 0, end: 0 })
    })

    test('the last positions of topics survive a crash although they are stored rarely', async () => {
      const node = await EngineNode.start({ tailBytes: 0 })
      for (let round = 0; round < 30; round++) {
        await node.write(
          LOG,
          Array.from({ length: 100 }, (_, at) => ({ topic: `t/${at}` })),
        )
        await node.flush()
      }
      await node.write(LOG, [{ topic: 't/5', payload: 'latest' }])
      await node.flush()
      const next = await node.restart()
      assert.deepEqual(
        (await next.readAll(LOG, ['t/5'], 2990)).map(({ payload }) => payload),
        ['latest'],
      )
      assert.equal(next.kv.count(LOG, 't'), 100)
    })

    test('a write that fails ends the process', async () => {
      const node = await EngineNode.start()
      node.kv.write = () => Promise.reject(new Error('disk on fire'))
      await node.write(LOG, [{ topic: 'a' }])
      await node.flush()
      assert.deepEqual(
        node.crashes.map(({ message }) => message),
        ['disk on fire'],
      )
    })
  })
}
