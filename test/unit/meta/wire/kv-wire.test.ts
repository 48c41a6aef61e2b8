// SPDX-License-Identifier: Apache-2.0
// The messages between nodes: what is written is read, and bytes that are no message are an error of the one who sent them.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import protobuf from 'protobufjs'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { KvAction, KvCompare, KvItem } from '#contract/client/kv-client'
import * as admin from '../../../../src/meta/wire/admin-wire.ts'
import * as wire from '../../../../src/meta/wire/kv-wire.ts'

const record = <T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record<T>(model, { noNullPrototype: true }) as fc.Arbitrary<T>
const bytes = fc.uint8Array({ maxLength: 40 }).map((array) => Buffer.from(array))
const key = fc.uint8Array({ minLength: 1, maxLength: 20 }).map((array) => Buffer.from(array))
const end = fc.option(bytes, { nil: undefined })
const number = fc.maxSafeNat()
const item: fc.Arbitrary<KvItem> = record({ key, value: bytes, createRevision: number, modRevision: number, version: number })
const optionalItem = fc.option(item, { nil: undefined })
const compare: fc.Arbitrary<KvCompare> = fc.oneof(
  record({ kind: fc.constant('revision' as const), key, revision: number }),
  record({ kind: fc.constant('value' as const), key, value: bytes }),
)
const action: fc.Arbitrary<KvAction> = fc.oneof(
  record({ kind: fc.constantFrom('get' as const, 'delete' as const), key }),
  record({ kind: fc.constant('put' as const), key, value: bytes }),
  record({ kind: fc.constant('deleteSpan' as const), span: record({ gte: bytes, lt: end }) }),
)
const transaction = record({ compares: fc.array(compare), success: fc.array(action), failure: fc.array(action) })
const attempt = fc.option(record({ session: fc.integer({ min: 1 }), sequence: fc.integer({ min: 1 }) }), { nil: undefined })
const result = fc.oneof(
  record({ kind: fc.constant('get' as const), item: optionalItem }),
  fc.constant({ kind: 'put' as const }),
  record({ kind: fc.constant('delete' as const), deleted: number }),
)
const event = record({ kind: fc.constantFrom('put' as const, 'delete' as const), item, previous: optionalItem })
const watchMessage = fc.oneof(
  record({ kind: fc.constant('events' as const), revision: number, events: fc.array(event) }),
  record({ kind: fc.constant('progress' as const), revision: number }),
  record({ kind: fc.constant('compacted' as const), firstRevision: number }),
)
const groupStatus = record({
  group: number,
  role: fc.constantFrom('leader', 'follower'),
  term: number,
  leader: number,
  commit: number,
  applied: number,
  voters: fc.array(number),
  learners: fc.array(number),
})

function roundTrip<T>(values: fc.Arbitrary<T>, encode: (value: T) => Buffer, decode: (message: Buffer) => unknown): () => void {
  return () => fc.assert(fc.property(values, (value) => assert.deepEqual(decode(encode(value)), value)))
}

