// SPDX-License-Identifier: Apache-2.0
// The stored forms: what is written is read back, and what was not written so is refused.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { decodeApplied, encodeApplied } from '../../../../src/meta/codec/applied-codec.ts'
import { decodeCount, encodeCount } from '../../../../src/meta/codec/count-codec.ts'
import { decodeCursor, decodeHolder, encodeCursor, encodeHolder } from '../../../../src/meta/codec/cursor-codec.ts'
import { FieldReader } from '../../../../src/meta/codec/field-reader.ts'
import { FieldWriter } from '../../../../src/meta/codec/field-writer.ts'
import { decodeCatalogueLog, encodeCatalogueLog } from '../../../../src/meta/codec/log-codec.ts'
import { decodeNode, encodeNode } from '../../../../src/meta/codec/node-codec.ts'
import { decodeBody, decodeHead, encodeBody, encodeHead } from '../../../../src/meta/codec/retained-codec.ts'
import {
  decodeSession,
  decodeSubscription,
  decodeWill,
  encodeSession,
  encodeSubscription,
  encodeWill,
} from '../../../../src/meta/codec/session-codec.ts'
import { A, cursor, NOW_MS, retainedWrite, subscription, will } from '../meta-node.ts'

const expiring = { ...will('ü/t', 9), messageExpirySeconds: 0, retain: true, qos: 2 }
const session = {
  uid: 2 ** 53 - 1,
  epoch: 3,
  owner: A,
  expirySeconds: 0xffffffff,
  disconnectedAtMs: NOW_MS,
  subscribed: true,
  will: encodeWill(expiring),
}
const write = retainedWrite('a/b', 12, 'text', 5)
const own = { position: 7, packetId: 2, order: 1, qos: 1, released: false } as const
const shared = { ...cursor(4, 9), inFlight: [own, { ...own, packetId: 3, share: 2 ** 40 }] }

/** Each stored form: its bytes, what it must read as, and its reader. */
const FORMS: readonly (readonly [string, Buffer, unknown, (bytes: Buffer) => unknown])[] = [
  [
    'applied index',
    encodeApplied({ kind: 'data', ordinal: 1, groupCount: 2 }, 9, 0xdeadbeef),
    { kind: 'data', ordinal: 1, groupCount: 2, index: 9, hash: 0xdeadbeef },
    decodeApplied,
  ],
  ['count', encodeCount(7), 7, decodeCount],
  ['log of the catalogue', encodeCatalogueLog({ id: 12, createdAtMs: NOW_MS }), { id: 12, createdAtMs: NOW_MS }, decodeCatalogueLog],
  ['cursor', encodeCursor(cursor(4, 2 ** 40)), cursor(4, 2 ** 40), decodeCursor],
  ['cursor of a session in a shared group', encodeCursor(shared), shared, decodeCursor],
  ['cursor holder', encodeHolder({ epoch: 4, logs: [1, 9] }), { epoch: 4, logs: [1, 9] }, decodeHolder],
  [
    'node',
    encodeNode({ bootEpoch: 3, registeredAtMs: NOW_MS, programVersion: 4 }),
    { bootEpoch: 3, registeredAtMs: NOW_MS, programVersion: 4 },
    decodeNode,
  ],
  ['will', encodeWill(expiring), expiring, decodeWill],
  ['session', encodeSession(session), session, decodeSession],
  ['subscription', encodeSubscription(subscription('ü/+', 2)), subscription('ü/+', 2), decodeSubscription],
  [
    'retained head',
    encodeHead({ log: 1, position: 2, appendTimeMs: 5, removed: true, dueMs: 3, sizeBytes: 4 }),
    { log: 1, position: 2, appendTimeMs: 5, removed: true, dueMs: 3, sizeBytes: 4 },
    decodeHead,
  ],
  ['retained body', encodeBody(write) as Buffer, { ...write.message, log: 1, position: 12 }, (bytes) => decodeBody('a/b', bytes)],
]

const refusedWith = (code: (typeof ERROR_CODES)['internal']) => (error: unknown) => error instanceof PlatformError && error.code === code

describe('stored forms', () => {
  for (const [name, bytes, value, decode] of FORMS) {
    it(`${name}: reads back as it was written`, () => assert.deepEqual(decode(bytes), value))

    it(`${name}: another version is refused, not guessed at (R55)`, () => {
      const other = Buffer.from(bytes)
      other[0] = 200
      assert.throws(() => decode(other), refusedWith(ERROR_CODES.dataVersion))
    })

    it(`${name}: cut short at any byte, or too long, it is damaged`, () => {
      for (let length = 1; length < bytes.length; length++) {
        assert.throws(() => decode(bytes.subarray(0, length)), refusedWith(ERROR_CODES.dataDamaged), `length ${length}`)
      }
      assert.throws(() => decode(Buffer.concat([bytes, Buffer.of(0)])), refusedWith(ERROR_CODES.dataDamaged))
    })
  }
})

describe('fields', () => {
  it('of any size read back as they were written', () => {
    const field = fc.record({
      text: fc.string({ unit: 'grapheme' }),
      blob: fc.option(fc.uint8Array({ maxLength: 500 }), { nil: undefined }),
      number: fc.maxSafeNat(),
    })
    fc.assert(
      fc.property(fc.array(field), (fields) => {
        const writer = new FieldWriter(1, 2)
        for (const { text, blob, number } of fields)
          writer
            .text(text)
            .uint64(number)
            .optionalBlob(blob && Buffer.from(blob))
        const reader = new FieldReader(writer.take(), 1, 'a test value')
        for (const { text, blob, number } of fields) {
          assert.equal(reader.text(), text)
          assert.equal(reader.uint64(), number)
          assert.deepEqual(reader.optionalBlob(), blob && Buffer.from(blob))
        }
        reader.end()
      }),
    )
  })

  it('with an integer beyond 2^53 are damaged', () => {
    const reader = new FieldReader(Buffer.from([1, 255, 255, 255, 255, 255, 255, 255, 255]), 1, 'a test value')
    assert.throws(() => reader.uint64(), refusedWith(ERROR_CODES.dataDamaged))
  })
})
