// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { ATTRIBUTE, BATCH_TOPICS_MAX, KEY_BYTES_MAX, RecordBatch, RecordBatchBuilder, RecordCursor } from '#contract/record/record-batch'

const NO_HEADERS = Buffer.alloc(0)

function sample(): RecordBatch {
  const builder = new RecordBatchBuilder(64)
  const payload = Buffer.from('..hello..')
  builder.append(builder.topic('a/b'), 1, 7, 0, -1, NO_HEADERS, payload, 2, 7)
  const attributes = 2 | ATTRIBUTE.retain | ATTRIBUTE.expiry | ATTRIBUTE.sequence | ATTRIBUTE.headers
  builder.append(builder.topic('ü/b'), attributes, 2 ** 52 + 1, 1_800_000_000_123, 65_535, Buffer.from('hd'), payload, 0, 0)
  builder.append(builder.topic('a/b'), 0, 0, 0, -1, NO_HEADERS, Buffer.alloc(5000, 'x'), 0, 5000)
  const batch = builder.build()
  batch.stamp(1_000_000, 1_700_000_000_000, 3)
  return batch
}

function contents(batch: RecordBatch): unknown[] {
  const records: unknown[] = []
  const cursor = new RecordCursor()
  cursor.reset(batch)
  while (cursor.next()) {
    records.push({
      topic: batch.topics[cursor.topic],
      qos: cursor.qos,
      retain: cursor.retain,
      position: cursor.position,
      publisher: cursor.publisher,
      expiryMs: cursor.expiryMs,
      sequence: cursor.sequence,
      headers: batch.bytes.toString('latin1', cursor.headersStart, cursor.headersEnd),
      payload: batch.bytes.toString('latin1', cursor.payloadStart, cursor.end),
    })
  }
  return records
}

test('a batch gives back what was put into it, after parsing too', () => {
  const plain = { retain: false, expiryMs: 0, sequence: -1, headers: '' }
  const expected = [
    { ...plain, topic: 'a/b', qos: 1, position: 1_000_000, publisher: 7, payload: 'hello' },
    {
      topic: 'ü/b',
      qos: 2,
      retain: true,
      position: 1_000_001,
      publisher: 2 ** 52 + 1,
      expiryMs: 1_800_000_000_123,
      sequence: 65_535,
      headers: 'hd',
      payload: '',
    },
    { ...plain, topic: 'a/b', qos: 0, position: 1_000_002, publisher: 0, payload: 'x'.repeat(5000) },
  ]
  const batch = sample()
  assert.deepEqual(contents(batch), expected)
  const parsed = RecordBatch.parse(Buffer.from(batch.bytes))
  assert.deepEqual(contents(parsed), expected)
  assert.equal(parsed.appendTimeMs, 1_700_000_000_000)
})

test('records with and without a key lie side by side, and a copied record keeps its key', () => {
  const key = ATTRIBUTE.key
  const builder = new RecordBatchBuilder()
  const topic = builder.topic('orders')
  const payload = Buffer.from('paid')
  builder.append(topic, 1 | key | ATTRIBUTE.headers, 1, 0, -1, Buffer.from('hd'), payload, 0, 4, 0, Buffer.from('order-7'))
  builder.append(topic, 1, 1, 0, -1, NO_HEADERS, payload, 0, 4)
  builder.append(topic, 1 | key, 1, 0, -1, NO_HEADERS, payload, 0, 4, 2, Buffer.alloc(0))
  builder.append(topic, 1 | key, 1, 0, -1, NO_HEADERS, payload, 0, 4, 3, Buffer.alloc(KEY_BYTES_MAX, 'k'))
  const batch = RecordBatch.parse(builder.build().bytes)
  const keysOf = (of: RecordBatch): (string | undefined)[] => {
    const keys: (string | undefined)[] = []
    const cursor = new RecordCursor()
    cursor.reset(of)
    while (cursor.next()) {
      assert.equal(of.bytes.toString('latin1', cursor.payloadStart, cursor.end), 'paid')
      keys.push((cursor.attributes & key) === 0 ? undefined : of.bytes.toString('latin1', cursor.keyStart, cursor.keyEnd))
    }
    return keys
  }
  assert.deepEqual(keysOf(batch), ['order-7', undefined, '', 'k'.repeat(KEY_BYTES_MAX)])
  assert.ok(batch.hasKeys)
  assert.equal(sample().hasKeys, false)
  const cursor = new RecordCursor()
  cursor.reset(batch)
  cursor.next()
  builder.copy(batch, cursor, builder.topic('orders'), 0)
  const copied = builder.build()
  assert.deepEqual(keysOf(copied), ['order-7'])
  assert.ok(copied.hasKeys)
})

test('L30 a batch with any bit of its content flipped, or cut short, is refused', () => {
  const { bytes } = sample()
  const refused = (bad: Buffer): boolean => {
    try {
      RecordBatch.parse(bad)
      return false
    } catch (error) {
      return isPlatformError(error, ERROR_CODES.dataDamaged) || isPlatformError(error, ERROR_CODES.dataVersion)
    }
  }
  const stamped = { from: 12, to: 36 }
  for (let at = 0; at < bytes.length; at += at < 256 ? 1 : 37) {
    if (at >= stamped.from && at < stamped.to) continue
    const bad = Buffer.from(bytes)
    bad[at] = (bad[at] as number) ^ (1 << (at % 8))
    assert.ok(refused(bad), `byte ${at}`)
  }
  for (let length = 0; length < bytes.length; length += 11) assert.ok(refused(bytes.subarray(0, length)), `length ${length}`)
})

test('stamping by the leader leaves the CRC of the broker valid', () => {
  const batch = sample()
  batch.stamp(5, 6, 7)
  assert.equal(RecordBatch.parse(batch.bytes).basePosition, 5)
})

test('copied records keep their distance, so that a batch may have gaps', () => {
  const batch = sample()
  const builder = new RecordBatchBuilder()
  const cursor = new RecordCursor()
  cursor.reset(batch)
  while (cursor.next()) if (cursor.topic === 0) builder.copy(batch, cursor, builder.topic('a/b'), batch.basePosition)
  const copy = builder.build()
  copy.stamp(batch.basePosition, batch.appendTimeMs, 3)
  assert.deepEqual(
    contents(copy).map((record) => (record as { position: number }).position),
    [1_000_000, 1_000_002],
  )
})

test('a builder is empty after build, and does not touch the batch it gave', () => {
  const builder = new RecordBatchBuilder()
  builder.append(builder.topic('x'), 0, 1, 0, -1, NO_HEADERS, Buffer.from('one'), 0, 3)
  const first = builder.build()
  const kept = Buffer.from(first.bytes)
  assert.equal(builder.recordCount, 0)
  builder.append(builder.topic('y'), 0, 1, 0, -1, NO_HEADERS, Buffer.from('two'), 0, 3)
  builder.build()
  assert.deepEqual(first.bytes, kept)
})

test('a builder takes as many topics as an index can name, and says when it is full', () => {
  const builder = new RecordBatchBuilder()
  for (let at = 0; at < BATCH_TOPICS_MAX; at++) assert.equal(builder.topic(`t${at}`), at)
  assert.equal(builder.topic('one more'), -1)
  assert.equal(builder.topic('t3'), 3)
})
