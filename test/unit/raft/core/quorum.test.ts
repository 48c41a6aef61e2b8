// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { committedIndex, INDEX_MAX, isOnlyVoter, majority, voteResult } from '../../../../src/raft/core/quorum.ts'

const matched =
  (...indexes: readonly number[]) =>
  (voter: number): number | undefined =>
    indexes[voter - 1]

test('any two majorities of the same voters overlap', () => {
  for (let count = 1; count <= 9; count++) assert.ok(majority(count) * 2 > count && (majority(count) - 1) * 2 <= count)
})

test('an index is committed when a majority has it', () => {
  assert.equal(committedIndex({ incoming: [1], outgoing: [] }, matched(7)), 7)
  assert.equal(committedIndex({ incoming: [1, 2], outgoing: [] }, matched(7, 3)), 3)
  assert.equal(committedIndex({ incoming: [1, 2, 3], outgoing: [] }, matched(7, 3, 5)), 5)
  assert.equal(committedIndex({ incoming: [1, 2, 3, 4], outgoing: [] }, matched(7, 3, 5, 9)), 5)
})

test('a voter that was never heard of has nothing', () => {
  assert.equal(committedIndex({ incoming: [1, 2, 3], outgoing: [] }, matched(7)), 0)
})

test('a joint quorum needs a majority of the old and of the new voters (R32)', () => {
  assert.equal(committedIndex({ incoming: [1, 2, 3], outgoing: [3, 4, 5] }, matched(9, 9, 9, 2, 4)), 4)
  assert.equal(committedIndex({ incoming: [], outgoing: [] }, matched()), INDEX_MAX)
})

test('an election is pending until a majority says yes, or can no longer do so', () => {
  const votes = (answers: readonly (boolean | undefined)[]) =>
    voteResult({ incoming: [1, 2, 3], outgoing: [] }, (voter) => answers[voter - 1])
  assert.equal(votes([true]), 'pending')
  assert.equal(votes([true, undefined, true]), 'won')
  assert.equal(votes([true, false]), 'pending')
  assert.equal(votes([true, false, false]), 'lost')
})

test('a joint election is lost when either half refuses (R32)', () => {
  const sets = { incoming: [1, 2], outgoing: [2, 3, 4] }
  assert.equal(
    voteResult(sets, (voter) => voter <= 2),
    'lost',
  )
  assert.equal(
    voteResult(sets, (voter) => (voter <= 3 ? true : undefined)),
    'won',
  )
  assert.equal(
    voteResult(sets, (voter) => (voter <= 2 ? true : undefined)),
    'pending',
  )
})

test('the only voter is alone in both halves', () => {
  assert.equal(isOnlyVoter({ incoming: [1], outgoing: [] }, 1), true)
  assert.equal(isOnlyVoter({ incoming: [1], outgoing: [] }, 2), false)
  assert.equal(isOnlyVoter({ incoming: [1], outgoing: [1, 2] }, 1), false)
  assert.equal(isOnlyVoter({ incoming: [1, 2], outgoing: [] }, 1), false)
})
