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

test('proposals come in order of index, and entries without a gap', () => {
  const proposals = new PendingProposals()
  proposals.add(3, 1, new Outcomes().waiter('a'))
  assert.throws(() => proposals.add(3, 1, new Outcomes().waiter('b')), /in order of index/)
  assert.throws(() => proposals.settle(entry(4, 1), ''), /without a gap/)
})
