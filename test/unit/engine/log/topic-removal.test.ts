// SPDX-License-Identifier: Apache-2.0
// What was removed from the middle of a log is delivered by no plan any more, and its readers are told.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { matches } from '#base/topic-filter'
import { EngineNode, recordsOf, type SeenRecord, STORED_LOGS } from '../engine-node.ts'

const HOUR_MS = 3_600_000
const FEW_TOPICS = ['a', 'a/b', 'a/c', 'b', 'b/c/d', '$sys']
const MANY_TOPICS = [...FEW_TOPICS, ...Array.from({ length: 300 }, (_, at) => `many/${at % 20}/${at}`)]
const FILTERS = [['#'], ['a'], ['a/b', 'b'], ['a/+'], ['+'], ['+/b'], ['$sys/#', 'b/#'], ['many/#'], ['many/3/+', 'a'], ['$sys']]

type Step =
  | { readonly kind: 'write'; readonly topics: readonly number[]; readonly bytes: number }
  | { readonly kind: 'remove'; readonly topic: number }
  | { readonly kind: 'flush' | 'restart' | 'round' }

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant('write' as const),
      topics: fc.array(fc.nat(), { minLength: 1, maxLength: 12 }),
      bytes: fc.integer({ min: 0, max: 600 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('remove' as const), topic: fc.nat() }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constantFrom('flush' as const, 'flush' as const, 'restart' as const, 'round' as const) }),
  },
)

/** Everything that a reader can ask for. */
async function check(node: EngineNode, log: number, model: readonly SeenRecord[], end: number): Promise<void> {
  for (const filters of FILTERS)
    for (const from of [0, end >> 1]) {
      const expected = model.filter(({ position, topic }) => position >= from && filters.some((filter) => matches(filter, topic)))
      assert.deepEqual(await node.readAll(log, filters, from, 3000), expected, `${filters} from ${from}`)
    }
  const positions = Array.from({ length: end }, (_, position) => position)
  assert.deepEqual(recordsOf(await node.engine.fetch(log, positions)), model, 'by their positions')
}

