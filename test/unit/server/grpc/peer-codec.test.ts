// SPDX-License-Identifier: Apache-2.0
// The hand-written codec of peer.proto against protobufjs, and against bytes that no honest peer sends.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import protobuf from 'protobufjs'
import { crc32c } from '#base/crc32c'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import {
  decodeFrames,
  decodeHello,
  decodeSealed,
  decodeSnapshotPart,
  encodeFrames,
  encodeHello,
  encodeSealed,
  encodeSnapshotChunk,
  encodeSnapshotEnd,
  encodeSnapshotHeader,
  type Hello,
} from '../../../../src/server/grpc/peer-codec.ts'

const proto = protobuf.parse(readFileSync(new URL('../../../../../src/contract/proto/peer.proto', import.meta.url), 'utf8')).root

/** What protobufjs makes of our bytes, and our bytes' equal of what it writes. */
function compare(type: string, value: Record<string, unknown>, ours: Buffer): void {
  const message = proto.lookupType(`robustmq.${type}`)
  const plain = message.toObject(message.decode(ours), { longs: Number, bytes: Buffer })
  assert.deepEqual(plain, value)
  assert.deepEqual(Buffer.from(message.encode(message.create(value)).finish()), ours)
}

/** Objects like those that decoders make. */
const record = <T>(model: { readonly [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>

const bytes = (maxLength = 300): fc.Arbitrary<Buffer> => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array))
const uint32 = fc.integer({ min: 1, max: 2 ** 32 - 1 })
const hello = record({
  protocol: fc.tuple(uint32, uint32).map(([a, b]) => ({ min: Math.min(a, b), max: Math.max(a, b) })),
  cluster: fc.string({ minLength: 1, unit: 'grapheme' }),
  node: uint32,
  disk: fc.string({ minLength: 1 }),
  boot: fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }),
  peer: uint32,
  nonce: fc.uint8Array({ minLength: 1, maxLength: 32 }).map((array) => Buffer.from(array)),
  isOperator: fc.boolean(),
  address: fc.string({ minLength: 1 }),
})

/** With the names of peer.proto. */
const named = ({ protocol, isOperator, ...rest }: Hello): Record<string, unknown> => ({
  ...rest,
  protocol: protocol.min,
  protocolMax: protocol.max,
  operator: isOperator,
})

describe('codec of peer.proto', () => {
  it('writes what protobufjs writes, and the other way round', () => {
    fc.assert(fc.property(hello, (value) => compare('Hello', named(value), encodeHello(value))))
    fc.assert(fc.property(fc.array(bytes(), { minLength: 1 }), (frame) => compare('Frames', { frame }, encodeFrames(frame))))
    fc.assert(
      fc.property(bytes(), bytes(), (first, seal) => compare('Sealed', { hello: first, seal }, encodeSealed({ hello: first, seal }))),
    )
    fc.assert(fc.property(bytes(), (header) => compare('SnapshotPart', { header }, encodeSnapshotHeader(header))))
    fc.assert(fc.property(bytes(), (data) => compare('SnapshotPart', { chunk: { data, crc: crc32c(data) } }, encodeSnapshotChunk(data))))
    fc.assert(
      fc.property(fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER }), bytes(), (size, digest) =>
        compare('SnapshotPart', { end: { size, digest } }, encodeSnapshotEnd(size, digest)),
      ),
    )
  })

  it('reads what it has written; frames are slices of the message', () => {
    fc.assert(fc.property(hello, (value) => assert.deepEqual(decodeHello(encodeHello(value)), value)))
    fc.assert(fc.property(fc.array(bytes()), (frames) => assert.deepEqual(decodeFrames(encodeFrames(frames)), frames)))
    const message = encodeFrames([Buffer.alloc(100, 1), Buffer.alloc(0), Buffer.alloc(200, 2)])
    assert.ok(decodeFrames(message).every((frame) => frame.buffer === message.buffer))
    const data = Buffer.from('data')
    assert.deepEqual(decodeSnapshotPart(encodeSnapshotChunk(data)), { kind: 'chunk', data })
    assert.deepEqual(decodeSnapshotPart(encodeSnapshotHeader(data)), { kind: 'header', header: data })
    assert.deepEqual(decodeSnapshotPart(encodeSnapshotEnd(2 ** 40, data)), { kind: 'end', size: 2 ** 40, digest: data })
  })

  it('R55 a node that says nothing of a range speaks one version, is no operator, and is nowhere reached', () => {
    const old = decodeHello(Buffer.from([0x08, 3, 0x18, 7]))
    assert.deepEqual([old.protocol, old.node, old.isOperator, old.address], [{ min: 3, max: 3 }, 7, false, ''])
  })

  it('R38 a chunk of which one bit has changed is refused', () => {
    const data = Buffer.alloc(64, 5)
    const message = encodeSnapshotChunk(data)
    for (let bit = 8 * 4; bit < 8 * (message.length - 5); bit++) {
      const changed = Buffer.from(message)
      changed.writeUInt8((changed[bit >> 3] as number) ^ (1 << (bit & 7)), bit >> 3)
      assert.throws(
        () => decodeSnapshotPart(changed),
        (error) => isPlatformError(error, ERROR_CODES.invalid),
      )
    }
  })

  it('takes any bytes for a message, or refuses them: it never does anything else', () => {
    for (const decode of [decodeFrames, decodeHello, decodeSealed, decodeSnapshotPart])
      fc.assert(
        fc.property(bytes(60), (message) => {
          try {
            decode(message)
          } catch (error) {
            assert.ok(isPlatformError(error, ERROR_CODES.invalid))
          }
        }),
        { numRuns: 2000 },
      )
  })
})
