// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { matches } from '#base/topic-filter'
import { RecordBatch } from '#contract/record/record-batch'
import type { Entry } from '#raft'
import { batchOf, EngineNode, recordsOf, type SeenRecord, STORED_LOGS, settled } from '../engine-node.ts'

for (const { storage, log: LOG } of STORED_LOGS) {
  describe(`log of type ${storage}`, () => {
    const MEMORY_LOG = 1

    const FEW_TOPICS = ['a', 'a/b', 'a/b/c', 'a/c', 'b', 'b/', '/b', '$sys', '$sys/a', 'c/d/e/f']
    const MANY_TOPICS = [...FEW_TOPICS, ...Array.from({ length: 300 }, (_, at) => `many/${at % 20}/${at}`)]
    const FILTERS = [
      '#',
      '+',
      'a',
      'a/#',
      'a/+',
      '+/b',
      '+/b/#',
      'a/b/c',
      '$sys/#',
      'many/#',
      'many/3/+',
      'many/+/7',
      'none',
      'c/+/e/#',
      '/+',
    ]

    type Step =
      | { readonly kind: 'write'; readonly topics: readonly number[]; readonly bytes: number }
      | { readonly kind: 'flush' }
      | { readonly kind: 'restart' }
      | { readonly kind: 'read'; readonly filters: readonly string[]; readonly from: number; readonly bytesMax: number }

    const step: fc.Arbitrary<Step> = fc.oneof(
      {
        weight: 6,
        arbitrary: fc.record({
          kind: fc.constant('write' as const),
          topics: fc.array(fc.nat(), { minLength: 1, maxLength: 12 }),
          bytes: fc.integer({ min: 0, max: 400 }),
        }),
      },
      { weight: 2, arbitrary: fc.constant({ kind: 'flush' as const }) },
      { weight: 1, arbitrary: fc.constant({ kind: 'restart' as const }) },
      {
        weight: 4,
        arbitrary: fc.record({
          kind: fc.constant('read' as const),
          filters: fc.subarray(FILTERS, { minLength: 1, maxLength: 3 }),
          from: fc.nat(120),
          bytesMax: fc.constantFrom(1, 300, 3000, 1_000_000),
        }),
      },
    )

    const expected = (model: readonly SeenRecord[], filters: readonly string[], from: number): SeenRecord[] =>
      model.filter(({ position, topic }) => position >= from && filters.some((filter) => matches(filter, topic)))

    test('D6: every plan returns exactly the matching records in order, wherever the store ends and the tail begins', async () => {
      const plans = new Map<string, number>()
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(FEW_TOPICS, MANY_TOPICS),
          fc.constantFrom(0, 2000, 1 << 20),
          fc.array(step, { minLength: 5, maxLength: 40 }),
          async (topics, tailBytes, steps) => {
            let node = await EngineNode.start({ tailBytes })
            const model: SeenRecord[] = []
            const write = async (names: readonly string[], payload: string): Promise<void> => {
              await node.write(
                LOG,
                names.map((topic) => ({ topic, payload })),
              )
              for (const topic of names) model.push({ position: model.length, topic, payload })
            }
            if (topics === MANY_TOPICS) await write(topics, '')
            for (const [at, one] of steps.entries()) {
              if (one.kind === 'write')
                await write(
                  one.topics.map((index) => topics[index % topics.length] as string),
                  `${at}`.padEnd(one.bytes, '.'),
                )
              else if (one.kind === 'flush') await node.flush()
              else if (one.kind === 'restart') node = await restarted(node, plans)
              else {
                const from = Math.min(one.from, model.length)
                assert.deepEqual(await node.readAll(LOG, one.filters, from, one.bytesMax), expected(model, one.filters, from))
              }
            }
            await restarted(node, plans)
          },
        ),
        { numRuns: 60, seed: 20_260_101 },
      )
      for (const plan of ['nothing', 'topics', 'chunks', 'tail']) assert.ok((plans.get(plan) ?? 0) > 0, `plan ${plan} was not used`)
    })

    async function restarted(node: EngineNode, plans: Map<string, number>): Promise<EngineNode> {
      for (const [key, count] of node.counters) {
        const plan = key.split(' ')[2]
        if (key.startsWith(`robustmq_engine_read_plans_total ${storage}`) && plan !== undefined)
          plans.set(plan, (plans.get(plan) ?? 0) + count)
      }
      return await node.restart()
    }

    test('D6: one missed message among many costs a few reads of the store', async () => {
      const node = await EngineNode.start({ tailBytes: 0 })
      for (let round = 0; round < 300; round++)
        await node.write(
          LOG,
          Array.from({ length: 50 }, (_, at) => ({ topic: `noise/${at}` })),
        )
      await node.write(LOG, [{ topic: 'device/7/alarm', payload: 'fire' }])
      for (let round = 0; round < 300; round++) await node.write(LOG, [{ topic: `noise/${round % 50}` }])
      await node.flush()
      for (const filters of [['device/7/alarm'], ['device/+/alarm'], ['device/#', 'other/+']]) {
        node.kv.pairsRead = 0
        const result = await node.engine.read({ log: LOG, from: 10, filters, bytesMax: 10_000 })
        assert.equal(recordsOf(result.batches).length, 1)
        assert.equal(result.atEnd, true)
        assert.ok(node.kv.pairsRead < 10, `${node.kv.pairsRead} pairs read`)
      }
    })

    test('D6: several topics are read chunk by chunk where they are most of the log, and no further', async () => {
      const node = await EngineNode.start({ tailBytes: 0 })
      const writeChunk = async (topic: string): Promise<void> => {
        await node.write(LOG, [{ topic }])
        await node.flush()
      }
      for (let round = 0; round < 40; round++) await writeChunk(`busy/${round % 10}`)
      for (let round = 0; round < 300; round++) await writeChunk(`noise/${round % 10}`)
      await writeChunk('busy/3')
      node.kv.pairsRead = 0
      const result = await node.engine.read({ log: LOG, from: 0, filters: ['busy/+'], bytesMax: 1 << 20 })
      assert.deepEqual(
        recordsOf(result.batches).map(({ position }) => position),
        [...Array.from({ length: 40 }, (_, at) => at), 340],
      )
      const plans = (plan: string): number => node.counters.get(`robustmq_engine_read_plans_total ${storage} ${plan}`) ?? 0
      assert.deepEqual([plans('chunks') > 0, plans('topics') > 0, result.atEnd], [true, true, true])
      assert.ok(node.kv.pairsRead < 250, `${node.kv.pairsRead} pairs read`)
    })

    test('D6: a topic without records after the cursor costs nothing', async () => {
      const node = await EngineNode.start({ tailBytes: 0 })
      await node.write(LOG, [{ topic: 'a' }])
      await node.write(LOG, [{ topic: 'b' }])
      await node.flush()
      node.kv.pairsRead = 0
      const result = await node.engine.read({ log: LOG, from: 1, filters: ['a', 'none/#'], bytesMax: 1000 })
      assert.deepEqual(result, { batches: [], next: 2, atEnd: true, from: 1 })
      assert.equal(node.kv.pairsRead, 0)
    })

    test('a batch of which all is wanted is passed on as it is', async () => {
      const node = await EngineNode.start()
      const batch = batchOf([{ topic: 'a' }, { topic: 'b' }])
      node.append(LOG, batch)
      await node.group(LOG).commit()
      const result = await node.engine.read({ log: LOG, from: 0, filters: ['#'], bytesMax: 1 })
      assert.equal(result.batches[0], batch)
    })

    test('atEnd is true only for the end as of the moment the read resolves', async () => {
      const node = await EngineNode.start({ tailBytes: 0 })
      await node.write(LOG, [{ topic: 'a' }])
      await node.flush()
      const reading = node.engine.read({ log: LOG, from: 0, filters: ['a'], bytesMax: 1 })
      await node.write(LOG, [{ topic: 'a' }])
      const result = await reading
      assert.equal(result.atEnd, result.next === 2)
      assert.equal((await node.engine.read({ log: LOG, from: 2, filters: ['a'], bytesMax: 1 })).atEnd, true)
    })

    test('records are fetched by their exact positions, from the store and the tail, whatever their topics', async () => {
      const node = await EngineNode.start({ tailBytes: 400 })
      for (let round = 0; round < 10; round++)
        await node.write(
          LOG,
          ['a', 'b', 'c'].map((topic) => ({ topic, payload: `${topic}${round}` })),
        )
      await node.flush()
      await node.write(LOG, [{ topic: 'd', payload: 'last' }])
      const batches = await node.engine.fetch(LOG, [0, 4, 5, 7, 29, 30, 31])
      assert.deepEqual(
        recordsOf(batches).map(({ position, payload }) => `${position} ${payload}`),
        ['0 a0', '4 b1', '5 c1', '7 b2', '29 c9', '30 last'],
      )
    })

    test('a memory log keeps batches with QoS 1 or 2 within its bound, nothing of QoS 0, and says what is gone', async () => {
      const node = await EngineNode.start({ memoryBytes: 2000 })
      await node.write(MEMORY_LOG, [{ topic: 'a', qos: 0 }])
      assert.deepEqual(node.engine.extent(MEMORY_LOG), { first: 1, end: 1 })
      for (let round = 0; round < 3; round++) await node.write(MEMORY_LOG, [{ topic: 'a', payload: `${round}` }])
      await node.write(MEMORY_LOG, [{ topic: 'a', qos: 0 }])
      assert.deepEqual(
        (await node.readAll(MEMORY_LOG, ['a'], 1)).map(({ position }) => position),
        [1, 2, 3],
      )
      for (let round = 0; round < 20; round++) await node.write(MEMORY_LOG, [{ topic: 'a', payload: `${round}` }])
      const { first, end } = node.engine.extent(MEMORY_LOG)
      assert.equal(end, 25)
      assert.ok(first > 5)
      const result = await node.engine.read({ log: MEMORY_LOG, from: 1, filters: ['a'], bytesMax: 1 << 20 })
      assert.equal(result.from, first)
      assert.deepEqual(
        recordsOf(result.batches).map(({ position }) => position),
        Array.from({ length: end - first }, (_, at) => first + at),
      )
      assert.equal(node.kv.count(MEMORY_LOG, 'r'), 0)
      assert.ok((node.counters.get('robustmq_engine_evicted_batches_total memory') ?? 0) > 0)
    })

    test('a position that the log does not have any more reads from its end', async () => {
      const node = await EngineNode.start()
      await node.write(LOG, [{ topic: 'a' }])
      assert.deepEqual(await node.engine.read({ log: LOG, from: 500, filters: ['#'], bytesMax: 1 }), {
        batches: [],
        next: 1,
        atEnd: true,
        from: 1,
      })
    })

    test('L26: damaged bytes in the store are found when they are read', async () => {
      const node = await EngineNode.start({ tailBytes: 0 })
      await node.write(LOG, [{ topic: 'a', payload: 'precious' }])
      await node.flush()
      const [pair] = await node.kv.scan({ gte: Buffer.from('e\0\0\0\0r'), lt: Buffer.from('e\0\0\0\0s') })
      // The records are in the run, or in the entry.
      const value = Buffer.from(pair?.value ?? (node.group(LOG).entries.at(-1)?.data as Buffer))
      value.writeUInt8(value.readUInt8(value.length - 5) ^ 1, value.length - 5)
      if (pair !== undefined) await node.kv.write([{ key: pair.key, value }], { sync: false })
      else node.group(LOG).entries.push({ ...(node.group(LOG).entries.pop() as Entry), data: value })
      assert.throws(() => RecordBatch.parse(value))
      await assert.rejects(node.engine.read({ log: LOG, from: 0, filters: ['a'], bytesMax: 1 }), { name: 'PlatformError' })
    })

    test('a busy log is written in few, large writes: one topic is one run however many batches it came in', async () => {
      const node = await EngineNode.start()
      for (let round = 0; round < 100; round++) node.append(LOG, batchOf([{ topic: 'a' }, { topic: 'b' }]))
      await node.group(LOG).commit()
      await node.flush()
      assert.equal(node.kv.writes, 1)
      assert.equal(node.kv.count(LOG, 'r'), 2)
      assert.equal(node.kv.count(LOG, 'p'), 1)
      await settled()
    })
  })
}
