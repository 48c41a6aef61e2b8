// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ERROR_CODES } from '#base/error-code'
import { RecordCursor } from '#contract/record/record-batch'
import type { Entry } from '#raft'
import { batchOf, EngineNode, recordsOf } from '../engine-node.ts'

const LOG = 2

/** Twenty entries with the records of twenty topics each, and one topic that has half of the bytes. */
async function mixedLog(): Promise<EngineNode> {
  const node = await EngineNode.start({ tailBytes: 0 })
  for (let round = 0; round < 20; round++) {
    const small = Array.from({ length: 20 }, (_, at) => ({ topic: `small/${at}`, payload: `${round}:${at}` }))
    node.append(LOG, batchOf([...small, { topic: 'large', payload: 'L'.repeat(1000) }, { topic: 'small/3', payload: `${round}:3 again` }]))
  }
  await node.group(LOG).commit()
  await node.flush()
  return node
}

/** What is read of the log, by whole entries and by pieces. */
function watch(node: EngineNode): { entries: number; pieces: number } {
  const group = node.group(LOG)
  const seen = { entries: 0, pieces: 0 }
  const [read, readPieces] = [group.read.bind(group), group.readPieces.bind(group)]
  group.read = (from, to, bytesMax) => {
    seen.entries += to - from
    return read(from, to, bytesMax)
  }
  group.readPieces = (pieces) => {
    seen.pieces += pieces.length
    return readPieces(pieces)
  }
  return seen
}

test('D-009: topics with a small part of a chunk are read by pieces, all records of them in order; one with a large part by whole entries', async () => {
  const node = await mixedLog()
  const seen = watch(node)
  const one = await node.readAll(LOG, ['small/3'])
  assert.deepEqual(
    one.map(({ payload }) => payload),
    Array.from({ length: 20 }, (_, round) => [`${round}:3`, `${round}:3 again`]).flat(),
  )
  assert.deepEqual([seen.entries, seen.pieces > 0], [0, true])
  const two = await node.readAll(LOG, ['small/3', 'small/11'])
  assert.deepEqual(
    two.map(({ position }) => position),
    Array.from({ length: 20 }, (_, round) => [3, 11, 21].map((at) => 22 * round + at)).flat(),
  )
  assert.equal(seen.entries, 0)
  const pieces = seen.pieces
  const mixed = await node.readAll(LOG, ['large', 'small/3'])
  assert.deepEqual(
    mixed.map(({ position }) => position),
    Array.from({ length: 20 }, (_, round) => [3, 20, 21].map((at) => 22 * round + at)).flat(),
  )
  assert.deepEqual([seen.entries > 0, seen.pieces], [true, pieces])
})

test('D-009: a wildcard that matches few of the topics of a chunk reads them by pieces too', async () => {
  const node = await EngineNode.start({ tailBytes: 0 })
  const topics = Array.from({ length: 600 }, (_, at) => `many/${at % 300}/${at}`)
  for (let round = 0; round < 3; round++)
    await node.write(
      LOG,
      [...topics, ...topics.slice(0, 20)].map((topic) => ({ topic })),
    )
  await node.flush()
  const seen = watch(node)
  const few = await node.readAll(LOG, ['many/7/+', 'many/8/+', 'many/9/+', 'many/10/+', 'many/11/+', 'many/12/+'])
  assert.equal(few.length, 3 * 18)
  assert.deepEqual([seen.entries, seen.pieces > 0], [0, true])
  assert.equal((await node.readAll(LOG, ['many/#'])).length, 3 * 620)
  assert.ok(seen.entries > 0)
})

test('L29, E6: a flipped bit in any byte of the records of a topic is refused to its readers, and to no others', async () => {
  const node = await mixedLog()
  const group = node.group(LOG)
  const at = group.entries.length - 3
  const entry = group.entries[at] as Entry
  const [batch] = (await node.engine.read({ log: LOG, from: 22 * 17, filters: ['#'], bytesMax: 1 })).batches
  assert.ok(batch !== undefined)
  const cursor = new RecordCursor()
  cursor.reset(batch)
  while (cursor.next() && batch.topics[cursor.topic] !== 'small/5');
  assert.deepEqual(entry.data.subarray(cursor.start, cursor.end), batch.bytes.subarray(cursor.start, cursor.end))
  for (let byte = cursor.start; byte < cursor.end; byte++) {
    const data = Buffer.from(entry.data)
    data[byte] = (data[byte] as number) ^ (1 << (byte & 7))
    group.entries[at] = { ...entry, data }
    await assert.rejects(node.readAll(LOG, ['small/5']), { code: ERROR_CODES.dataDamaged }, `byte ${byte}`)
    assert.equal((await node.readAll(LOG, ['small/4'])).length, 20)
  }
  group.entries[at] = entry
  assert.equal((await node.readAll(LOG, ['small/5'])).length, 20)
})

test('L29: the bytes of another place are not taken for those of a piece', async () => {
  const node = await mixedLog()
  const group = node.group(LOG)
  const [first, second] = [group.entries[1] as Entry, group.entries[2] as Entry]
  group.entries[1] = { ...first, data: second.data }
  await assert.rejects(node.readAll(LOG, ['small/5']), { code: ERROR_CODES.dataDamaged })
})

test('a reader that has room for few records is not given many more', async () => {
  const node = await EngineNode.start({ tailBytes: 0 })
  for (let round = 0; round < 200; round++) {
    await node.write(LOG, [{ topic: 'a' }, { topic: `b/${round % 7}` }])
    if (round % 10 === 9) await node.flush()
  }
  for (const filters of [['a'], ['#'], ['b/+', 'a']]) {
    let from = 0
    let count = 0
    for (;;) {
      const { batches, next, atEnd } = await node.engine.read({ log: LOG, from, filters, bytesMax: 1 << 20, recordsMax: 15 })
      const records = recordsOf(batches).length
      count += records
      assert.ok(records <= 15 + 20, `${records} records at once`)
      if (atEnd) break
      assert.ok(records >= 15)
      from = next
    }
    assert.equal(count, filters[0] === 'a' ? 200 : 400)
  }
})
