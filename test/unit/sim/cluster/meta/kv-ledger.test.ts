// SPDX-License-Identifier: Apache-2.0
// The ledger of writes finds those that were lost, done twice, done in parts, done although refused, and those out of order (R54).
import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { KvEvent } from '#contract/client/kv-client'
import { KvLedger, type KvWrite, WriteBroken, type WriteOutcome } from '../../../../sim/cluster/meta/kv-ledger.ts'

const put = (key: string, value: number, revision: number): KvEvent => ({
  kind: 'put',
  item: { key: Buffer.from(key), value: Buffer.from(String(value)), createRevision: 1, modRevision: revision, version: 1 },
  previous: undefined,
})

const write = (values: Record<string, number>, outcome: WriteOutcome, called = 0, returned = 1): KvWrite => ({
  values: new Map(Object.entries(values)),
  called,
  returned,
  outcome,
})

const done = (revision: number): WriteOutcome => ({ kind: 'done', revision })

function check(
  writes: readonly KvWrite[],
  changes: readonly (readonly KvEvent[])[],
  read?: readonly [called: number, revision: number],
): void {
  const ledger = new KvLedger()
  for (const each of writes) ledger.wrote(each)
  if (read !== undefined) ledger.read(...read)
  ledger.check(new Map(changes.map((events, at) => [at + 1, events])))
}

const AB = write({ a: 1, b: 2 }, done(1))

it('R54: writes that are there once, and unknown ones that are there or not, are accepted', () => {
  check([AB, write({ a: 3 }, { kind: 'unknown' })], [[put('a', 1, 1), put('b', 2, 1)]], [2, 1])
  check([AB, write({ a: 3 }, { kind: 'unknown' })], [[put('a', 1, 1), put('b', 2, 1)], [put('a', 3, 2)]], [2, 2])
})

it('R54: a write that is done twice is found', () => {
  assert.throws(() => check([write({ a: 1 }, done(1))], [[put('a', 1, 1)], [put('a', 1, 2)]]), WriteBroken)
})

it('R54: an acknowledged write that is lost is found', () => {
  assert.throws(() => check([write({ a: 1 }, done(1))], []), WriteBroken)
})

it('R54: a write whose client was told another revision is found', () => {
  assert.throws(() => check([write({ a: 1 }, done(2))], [[put('a', 1, 1)]]), WriteBroken)
})

it('R54: a refused write that was done is found', () => {
  assert.throws(() => check([write({ a: 1 }, { kind: 'refused' })], [[put('a', 1, 1)]]), WriteBroken)
})

it('R54: half of a transaction is found', () => {
  assert.throws(() => check([AB], [[put('a', 1, 1)]]), WriteBroken)
  assert.throws(() => check([AB], [[put('a', 1, 1)], [put('b', 2, 2)]]), WriteBroken)
})

it('R54: a value that nobody wrote is found', () => {
  assert.throws(() => check([], [[put('a', 1, 1)]]), WriteBroken)
})

it('T12: revisions that go back in real time are found', () => {
  const later = [write({ a: 1 }, done(2), 0, 1), write({ a: 2 }, done(1), 2, 3)]
  assert.throws(() => check(later, [[put('a', 2, 1)], [put('a', 1, 2)]]), WriteBroken)
})

it('T12: a read of a state that is older than what was acknowledged before is found', () => {
  assert.throws(() => check([AB], [[put('a', 1, 1), put('b', 2, 1)]], [2, 0]), WriteBroken)
})