describe('a message reads as it was written:', () => {
  it('get', roundTrip(record({ key, stale: fc.boolean() }), wire.encodeGetRequest, wire.decodeGetRequest))
  it('reply to a get', roundTrip(record({ revision: number, item: optionalItem }), wire.encodeGetReply, wire.decodeGetReply))
  it(
    'range',
    roundTrip(
      record({
        request: record({ gte: bytes, lt: end, limit: fc.integer({ min: 1, max: 1000 }), keysOnly: fc.boolean() }),
        stale: fc.boolean(),
      }),
      wire.encodeRangeRequest,
      wire.decodeRangeRequest,
    ),
  )
  it(
    'page of a range',
    roundTrip(record({ revision: number, items: fc.array(item), more: fc.boolean() }), wire.encodeRangeReply, wire.decodeRangeReply),
  )
  it('transaction', roundTrip(record({ transaction, attempt }), wire.encodeTransactRequest, wire.decodeTransactRequest))
  it(
    'reply to a transaction',
    roundTrip(
      record({ succeeded: fc.boolean(), revision: number, results: fc.array(result) }),
      wire.encodeTransactReply,
      wire.decodeTransactReply,
    ),
  )
  it(
    'watch',
    roundTrip(
      record({ gte: bytes, lt: end, fromRevision: fc.integer({ min: 1 }), previousValues: fc.boolean() }),
      wire.encodeWatchRequest,
      wire.decodeWatchRequest,
    ),
  )
  it('what a watch tells', roundTrip(watchMessage, wire.encodeWatchMessage, wire.decodeWatchMessage))
  it('session', roundTrip(number, wire.encodeOpenSessionReply, wire.decodeOpenSessionReply))
  it(
    'members',
    roundTrip(
      record({ clusterVersion: number, members: fc.array(record({ node: number, address: fc.string(), programVersion: number })) }),
      admin.encodeMembersReply,
      admin.decodeMembersReply,
    ),
  )
  it('address of a member', roundTrip(record({ node: number, address: fc.string() }), admin.encodeSetAddress, admin.decodeSetAddress))
  it('member without an address', roundTrip(number, admin.encodeRemoveAddress, admin.decodeRemoveAddress))
  it('status', roundTrip(fc.array(groupStatus), admin.encodeStatusReply, admin.decodeStatusReply))
  it(
    'change of members',
    roundTrip(
      record({ group: number, change: fc.constantFrom('addLearner' as const, 'promote' as const, 'remove' as const), node: number }),
      admin.encodeChangeMembers,
      admin.decodeChangeMembers,
    ),
  )
})

describe('contract/proto/meta.proto', () => {
  const proto = protobuf.parse(readFileSync(new URL('../../../../../src/contract/proto/meta.proto', import.meta.url), 'utf8')).root

  /** Reads our bytes by the file, and writes them again. */
  const again = (type: string, ours: Buffer): Buffer => {
    const message = proto.lookupType(`robustmq.meta.v1.${type}`)
    return Buffer.from(message.encode(message.decode(ours)).finish())
  }
  const agrees = <T>(type: string, values: fc.Arbitrary<T>, encode: (value: T) => Buffer): void =>
    fc.assert(
      fc.property(values, (value) => {
        const ours = encode(value)
        assert.deepEqual(again(type, ours), ours)
      }),
    )

  it('describes what is written', () => {
    agrees('TransactRequest', record({ transaction, attempt }), wire.encodeTransactRequest)
    agrees('TransactReply', record({ succeeded: fc.boolean(), revision: number, results: fc.array(result) }), wire.encodeTransactReply)
    agrees('WatchMessage', watchMessage, wire.encodeWatchMessage)
    agrees('RangeReply', record({ revision: number, items: fc.array(item), more: fc.boolean() }), wire.encodeRangeReply)
    agrees('GetReply', record({ revision: number, item: optionalItem }), wire.encodeGetReply)
  })
})

describe('bytes that are no message', () => {
  it('are refused as invalid, or read as some message, and never break the reader', () => {
    const decoders: readonly ((message: Buffer) => unknown)[] = [
      wire.decodeGetReply,
      wire.decodeRangeReply,
      wire.decodeTransactRequest,
      wire.decodeTransactReply,
      wire.decodeWatchMessage,
      admin.decodeStatusReply,
      admin.decodeMembersReply,
      admin.decodeSetAddress,
      admin.decodeRemoveAddress,
      admin.decodeChangeMembers,
    ]
    const hostile = fc.oneof(
      fc.uint8Array({ maxLength: 60 }).map((array) => Buffer.from(array)),
      fc.tuple(transaction, fc.nat(200)).map(([value, cut]) => {
        const whole = wire.encodeTransactRequest({ transaction: value, attempt: undefined })
        return whole.subarray(0, cut)
      }),
    )
    fc.assert(
      fc.property(hostile, (message) => {
        for (const decode of decoders) {
          try {
            decode(message)
          } catch (error) {
            assert.ok(isPlatformError(error, ERROR_CODES.invalid))
          }
        }
      }),
      { numRuns: 1000 },
    )
  })

  it('may have fields that a newer program has added', () => {
    const added = Buffer.concat([
      wire.encodeOpenSessionReply(7),
      Buffer.from([0x78, 0x96, 0x01, 0x7a, 0x01, 0x61, 0x7d, 1, 2, 3, 4, 0x79, 1, 2, 3, 4, 5, 6, 7, 8]),
    ])
    assert.equal(wire.decodeOpenSessionReply(added), 7)
  })
})
