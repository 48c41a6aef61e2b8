// SPDX-License-Identifier: Apache-2.0
// A session that is owed a damaged record waits for it until an operator gives up exactly that record.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { ShareSink } from '#contract/client/share-client'
import { damageEntry, damageRecordsOf, damageReference } from '../damaged-records.ts'
import { batchOf, EngineNode, recordsOf, STORED_LOGS, settled } from '../engine-node.ts'

const SEGMENT_LOG = 2

const payloadsOf = async (node: EngineNode, log: number, filter: string): Promise<readonly string[]> =>
  (await node.readAll(log, [filter])).map(({ payload }) => payload)

/** Three entries in one chunk, at positions 0 to 2, 3 to 5 and 6 to 8. */
async function threeEntries(node: EngineNode): Promise<void> {
  for (const round of [0, 1, 2]) node.append(SEGMENT_LOG, batchOf(['a', 'b', 'c'].map((topic) => ({ topic, payload: `${topic}${round}` }))))
  await node.group(SEGMENT_LOG).commit()
  await node.flush()
  assert.equal(node.kv.count(SEGMENT_LOG, 'p'), 1)
}

for (const { storage, log } of STORED_LOGS) {
  describe(`removal of damaged records from a log of type ${storage}`, () => {
    test('Q20: exactly the damaged record goes, readers go on and are told, and so it is after a restart', async () => {
      const node = await EngineNode.start({ tailBytes: 0 })
      for (const topic of ['a', 'b', 'c']) {
        await node.write(log, [{ topic, payload: topic.repeat(100) }])
        await node.flush()
      }
      await damageRecordsOf(node, log, 1)
      await assert.rejects(node.readAll(log, ['#']), { name: 'PlatformError' })
      await node.clock.pass(0)
      assert.equal(node.engine.warnings().length, 1)
      assert.equal(await node.engine.removeDamaged(log, 1, 2), 1)
      assert.deepEqual(node.engine.warnings(), [])
      const { batches, removed, next } = await node.engine.read({ log, from: 0, filters: ['#'], bytesMax: 1 << 20 })
      assert.deepEqual(
        recordsOf(batches).map(({ topic }) => topic),
        ['a', 'c'],
      )
      assert.deepEqual({ removed, next }, { removed: 1, next: 3 })
      assert.equal((await (await node.restart()).readAll(log, ['#'])).length, 2)
    })

    test('E6: an operator sees who waits for a damaged record, and for which, until it is removed', async () => {
      const node = await EngineNode.start({ tailBytes: 0 })
      for (const topic of ['a', 'b', 'c']) {
        await node.write(log, [{ topic, payload: topic.repeat(100) }])
        await node.flush()
      }
      await damageRecordsOf(node, log, 1)
      const readAs = (reader: string, filter: string) => node.engine.read({ log, from: 0, filters: [filter], bytesMax: 1000, reader })
      for (const reader of ['phone', 'desk']) await assert.rejects(readAs(reader, 'b'), { name: 'PlatformError' })
      await readAs('tablet', 'c')
      const failures: unknown[] = []
      const sink: ShareSink = {
        reader: '$share/staff/+',
        offer: (_log, batch) => !batch.topics.includes('c'),
        appetiteBytes: () => 1,
        missed: () => {},
        failed: (error) => void failures.push(error),
      }
      const group = await node.engine.openShare('+', sink, [{ log, next: 0, open: [] }])
      group.resume()
      await settled()
      await node.clock.pass(0)
      assert.equal(failures.length, 1)
      assert.deepEqual(
        node.engine.storage()[log]?.blocked.map(({ reader, position }) => ({ reader, position })),
        [
          { reader: 'phone', position: 0 },
          { reader: 'desk', position: 0 },
          { reader: '$share/staff/+', position: 1 },
        ],
      )
      assert.ok(node.engine.warnings().some((text) => text.includes(`phone (log ${log} from 0)`)))
      await node.engine.removeDamaged(log, 1, 2)
      assert.deepEqual(node.engine.storage()[log]?.blocked, [])
      assert.deepEqual(node.engine.warnings(), [])
    })

    test('nothing is removed where nothing is damaged, and nothing outside of the range', async () => {
      const node = await EngineNode.start({ tailBytes: 0 })
      for (const topic of ['a', 'b', 'c']) {
        await node.write(log, [{ topic, payload: topic.repeat(100) }])
        await node.flush()
      }
      assert.equal(await node.engine.removeDamaged(log, 0, 3), 0)
      assert.equal((await node.readAll(log, ['#'])).length, 3)
      await damageRecordsOf(node, log, 2)
      assert.equal(await node.engine.removeDamaged(log, 0, 2), 0)
      assert.equal(await node.engine.removeDamaged(log, 0, 3), 1)
      assert.equal((await node.readAll(log, ['#'])).length, 2)
    })

    test('a crash at any moment of the removal leaves a log that is either as before or whole', async () => {
      const node = await EngineNode.start({ tailBytes: 0 })
      for (const topic of ['a', 'b', 'c']) {
        await node.write(log, [{ topic, payload: topic.repeat(100) }])
        await node.flush()
      }
      await damageRecordsOf(node, log, 1)
      const before = node.kv.fork()
      await node.engine.removeDamaged(log, 1, 2)
      await assert.rejects((await node.restart(before)).readAll(log, ['b']), { name: 'PlatformError' })
      assert.equal((await (await node.restart()).readAll(log, ['#'])).length, 2)
    })
  })
}

