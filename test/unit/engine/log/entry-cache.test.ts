// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecordBatch } from '#contract/record/record-batch'
import { EntryCache, type EntryShelf } from '../../../../src/engine/log/entry-cache.ts'
import { batchOf } from '../engine-node.ts'

test('M8: what is kept is bounded over all logs, and what was read first goes first', () => {
  const cache = new EntryCache(10_000)
  const [one, other]: EntryShelf[] = [new Map(), new Map()]
  for (let index = 0; index < 20; index++)
    cache.keep(index < 10 ? (one as EntryShelf) : (other as EntryShelf), index, batchOf([{ topic: 't', payload: 'x'.repeat(1500) }]))
  assert.deepEqual([...(one as EntryShelf).keys()], [])
  assert.deepEqual([...(other as EntryShelf).keys()], [15, 16, 17, 18, 19])
})

test('M8: a small batch does not hold the buffer of the read that it was in', () => {
  const { bytes } = batchOf([{ topic: 't', payload: 'small' }])
  const read = Buffer.alloc(1 << 20)
  bytes.copy(read, 1000)
  const shelf: EntryShelf = new Map()
  new EntryCache(10_000).keep(shelf, 7, RecordBatch.parse(read.subarray(1000, 1000 + bytes.length)))
  const kept = shelf.get(7)
  assert.deepEqual(kept?.bytes, bytes)
  assert.equal(kept?.bytes.buffer.byteLength, bytes.length)
})
