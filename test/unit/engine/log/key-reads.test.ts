// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, test } from 'node:test'
import { crc32c } from '#base/crc32c'
import { EngineNode, recordsOf, STORED_LOGS } from '../engine-node.ts'

const HOUR_MS = 3_600_000

/** Two keys that the index cannot tell apart. */
function collidingKeys(): readonly [string, string] {
  const seen = new Map<number, string>()
  for (let at = 0; ; at++) {
    const key = createHash('md5').update(String(at)).digest('hex').slice(0, 12)
    const hash = crc32c(Buffer.from(key))
    const other = seen.get(hash)
    if (other !== undefined) return [other, key]
    seen.set(hash, key)
  }
}

async function positionsOf(node: EngineNode, log: number, topic: string, key: string, from = 0, bytesMax = 1 << 20): Promise<number[]> {
  const positions: number[] = []
  for (let next = from; ; ) {
    const result = await node.engine.readKey({ log, topic, key: Buffer.from(key), from: next, bytesMax })
    for (const { position } of recordsOf(result.batches)) positions.push(position)
    next = result.next
    if (result.atEnd) return positions
  }
}

for (const { storage, log: LOG } of STORED_LOGS) {
  describe(`log of type ${storage}`, () => {
    test('E6: records whose keys have the same hash, or whose topic is another, are told apart, and each is found once', async () => {
      const [one, other] = collidingKeys()
      const node = await EngineNode.start({ tailBytes: 0 })
      for (let chunk = 0; chunk < 100; chunk++) {
        await node.write(LOG, [
          { topic: 'a', key: one },
          { topic: 'a', key: other },
          { topic: 'b', key: one },
          { topic: 'a', key: other },
        ])
        await node.flush()
      }
      const wanted = Array.from({ length: 100 }, (_, chunk) => 4 * chunk)
      assert.deepEqual(await positionsOf(node, LOG, 'a', one), wanted)
      assert.deepEqual(await positionsOf(node, LOG, 'a', one, 0, 1), wanted)
      assert.deepEqual(
        await positionsOf(node, LOG, 'b', one),
        wanted.map((position) => position + 2),
      )
      const next = await node.restart()
      assert.deepEqual(
        await positionsOf(next, LOG, 'a', other, 201, 1),
        wanted.flatMap((position) => [position + 1, position + 3]).filter((position) => position >= 201),
      )
    })

    test('a key costs one entry of the store, and a record without one none', async () => {
      const node = await EngineNode.start({ tailBytes: 0 })
      await node.write(LOG, [{ topic: 'a', key: 'k' }, { topic: 'a' }, { topic: 'a', key: '' }])
      await node.flush()
      assert.equal(node.kv.count(LOG, 'k'), 2)
    })

    test('L28: keys of records that retention removed are found no more, and swept away', async () => {
      const node = await EngineNode.start({ tailBytes: 0, retention: { maxAgeMs: 5.5 * HOUR_MS, maxBytes: 0, intervalMs: 10 * HOUR_MS } })
      for (let hour = 0; hour < 10; hour++) {
        await node.write(LOG, [{ topic: 'a', key: 'k', payload: 'p'.repeat(1000) }])
        await node.flush()
        await node.clock.pass(HOUR_MS)
      }
      await node.flush()
      assert.deepEqual(await positionsOf(node, LOG, 'a', 'k'), [5, 6, 7, 8, 9])
      assert.equal(node.kv.count(LOG, 'k'), 5)
    })

    test('keys of a topic that was removed are found no more, also when the topic comes again', async () => {
      const node = await EngineNode.start({ tailBytes: 0 })
      await node.write(LOG, [
        { topic: 'a', key: 'k' },
        { topic: 'b', key: 'k' },
      ])
      await node.flush()
      const removal = node.engine.removeTopic(storage, 'a')
      await node.flush()
      await removal
      await node.write(LOG, [{ topic: 'a', key: 'k' }])
      await node.flush()
      assert.deepEqual(await positionsOf(node, LOG, 'a', 'k'), [2])
      assert.deepEqual(await positionsOf(node, LOG, 'b', 'k'), [1])
    })
  })
}