describe('removal of damaged entries', () => {
  for (const entry of [2, 3, 4])
    test(`L27: around damaged entry ${entry} the chunk is cut anew: every other record stays, by every plan`, async () => {
      const node = await EngineNode.start({ tailBytes: 0 })
      await threeEntries(node)
      damageEntry(node, SEGMENT_LOG, entry)
      const lost = entry - 2
      assert.equal(await node.engine.removeDamaged(SEGMENT_LOG, 0, 9), 3)
      for (const one of [node, await node.restart()]) {
        const rounds = [0, 1, 2].filter((round) => round !== lost)
        assert.deepEqual(
          await payloadsOf(one, SEGMENT_LOG, '#'),
          rounds.flatMap((round) => [`a${round}`, `b${round}`, `c${round}`]),
        )
        assert.deepEqual(
          await payloadsOf(one, SEGMENT_LOG, 'b'),
          rounds.map((round) => `b${round}`),
        )
        assert.equal(recordsOf(await one.engine.fetch(SEGMENT_LOG, [0, 1, 2, 3, 4, 5, 6, 7, 8])).length, 6)
      }
      const told = async (from: number, filter: string): Promise<number | undefined> =>
        (await node.engine.read({ log: SEGMENT_LOG, from, filters: [filter], bytesMax: 1000 })).removed
      assert.equal(await told(0, 'b'), 1)
      assert.equal(await told(0, '#'), 3)
    })

  test('what was removed from the chunk before stays removed', async () => {
    const node = await EngineNode.start({ tailBytes: 0 })
    await threeEntries(node)
    await node.engine.removeTopic('segment', 'b')
    damageEntry(node, SEGMENT_LOG, 3)
    assert.equal(await node.engine.removeDamaged(SEGMENT_LOG, 0, 9), 2)
    assert.deepEqual(await payloadsOf(node, SEGMENT_LOG, '#'), ['a0', 'c0', 'a2', 'c2'])
    assert.deepEqual(await payloadsOf(await node.restart(), SEGMENT_LOG, '+'), ['a0', 'c0', 'a2', 'c2'])
  })

  test('when all entries of a chunk are damaged nothing is left of it', async () => {
    const node = await EngineNode.start({ tailBytes: 0 })
    await threeEntries(node)
    for (const entry of [2, 3, 4]) damageEntry(node, SEGMENT_LOG, entry)
    assert.equal(await node.engine.removeDamaged(SEGMENT_LOG, 0, 9), 9)
    assert.deepEqual(await payloadsOf(node, SEGMENT_LOG, '#'), [])
    assert.equal(node.kv.count(SEGMENT_LOG, 'p') + node.kv.count(SEGMENT_LOG, 'r'), 0)
    assert.equal(node.engine.storage()[SEGMENT_LOG]?.bytes, 0)
  })

  test('L27: a damaged reference is made again, and no record is lost', async () => {
    const node = await EngineNode.start({ tailBytes: 0 })
    await threeEntries(node)
    await damageReference(node, SEGMENT_LOG, 1)
    await assert.rejects(node.readAll(SEGMENT_LOG, ['b']), { name: 'PlatformError' })
    assert.equal(await node.engine.removeDamaged(SEGMENT_LOG, 0, 9), 0)
    assert.deepEqual(await payloadsOf(node, SEGMENT_LOG, 'b'), ['b0', 'b1', 'b2'])
    assert.equal((await node.engine.read({ log: SEGMENT_LOG, from: 0, filters: ['b'], bytesMax: 1000 })).removed, undefined)
  })
})
