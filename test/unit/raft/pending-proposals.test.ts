// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Entry } from '../../../src/raft/core/message.ts'
import { PendingProposals } from '../../../src/raft/pending-proposals.ts'
import { Outcomes } from './fakes.ts'

const entry = (index: number, term: number): Entry => ({ index, term, kind: 'normal', data: Buffer.alloc(0) })

test('an entry settles the proposal of its index and term, and entries nobody waits for settle nothing', () => {
  const proposals = new PendingProposals()
  const outcomes = new Outcomes()
  proposals.add(3, 1, outcomes.waiter('a'))
  proposals.add(5, 1, outcomes.waiter('b'))
  for (let index = 1; index <= 5; index++) proposals.settle(entry(index, 1), index * 10)
  assert.deepEqual(outcomes.told, ['a committed at 3: 30', 'b committed at 5: 50'])
  assert.equal(proposals.count, 0)
})

test('an entry of another term in the place of a proposal fails it: it can never be committed', () => {
  const proposals = new PendingProposals()
  const outcomes = new Outcomes()
  proposals.add(3, 1, outcomes.waiter('a'))
  proposals.settle(entry(3, 2), 'reply of another command')
  assert.deepEqual(outcomes.told, ['a failed: not-leader'])
})

test('thousands of proposals are settled in order, whoever adds more meanwhile', () => {
  const proposals = new PendingProposals()
  const outcomes = new Outcomes()
  for (let index = 1; index <= 3000; index++) proposals.add(index, 1, outcomes.waiter(String(index)))
  for (let index = 1; index <= 2000; index++) proposals.settle(entry(index, 1), '')
  for (let index = 3001; index <= 4000; index++) proposals.add(index, 1, outcomes.waiter(String(index)))
  assert.equal(proposals.count, 2000)
  for (let index = 2001; index <= 4000; index++) proposals.settle(entry(index, 1), '')
  assert.deepEqual(
    outcomes.told,
    Array.from({ length: 4000 }, (_, at) => `${at + 1} committed at ${at + 1}: `),
  )
})

test('an entry of a later term fails everyone above it who waits for an older one: terms never decrease along a log', () => {
  const proposals = new PendingProposals()
  const outcomes = new Outcomes()
  proposals.add(3, 1, outcomes.waiter('a'))
  proposals.add(7, 1, outcomes.waiter('b'))
  proposals.add(8, 2, outcomes.waiter('c'))
  proposals.settle(entry(3, 2), '')
  assert.deepEqual(outcomes.told, ['a failed: not-leader', 'b failed: not-leader'])
  proposals.settle(entry(8, 2), 'yes')
  assert.deepEqual(outcomes.told.slice(2), ['c committed at 8: yes'])
})

test('answers of a leader that come in another order than its log find their place', () => {
  const proposals = new PendingProposals()
  const outcomes = new Outcomes()
  for (const index of [5, 3, 4]) proposals.add(index, 1, outcomes.waiter(String(index)))
  for (const index of [3, 4, 5]) proposals.settle(entry(index, 1), '')
  assert.deepEqual(outcomes.told, ['3 committed at 3: ', '4 committed at 4: ', '5 committed at 5: '])
})

test('whoever waits too long, or for what a snapshot has replaced, is told that the outcome is unknown', () => {
  const proposals = new PendingProposals()
  const outcomes = new Outcomes()
  proposals.add(3, 1, outcomes.waiter('replaced'), 20)
  proposals.add(4, 1, outcomes.waiter('old'), 5)
  proposals.add(9, 1, outcomes.waiter('young'), 20)
  proposals.abandon(10, 3)
  assert.deepEqual(outcomes.told, ['replaced failed: outcome-unknown', 'old failed: outcome-unknown'])
  assert.equal(proposals.count, 1)
})
