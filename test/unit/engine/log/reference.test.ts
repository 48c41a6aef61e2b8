// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { crc32c } from '#base/crc32c'
import { ERROR_CODES } from '#base/error-code'
import type { KvOperation } from '#base/port/kv'
import { type RecordBatch, RecordCursor } from '#contract/record/record-batch'
import { LogKeys } from '../../../../src/engine/log/key-layout.ts'
import { decodeReference, keySum, type Reference, ReferenceWriter } from '../../../../src/engine/log/reference.ts'
import { ReferenceBuilder } from '../../../../src/engine/log/reference-builder.ts'
import { Topic } from '../../../../src/engine/log/topic.ts'
import { batchOf } from '../engine-node.ts'

const KEYS = new LogKeys(8)

/** The references that a chunk of these batches has, by topic. The first batch is in entry `firstEntry`, each further one two entries later. */
function referencesOf(batches: readonly RecordBatch[], firstEntry: number): Map<string, Reference> {
  const builder = new ReferenceBuilder()
  const topics = new Map<string, Topic>()
  batches.forEach((batch, at) => {
    const known = batch.topics.map((name) => {
      const topic = topics.get(name) ?? new Topic(topics.size, name, 0, 0)
      topics.set(name, topic)
      return topic
    })
    builder.add(batch, known, batch.basePosition + batch.recordCount, firstEntry + 2 * at)
  })
  const operations: KvOperation[] = []
  builder.close(KEYS, operations)
  const references = new Map<string, Reference>()
  for (const [name, { id }] of topics) {
    const key = KEYS.run(id, batches[0]?.basePosition ?? 0)
    const operation = operations.find((candidate) => candidate.key.equals(key))
    references.set(name, decodeReference(key, operation?.value as Buffer))
  }
  return references
}

/** Batches at consecutive positions from `base` on. */
function batchesAt(base: number, rounds: readonly (readonly { readonly topic: string; readonly payload?: string }[])[]): RecordBatch[] {
  let position = base
  return rounds.map((records) => {
    const batch = batchOf(records)
    batch.stamp(position, 1_700_000_000_000, 7)
    position += batch.recordCount
    return batch
  })
}

test('D-009: a reference names the records of its topic: where they are, how many, how many bytes, and their checksum', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 2 ** 45 }),
      fc.integer({ min: 1, max: 2 ** 45 }),
      fc.array(fc.array(fc.tuple(fc.nat(12), fc.nat(300)), { minLength: 1, maxLength: 30 }), { minLength: 1, maxLength: 8 }),
      (base, firstEntry, rounds) => {
        const batches = batchesAt(
          base,
          rounds.map((records) => records.map(([topic, bytes]) => ({ topic: `t/${topic}`, payload: 'x'.repeat(bytes) }))),
        )
        let sawPieces = false
        for (const [name, reference] of referencesOf(batches, firstEntry)) {
          const cursor = new RecordCursor()
          const records: Buffer[] = []
          const entries = new Set<number>()
          batches.forEach((batch, at) => {
            cursor.reset(batch)
            while (cursor.next()) {
              if (batch.topics[cursor.topic] !== name) continue
              records.push(batch.bytes.subarray(cursor.start, cursor.end))
              entries.add(firstEntry + 2 * at)
            }
          })
          const bytes = Buffer.concat(records)
          assert.equal(reference.base, base)
          assert.equal(reference.recordCount, records.length)
          assert.equal(reference.recordBytes, bytes.length)
          assert.deepEqual(reference.entries, [...entries])
          const { pieces } = reference
          assert.equal(pieces !== undefined, 4 * bytes.length < batches.reduce((sum, batch) => sum + batch.bytes.length, 0))
          if (pieces === undefined) continue
          sawPieces = true
          const read = pieces.list.map(({ index, base: batchBase, offset, length }) => {
            const batch = batches[(index - firstEntry) / 2] as RecordBatch
            assert.equal(batchBase, batch.basePosition)
            return batch.bytes.subarray(offset, offset + length)
          })
          assert.deepEqual(Buffer.concat(read), bytes)
          const id = Number([...referencesOf(batches, firstEntry).keys()].indexOf(name))
          assert.equal(pieces.sum, crc32c(bytes, keySum(KEYS.run(id, base))))
          assert.deepEqual([pieces.appendTimeMs, pieces.term], [1_700_000_000_000, 7])
        }
        fc.pre(sawPieces || rounds.flat().length < 100)
      },
    ),
    { numRuns: 200, seed: 20_260_102 },
  )
})

test('L27, L29: a reference with one flipped bit, cut anywhere, or of another place, is refused', () => {
  const batches = batchesAt(
    5,
    [1, 2, 3].map(() => Array.from({ length: 9 }, (_, at) => ({ topic: `t/${at}` }))),
  )
  const builder = new ReferenceBuilder()
  const topics = Array.from({ length: 9 }, (_, at) => new Topic(at, `t/${at}`, 0, 0))
  batches.forEach((batch, at) => void builder.add(batch, topics, 0, 100 + at))
  const operations: KvOperation[] = []
  builder.close(KEYS, operations)
  const whole = new ReferenceWriter()
  whole.beginWhole(3, 300, 100)
  whole.entry(102)
  const key = KEYS.run(4, 5)
  const byPieces = operations.find((operation) => operation.key.equals(key))?.value as Buffer
  for (const value of [byPieces, whole.finish(key)]) {
    decodeReference(key, value)
    for (let bit = 0; bit < 8 * value.length; bit++) {
      const flipped = Buffer.from(value)
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7))
      assert.throws(() => decodeReference(key, flipped), { code: ERROR_CODES.dataDamaged }, `bit ${bit}`)
    }
    for (let length = 0; length < value.length; length++)
      assert.throws(() => decodeReference(key, value.subarray(0, length)), { code: ERROR_CODES.dataDamaged }, `${length} bytes`)
    for (const other of [KEYS.run(3, 5), KEYS.run(4, 6), new LogKeys(9).run(4, 5)])
      assert.throws(() => decodeReference(other, value), { code: ERROR_CODES.dataDamaged })
  }
})

test('a reference of a kind that this version does not know is refused as such', () => {
  const writer = new ReferenceWriter()
  const key = KEYS.run(1, 1)
  writer.beginWhole(1, 100, 1)
  const value = writer.finish(key)
  value[4] = 3
  value.writeUInt32BE(crc32c(value, keySum(key), 4), 0)
  assert.throws(() => decodeReference(key, value), { code: ERROR_CODES.dataVersion })
})
