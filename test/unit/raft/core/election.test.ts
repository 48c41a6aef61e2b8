// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Election } from '../../../../src/raft/core/election.ts'

const THREE = { incoming: [1, 2, 3], outgoing: [] }

test('a campaign opens a term with a vote for itself, and without a leader', () => {
  const election = new Election(1, 4, 2, () => 10)
  election.campaign()
  assert.deepEqual([election.role, election.term, election.vote, election.leader], ['candidate', 5, 1, 0])
})

test('a majority of votes wins', () => {
  const election = new Election(1, 0, 0, () => 10)
  election.campaign()
  assert.equal(election.count(1, true, THREE), 'pending')
  assert.equal(election.count(2, true, THREE), 'won')
  election.lead()
  assert.deepEqual([election.role, election.leader], ['leader', 1])
})

test('a vote that arrives twice counts once', () => {
  const election = new Election(1, 0, 0, () => 10)
  election.campaign()
  assert.equal(election.count(2, true, THREE), 'pending')
  assert.equal(election.count(2, true, THREE), 'pending')
  assert.equal(election.count(2, false, THREE), 'pending')
})

test('votes of one term do not count in the next', () => {
  const election = new Election(1, 0, 0, () => 10)
  election.campaign()
  election.count(2, true, THREE)
  election.campaign()
  assert.equal(election.term, 2)
  assert.equal(election.count(1, true, THREE), 'pending')
})

test('a later term takes leadership away and frees the vote (R12)', () => {
  const election = new Election(1, 0, 0, () => 10)
  election.campaign()
  election.count(1, true, { incoming: [1], outgoing: [] })
  election.lead()
  election.follow(7)
  assert.deepEqual([election.role, election.term, election.vote, election.leader], ['follower', 7, 0, 0])
})

test('terms never go back, and roles change only as they may (R10)', () => {
  const election = new Election(1, 3, 0, () => 10)
  assert.throws(() => election.follow(3), /only later terms/)
  assert.throws(() => election.lead(), /only a candidate/)
  assert.throws(() => election.count(1, true, THREE), /only a candidate/)
})
