// SPDX-License-Identifier: Apache-2.0
// What no honest leader sends: a replica that hears it has lost log, or meets a bug, and stops before it does harm (R10, R22, R25).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Entry } from '../../../../src/raft/core/message.ts'
import { confOf, Member } from './member.ts'
import { WIDE_LIMITS } from './replica.ts'

const entry = (index: number, term: number): Entry => ({ index, term, kind: 'normal', data: Buffer.alloc(0) })

/** Node 1 of three, with entries 1 and 2 of term 1, of which the first is committed. */
function follower(): Member {
  const start = { index: 0, term: 0, conf: confOf([1, 2, 3]) }
  const disk = { hardState: { term: 1, vote: 0, commit: 1 }, start, entries: [entry(1, 1), entry(2, 1)] }
  const options = { node: 1, limits: WIDE_LIMITS, timing: { electionTicks: 10, heartbeatTicks: 1 }, random: (min: number) => min }
  return new Member(options, disk)
}

const append = (previousIndex: number, entries: readonly Entry[]) =>
  ({ kind: 'appendRequest', from: 2, to: 1, term: 2, previousIndex, previousTerm: 1, entries, commit: 0, sequence: 1 }) as const

const heartbeat = (commit: number, commitTerm: number) =>
  ({ kind: 'heartbeatRequest', from: 2, to: 1, term: 2, commit, commitTerm, readRound: 0 }) as const

test('a commit index beyond the log says that this replica has lost what it acknowledged: it stops (R25)', () => {
  assert.throws(() => follower().step(heartbeat(3, 2)), { name: 'LogLost', acknowledged: 3, found: 2 })
  assert.throws(() => follower().step(heartbeat(3, 0)), { name: 'LogLost', acknowledged: 3, found: 2 })
})

test('so does another entry than its own at the commit index, which would be applied (R25, R21)', () => {
  assert.throws(() => follower().step(heartbeat(2, 2)), { name: 'LogLost', acknowledged: 2, found: 2 })
  const member = follower()
  member.step(heartbeat(1, 7))
  assert.equal(member.up.commit, 1, 'what is committed here is not asked about')
  member.step(heartbeat(2, 1))
  assert.equal(member.up.commit, 2)
})

test('a replica that is told that it does not hold what it acknowledged stops, in whatever term it is told (R46)', () => {
  const told = (index: number, term: number) => ({ kind: 'logLost', from: 2, to: 1, term, index }) as const
  assert.throws(() => follower().step(told(2, 0)), { name: 'LogLost', acknowledged: 2, found: 2 })
  assert.throws(() => follower().step(told(9, 7)), { name: 'LogLost', acknowledged: 9, found: 2 })
  const member = follower()
  member.step(told(1, 7))
  assert.equal(member.up.term, 1, 'what is committed here it holds, and the term is nobody else’s')
})

test('a commit index beyond what a request has verified is not taken over (R21)', () => {
  const member = follower()
  member.step({ ...append(1, []), commit: 2 })
  assert.equal(member.up.commit, 1)
})

test('entries that do not follow on the one they are said to follow stop the replica', () => {
  assert.throws(() => follower().step(append(1, [entry(3, 2)])), /entries follow on the one/)
})

test('two leaders in one term stop the replica (R10)', () => {
  const member = follower()
  member.step(append(1, []))
  assert.throws(() => member.step({ ...append(1, []), from: 3 }), /a term has one leader/)
})

test('a snapshot whose configuration lacks this replica is not installed (R41)', () => {
  const member = follower()
  const start = { index: 9, term: 2, conf: confOf([2, 3]) }
  member.step({ kind: 'snapshotOffer', from: 2, to: 1, term: 2, start, formatVersion: 0 })
  assert.deepEqual([member.up.commit, member.up.lastIndex], [1, 2])
})

test('an answer leaves at once when everything before it is durable, and else with what must be written first (R3)', () => {
  const member = follower()
  member.step(append(1, []))
  member.collect()
  assert.deepEqual(member.sent, [], 'the later term is not durable')
  member.write()
  member.written()
  assert.equal(member.sent.splice(0).length, 1)
  member.step(append(1, []))
  member.collect()
  assert.equal(member.sent.length, 1)
  assert.equal(member.up.hasReady(), false)
})
