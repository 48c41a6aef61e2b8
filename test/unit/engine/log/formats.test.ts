// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ERROR_CODES } from '#base/error-code'
import { ATTRIBUTE, RecordBatchBuilder, RecordCursor } from '#contract/record/record-batch'
import { decodeControl, encodeForget, encodeRelease, isBatch } from '../../../../src/engine/log/control-record.ts'
import { decodeChunk, decodeState, encodeChunk, encodeState, LogKeys } from '../../../../src/engine/log/key-layout.ts'
import { batchOf } from '../engine-node.ts'

test('control records come back as they were, and are not taken for batches', () => {
  const releases = [
    { publisher: 2 ** 52 + 1, sequence: 65_535 },
    { publisher: 1, sequence: 0 },
  ]
  assert.deepEqual(decodeControl(encodeRelease(releases)), { kind: 'release', releases })
  assert.deepEqual(decodeControl(encodeForget([1, 2 ** 40])), { kind: 'forget', publishers: [1, 2 ** 40] })
  assert.equal(isBatch(encodeRelease(releases)), false)
  assert.equal(isBatch(batchOf([{ topic: 'a' }]).bytes), true)
  assert.equal(isBatch(Buffer.alloc(0)), false)
})

test('control records that are cut, of another version or of another kind are refused', () => {
  const bytes = encodeRelease([{ publisher: 1, sequence: 2 }])
  for (const length of [0, 4, 9, 10, bytes.length - 1])
    assert.throws(() => decodeControl(bytes.subarray(0, length)), { code: ERROR_CODES.dataDamaged }, `${length} bytes`)
  const patched = (at: number, value: number): Buffer => {
    const copy = Buffer.from(bytes)
    copy[at] = value
    return copy
  }
  assert.throws(() => decodeControl(patched(4, 2)), { code: ERROR_CODES.dataVersion })
  assert.throws(() => decodeControl(patched(5, 9)), { code: ERROR_CODES.dataDamaged })
  assert.throws(() => decodeControl(patched(9, 2)), { code: ERROR_CODES.dataDamaged })
})

test('the state of a log comes back as it was; another version is refused', () => {
  const state = {
    appliedIndex: 2 ** 50,
    end: 7,
    start: 3,
    nextTopicId: 4_000_000_000,
    storedBytes: 2 ** 45,
    topicsSavedUpTo: 5,
    retainedUpTo: 6,
  }
  const bytes = encodeState(state)
  assert.deepEqual(decodeState(bytes), state)
  assert.throws(() => decodeState(bytes.subarray(0, 20)), { code: ERROR_CODES.dataDamaged })
  bytes[0] = 9
  assert.throws(() => decodeState(bytes), { code: ERROR_CODES.dataVersion })
})

test('keys sort as positions do, and the keys of two logs never mix', () => {
  const keys = new LogKeys(1)
  const ascending = [keys.run(1, 255), keys.run(1, 256), keys.run(1, 2 ** 40), keys.run(2, 0)]
  for (let at = 1; at < ascending.length; at++) assert.equal(Buffer.compare(ascending[at - 1] as Buffer, ascending[at] as Buffer), -1)
  assert.equal(Buffer.compare(keys.topic('\u{10ffff}'), new LogKeys(2).chunk(0)), -1)
  const chunk = { base: 9, end: 12, appendTimeMs: 1_700_000_000_000, bytes: 100, topicIds: [3, 1], extent: undefined }
  assert.deepEqual(decodeChunk(keys.chunk(9), encodeChunk(12, 1_700_000_000_000, 100, [3, 1]), false), chunk)
  for (const isTrimmed of [false, true]) {
    const extent = { first: 2 ** 40, count: 7, isTrimmed }
    assert.deepEqual(decodeChunk(keys.chunk(9), encodeChunk(12, 1_700_000_000_000, 100, [3, 1], extent), true), { ...chunk, extent })
  }
})

test('the flags of a batch tell what its records have, copied ones included', () => {
  const flagsOf = (batch: ReturnType<typeof batchOf>) => [batch.hasRetained, batch.hasSequences, batch.qosMax]
  assert.deepEqual(flagsOf(batchOf([{ topic: 'a', qos: 0 }])), [false, false, 0])
  assert.deepEqual(
    flagsOf(
      batchOf([
        { topic: 'a', qos: 1 },
        { topic: 'a', qos: 0, retain: true },
      ]),
    ),
    [true, false, 1],
  )
  const source = batchOf([
    { topic: 'a', qos: 2, sequence: 1 },
    { topic: 'b', qos: 0, retain: true },
  ])
  assert.deepEqual(flagsOf(source), [true, true, 2])
  const cursor = new RecordCursor()
  cursor.reset(source)
  cursor.next()
  const builder = new RecordBatchBuilder()
  builder.copy(source, cursor, builder.topic('a'), 0)
  assert.deepEqual(flagsOf(builder.build()), [false, true, 2])
  // The builder begins anew with each batch.
  builder.append(builder.topic('a'), ATTRIBUTE.retain, 1, 0, -1, Buffer.alloc(0), Buffer.alloc(0), 0, 0)
  assert.deepEqual(flagsOf(builder.build()), [true, false, 0])
})

test('a small batch does not hold on to the buffer of a large one', () => {
  const builder = new RecordBatchBuilder()
  builder.append(builder.topic('a'), 1, 1, 0, -1, Buffer.alloc(0), Buffer.alloc(500_000), 0, 500_000)
  builder.build()
  for (let round = 0; round < 3; round++) {
    builder.append(builder.topic('a'), 1, 1, 0, -1, Buffer.alloc(0), Buffer.alloc(10), 0, 10)
    assert.ok(builder.build().bytes.buffer.byteLength <= 64 * 1024)
  }
})
