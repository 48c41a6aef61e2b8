// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ReadQueue } from '../../../../src/raft/core/read-index.ts'

test('a read is served when its own index is applied, not that of an earlier one (R27, R29)', () => {
  const reads = new ReadQueue()
  const first = reads.confirm(4)
  const second = reads.confirm(6)
  assert.deepEqual(reads.take(3), [])
  assert.deepEqual(reads.take(5), [{ read: first, kind: 'servable' }])
  assert.deepEqual(reads.take(6), [{ read: second, kind: 'servable' }])
  assert.deepEqual(reads.take(6), [])
})

test('numbers are never used twice, whatever becomes of a read (R28)', () => {
  const reads = new ReadQueue()
  const held = reads.hold()
  reads.lose()
  reads.take(0)
  assert.equal(reads.confirm(1), held + 1)
})

test('held reads wait for the commit index of the new term (R26)', () => {
  const reads = new ReadQueue()
  const read = reads.hold()
  assert.deepEqual(reads.take(100), [])
  reads.askHeld(7)
  reads.nextRound()
  reads.confirmTo(1)
  assert.deepEqual(reads.take(6), [])
  assert.deepEqual(reads.take(7), [{ read, kind: 'servable' }])
})

test('when leadership ends, held reads are lost and confirmed ones stay good (R26)', () => {
  const reads = new ReadQueue()
  const confirmed = reads.confirm(3)
  const held = reads.hold()
  reads.lose()
  assert.deepEqual(reads.take(2), [{ read: held, kind: 'lost' }])
  assert.deepEqual(reads.take(3), [{ read: confirmed, kind: 'servable' }])
})

test('reads that wait are counted, decided ones are not', () => {
  const reads = new ReadQueue()
  reads.confirm(3)
  reads.hold()
  assert.equal(reads.count, 2)
  reads.take(3)
  assert.equal(reads.count, 1)
})