for (const { storage, log } of STORED_LOGS) {
  describe(`removal from the middle of a log of type ${storage}`, () => {
    test('no plan delivers what was removed, whatever is in memory, and after a restart neither', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(FEW_TOPICS, MANY_TOPICS),
          fc.constantFrom(0, 2000, 1 << 20),
          fc.array(step, { minLength: 5, maxLength: 30 }),
          async (topics, tailBytes, steps) => {
            let node = await EngineNode.start({ tailBytes, retention: { maxAgeMs: 0, maxBytes: 0, intervalMs: HOUR_MS } })
            let model: SeenRecord[] = []
            let end = 0
            const write = async (names: readonly string[], payload: string): Promise<void> => {
              await node.write(
                log,
                names.map((topic) => ({ topic, payload })),
              )
              for (const topic of names) model.push({ position: end++, topic, payload })
            }
            if (topics === MANY_TOPICS) await write(topics, '')
            for (const [at, one] of steps.entries()) {
              if (one.kind === 'write')
                await write(
                  one.topics.map((index) => topics[index % topics.length] as string),
                  `${at}`.padEnd(one.bytes, '.'),
                )
              else if (one.kind === 'flush') await node.flush()
              else if (one.kind === 'round') await node.clock.pass(HOUR_MS)
              else if (one.kind === 'restart') node = await node.restart()
              else if (one.kind === 'remove') {
                const topic = topics[one.topic % topics.length] as string
                await node.engine.removeTopic(storage, topic)
                model = model.filter((record) => record.topic !== topic)
              }
            }
            await check(node, log, model, end)
            await check(await node.restart(), log, model, end)
          },
        ),
        { numRuns: 40, seed: 20_260_305 },
      )
    })

    test('what retention removes is not delivered out of memory either', async () => {
      const topics = [{ filter: 'short', maxAgeMs: HOUR_MS, maxBytes: 0 }]
      const node = await EngineNode.start({ retention: { maxAgeMs: 0, maxBytes: 0, intervalMs: 2 * HOUR_MS, topics } })
      await node.write(log, [{ topic: 'short' }, { topic: 'long' }])
      await node.flush()
      assert.equal((await node.readAll(log, ['short'])).length, 1)
      await node.clock.pass(2 * HOUR_MS)
      assert.deepEqual(await node.readAll(log, ['short']), [])
      assert.equal((await node.readAll(log, ['#'])).length, 1)
    })

    test('Q20: a reader whose cursor lies within the chunk of what was removed is told too', async () => {
      const node = await EngineNode.start({ tailBytes: 0 })
      await node.write(
        log,
        ['gone', 'here', 'gone', 'here', 'gone'].map((topic) => ({ topic })),
      )
      await node.flush()
      await node.engine.removeTopic(storage, 'gone')
      const removed = async (from: number, filter: string): Promise<number | undefined> =>
        (await node.engine.read({ log, from, filters: [filter], bytesMax: 1000 })).removed
      assert.equal(await removed(0, 'gone'), 3)
      assert.equal(await removed(4, '#'), 1, 'rather too many than none')
      assert.equal(await removed(0, 'here'), undefined)
      assert.equal(await removed(5, 'gone'), undefined)
    })

    test('a topic that is published to while it is removed stays whole from there on, also for the next start', async () => {
      const node = await EngineNode.start({ tailBytes: 0 })
      await node.write(log, [{ topic: 'busy', payload: 'old' }])
      await node.flush()
      node.kv.hold()
      const removed = node.engine.removeTopic(storage, 'busy')
      await node.clock.pass(0)
      await node.write(log, [{ topic: 'busy', payload: 'new' }])
      node.kv.letGo()
      await removed
      await node.flush()
      for (const one of [node, await node.restart()])
        assert.deepEqual(await one.readAll(log, ['busy']), [{ position: 1, topic: 'busy', payload: 'new' }])
    })

    test('what is removed is no longer counted, and nothing is left of a log without topics', async () => {
      const node = await EngineNode.start({ tailBytes: 0 })
      for (const topic of ['a', 'b', 'a']) {
        await node.write(log, [{ topic, payload: 'p'.repeat(500) }, { topic: 'c' }])
        await node.flush()
      }
      const bytes = (): number => node.engine.storage()[log]?.bytes ?? Number.NaN
      const before = bytes()
      await node.engine.removeTopic(storage, 'a')
      assert.ok(bytes() <= before - 1000, `${bytes()} of ${before} bytes left`)
      await node.engine.removeTopic(storage, 'b')
      await node.engine.removeTopic(storage, 'c')
      assert.equal(bytes(), 0)
      assert.equal(node.kv.count(log, 'p'), 0)
      assert.equal(node.kv.count(log, 'r'), 0)
    })
  })
}

test('L28: the entries of a segment log go as soon as nothing is left in them that anyone may read, without waiting for their age', async () => {
  const log = 2
  const node = await EngineNode.start({ tailBytes: 0, retention: { maxAgeMs: 0, maxBytes: 0, intervalMs: HOUR_MS } })
  for (const topic of ['gone', 'gone', 'here', 'gone']) {
    await node.write(log, [{ topic }])
    await node.flush()
  }
  await node.clock.pass(HOUR_MS)
  assert.equal(node.group(log).compactedTo, 1)
  await node.engine.removeTopic('segment', 'gone')
  await node.clock.pass(HOUR_MS)
  assert.equal(node.group(log).compactedTo, 3)
  assert.deepEqual(node.engine.extent(log), { first: 0, end: 4 })
  const result = await node.engine.read({ log, from: 0, filters: ['#'], bytesMax: 1000 })
  assert.deepEqual(
    { next: result.next, from: result.from, removed: result.removed, records: recordsOf(result.batches).length },
    { next: 4, from: 0, removed: 3, records: 1 },
  )
  assert.equal((await (await node.restart()).readAll(log, ['#'])).length, 1)
  assert.deepEqual(node.crashes, [])
})
