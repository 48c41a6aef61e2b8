// SPDX-License-Identifier: Apache-2.0
// What is particular to logs whose records are in the Raft log: what they let go of, and what they read of it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { batchOf, EngineNode, settled } from '../engine-node.ts'

const BUSY = 4
const IDLE = 5
const HOUR_MS = 3_600_000
const KEEP = { maxAgeMs: 0, maxBytes: 0, intervalMs: HOUR_MS }

test('L28: a log without records lets go of all its entries, and one with records keeps the entries from the first of them on', async () => {
  const node = await EngineNode.start({ stripes: 2, tailBytes: 0, retention: KEEP })
  await node.write(BUSY, [{ topic: 'a' }])
  await node.write(BUSY, [{ topic: 'a' }])
  await node.flush()
  await node.clock.pass(HOUR_MS)
  assert.equal(node.group(IDLE).compactedTo, 1)
  assert.equal(node.group(BUSY).compactedTo, 1)
  assert.equal((await node.readAll(BUSY, ['#'])).length, 2)
})

test('L28: over the bytes the oldest file goes, also when an idle log is the only one that holds it', async () => {
  const node = await EngineNode.start({ stripes: 2, tailBytes: 0, retention: { ...KEEP, maxBytes: 4000 } })
  await node.write(IDLE, [{ topic: 'old' }])
  await node.flush()
  for (let at = 0; at < 10; at++) {
    await node.write(BUSY, [{ topic: `new/${at}`, payload: 'p'.repeat(1000) }])
    await node.flush()
  }
  await node.clock.pass(HOUR_MS)
  await settled()
  assert.deepEqual(node.engine.extent(IDLE), { first: 1, end: 1 })
  const { first, end } = node.engine.extent(BUSY)
  assert.equal(end, 10)
  assert.equal(first, 7)
  assert.deepEqual(
    (await node.readAll(BUSY, ['#'])).map(({ position }) => position),
    [7, 8, 9],
  )
  assert.equal((await (await node.restart()).readAll(BUSY, ['new/9'])).length, 1)
})

test('entries that are applied but not yet in the index are never let go of', async () => {
  const node = await EngineNode.start({ stripes: 2, tailBytes: 0, retention: KEEP })
  await node.write(BUSY, [{ topic: 'a' }])
  await node.flush()
  node.append(BUSY, batchOf([{ topic: 'b' }]))
  await node.clock.pass(HOUR_MS - 51)
  await node.group(BUSY).commit()
  await node.clock.pass(1)
  assert.equal(node.group(BUSY).compactedTo, 1)
})

test('D-009: a rare topic is read without the entries that do not have it, and without the rest of those that do', async () => {
  const node = await EngineNode.start({ stripes: 2, tailBytes: 0 })
  for (let at = 0; at < 200; at++) await node.write(BUSY, [{ topic: at % 50 === 7 ? 'rare' : 'noise', payload: 'p'.repeat(100) }])
  await node.flush()
  const group = node.group(BUSY)
  const readPieces = group.readPieces.bind(group)
  const asked: number[] = []
  group.read = () => assert.fail('no entry is read whole')
  group.readPieces = (pieces) => {
    asked.push(...pieces.map(({ index }) => index))
    return readPieces(pieces)
  }
  assert.deepEqual(
    (await node.readAll(BUSY, ['rare'], 0, 1 << 20)).map(({ position }) => position),
    [7, 57, 107, 157],
  )
  assert.deepEqual(asked, [9, 59, 109, 159], 'entry 1 is the first of the term')
})
