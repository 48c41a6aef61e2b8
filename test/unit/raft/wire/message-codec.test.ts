// SPDX-License-Identifier: Apache-2.0
// Frames of the messages between hosts: every message comes back as it was, and no bytes whatsoever do harm.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { ConfState, Message } from '../../../../src/raft/core/message.ts'
import { decodeFrame, decodeSnapshotHeader, encodeFrame, encodeSnapshotHeader } from '../../../../src/raft/wire/message-codec.ts'
import type { PeerMessage } from '../../../../src/raft/wire/peer-message.ts'

/** Objects like those that decoders make. */
const record = <T>(model: { readonly [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>

const FROM = 3
const TO = 5

const uint = fc.oneof(fc.integer({ min: 0, max: 300 }), fc.maxSafeNat())
const data = fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes))
const envelope = { from: fc.constant(FROM), to: fc.constant(TO), term: uint }
const kind = <K extends string>(value: K): fc.Arbitrary<K> => fc.constant(value)
const group = fc.integer({ min: 1, max: 2 ** 32 - 1 })
const nodes = fc.array(fc.integer({ min: 1, max: 65535 }), { maxLength: 7 })
const conf: fc.Arbitrary<ConfState> = record({ voters: nodes, learners: nodes, outgoing: nodes, learnersNext: nodes })

const entries = (previousIndex: number) =>
  fc
    .array(record({ term: uint, kind: fc.constantFrom('empty' as const, 'normal' as const, 'conf' as const), data }), { maxLength: 5 })
    .map((drafts) => drafts.map((draft, ordinal) => ({ index: previousIndex + 1 + ordinal, ...draft })))

const appendRequest = fc.integer({ min: 0, max: 2 ** 52 }).chain((previousIndex) =>
  record({
    ...envelope,
    kind: kind('appendRequest'),
    previousIndex: fc.constant(previousIndex),
    previousTerm: uint,
    entries: entries(previousIndex),
    commit: uint,
    sequence: uint,
  }),
)

const offer = record({
  ...envelope,
  kind: kind('snapshotOffer'),
  start: record({ index: uint, term: uint, conf }),
  formatVersion: uint,
})

const message: fc.Arbitrary<Message> = fc.oneof(
  record({ ...envelope, kind: kind('preVoteRequest'), lastIndex: uint, lastTerm: uint }),
  record({ ...envelope, kind: kind('preVoteResponse'), granted: fc.boolean(), commit: uint, commitTerm: uint }),
  record({ ...envelope, kind: kind('voteRequest'), lastIndex: uint, lastTerm: uint, transfer: fc.boolean() }),
  record({ ...envelope, kind: kind('voteResponse'), granted: fc.boolean() }),
  appendRequest,
  record({
    ...envelope,
    kind: kind('appendResponse'),
    index: uint,
    rejected: fc.boolean(),
    hintIndex: uint,
    hintTerm: uint,
    sequence: uint,
  }),
  record({ ...envelope, kind: kind('heartbeatRequest'), commit: uint, commitTerm: uint, readRound: uint }),
  record({ ...envelope, kind: kind('heartbeatResponse'), readRound: uint }),
  offer,
  record({ ...envelope, kind: kind('timeoutNow') }),
  record({ ...envelope, kind: kind('logLost'), index: uint }),
)

const refused = record({ kind: kind('refused'), reason: fc.constantFrom('notLeader' as const, 'overLimit' as const, 'stopping' as const) })

const peerMessage: fc.Arbitrary<PeerMessage> = fc.oneof(
  record({ kind: kind('consensus'), group, message }),
  record({ kind: kind('proposeRequest'), group, request: uint, data }),
  record({
    kind: kind('proposeResponse'),
    group,
    request: uint,
    outcome: fc.oneof(refused, record({ kind: kind('appended'), index: uint, term: uint })),
  }),
  record({ kind: kind('readRequest'), group, request: uint }),
  record({
    kind: kind('readResponse'),
    group,
    request: uint,
    outcome: fc.oneof(refused, record({ kind: kind('readable'), index: uint })),
  }),
  record({ kind: kind('stateHash'), group, index: uint, hash: fc.nat(2 ** 32 - 1) }),
)

/** Passes, or refuses with a code of its own. */
function survives(decode: () => unknown): void {
  try {
    decode()
  } catch (error) {
    assert.ok(isPlatformError(error, ERROR_CODES.invalid) || isPlatformError(error, ERROR_CODES.dataVersion), String(error))
  }
}

describe('frames between hosts', () => {
  it('every message comes back as it was', () => {
    fc.assert(
      fc.property(fc.array(peerMessage, { maxLength: 8 }), (messages) => {
        assert.deepEqual(decodeFrame(encodeFrame(messages), FROM, TO), messages)
      }),
      { numRuns: 1000 },
    )
    fc.assert(
      fc.property(group, offer, (id, given) => {
        const header = { group: id, offer: given }
        assert.deepEqual(decodeSnapshotHeader(encodeSnapshotHeader(header), FROM, TO), header)
      }),
    )
  })

  it('sender and receiver are those of the connection, whatever the message said', () => {
    const spoken: PeerMessage = { kind: 'consensus', group: 1, message: { kind: 'timeoutNow', from: 77, to: 78, term: 1 } }
    const [heard] = decodeFrame(encodeFrame([spoken]), FROM, TO)
    assert.deepEqual(heard, { ...spoken, message: { ...spoken.message, from: FROM, to: TO } })
  })

  it('M5 the heartbeats of a thousand groups take less than twelve bytes each', () => {
    const beats = Array.from({ length: 1000 }, (_, ordinal): PeerMessage => {
      const beat = {
        kind: 'heartbeatRequest',
        from: FROM,
        to: TO,
        term: 40,
        commit: 1_000_000 + ordinal,
        commitTerm: 40,
        readRound: 90_000,
      } as const
      return { kind: 'consensus', group: 0x1000 + ordinal, message: beat }
    })
    assert.ok(encodeFrame(beats).length < 12_000)
  })

  it('the data of entries are slices of the frame', () => {
    const entry = { index: 1, term: 1, kind: 'normal', data: Buffer.alloc(1000, 1) } as const
    const append = {
      kind: 'appendRequest',
      from: FROM,
      to: TO,
      term: 1,
      previousIndex: 0,
      previousTerm: 0,
      commit: 0,
      sequence: 1,
    } as const
    const frame = encodeFrame([{ kind: 'consensus', group: 1, message: { ...append, entries: [entry] } }])
    const [heard] = decodeFrame(frame, FROM, TO)
    assert.ok(heard?.kind === 'consensus' && heard.message.kind === 'appendRequest')
    assert.equal(heard.message.entries[0]?.data.buffer, frame.buffer)
  })

  it('a frame that was cut short, or of which a byte has changed, is read or refused, and nothing else', () => {
    fc.assert(
      fc.property(
        fc.array(peerMessage, { minLength: 1, maxLength: 4 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (messages, place, flip) => {
          const frame = encodeFrame(messages)
          const at = place % frame.length
          survives(() => decodeFrame(frame.subarray(0, at), FROM, TO))
          frame.writeUInt8((frame[at] as number) ^ flip, at)
          survives(() => decodeFrame(frame, FROM, TO))
        },
      ),
      { numRuns: 2000 },
    )
  })

  it('no bytes at all do harm', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        const frame = Buffer.concat([Buffer.from([1]), bytes])
        survives(() => decodeFrame(frame, FROM, TO))
        survives(() => decodeSnapshotHeader(frame, FROM, TO))
      }),
      { numRuns: 5000 },
    )
  })

  it('a frame of another version, and an empty one, are refused', () => {
    assert.throws(
      () => decodeFrame(Buffer.from([2]), FROM, TO),
      (error) => isPlatformError(error, ERROR_CODES.dataVersion),
    )
    assert.throws(
      () => decodeFrame(Buffer.alloc(0), FROM, TO),
      (error) => isPlatformError(error, ERROR_CODES.invalid),
    )
  })

  it('a count that the bytes do not bear out is refused before anything is made for it', () => {
    // An append request with 2^50 entries.
    const frame = Buffer.from([1, 3, 1, 1, 0, 0, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 2])
    assert.throws(
      () => decodeFrame(frame, FROM, TO),
      (error) => isPlatformError(error, ERROR_CODES.invalid) && /count/.test(error.message),
    )
  })
})
