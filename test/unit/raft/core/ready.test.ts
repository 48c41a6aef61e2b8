// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Persisted } from '../../../../src/raft/core/ready.ts'
import { ONE_VOTER } from './replica.ts'

const START = { index: 2, term: 1, conf: ONE_VOTER }
const open = (): Persisted => new Persisted({ term: 3, vote: 1, commit: 5 }, START)

test('a term, a vote or a start is worth a write, a commit index alone is not (R5)', () => {
  const persisted = open()
  assert.equal(persisted.isBehind(3, 1, START), false)
  assert.equal(persisted.isBehind(4, 1, START), true)
  assert.equal(persisted.isBehind(3, 2, START), true)
  assert.equal(persisted.isBehind(3, 1, { ...START, index: 4 }), true)
})

test('a hard state is given out once', () => {
  const persisted = open()
  const next = { term: 3, vote: 1, commit: 6 }
  assert.equal(persisted.changedHardState(next), next)
  assert.equal(persisted.changedHardState({ ...next }), undefined)
})

test('term, vote, commit and start never go back (R10)', () => {
  assert.throws(() => open().changedHardState({ term: 2, vote: 1, commit: 5 }), /term never goes back/)
  assert.throws(() => open().changedHardState({ term: 3, vote: 2, commit: 5 }), /vote is given once/)
  assert.throws(() => open().changedHardState({ term: 4, vote: 2, commit: 4 }), /commit index never goes back/)
  assert.throws(() => open().changedStart({ ...START, index: 1 }), /start of the log never goes back/)
})

test('a vote may be given where none was, in the same term', () => {
  const persisted = new Persisted({ term: 3, vote: 0, commit: 5 }, START)
  assert.deepEqual(persisted.changedHardState({ term: 3, vote: 2, commit: 5 }), { term: 3, vote: 2, commit: 5 })
})
