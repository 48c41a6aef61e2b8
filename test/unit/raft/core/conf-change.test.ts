// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  type ConfChange,
  changedConf,
  decodeConfChange,
  encodeConfChange,
  LEAVE_JOINT,
  membersOf,
} from '../../../../src/raft/core/conf-change.ts'
import { CONF_NONE, type ConfState } from '../../../../src/raft/core/message.ts'

const THREE: ConfState = { ...CONF_NONE, voters: [1, 2, 3], learners: [4] }
const add = (node: number): ConfChange[number] => ({ kind: 'addVoter', node })
const learn = (node: number): ConfChange[number] => ({ kind: 'addLearner', node })
const remove = (node: number): ConfChange[number] => ({ kind: 'remove', node })

test('a change is the same after the log', () => {
  const change = [add(1), learn(2 ** 40), remove(3)]
  assert.deepEqual(decodeConfChange(encodeConfChange(change)), change)
  assert.deepEqual(decodeConfChange(encodeConfChange(LEAVE_JOINT)), [])
  assert.throws(() => decodeConfChange(Buffer.from([9, 0, 0, 0, 0, 0, 0, 0, 1])), /operation on the membership is known/)
  assert.throws(() => decodeConfChange(Buffer.alloc(8)), /list of operations/)
})

test('one operation on voters takes effect at once, any number on learners too (R32)', () => {
  assert.deepEqual(changedConf(THREE, [add(4)]), { ...CONF_NONE, voters: [1, 2, 3, 4] })
  assert.deepEqual(changedConf(THREE, [remove(3), remove(4)]), { ...CONF_NONE, voters: [1, 2] })
  assert.deepEqual(changedConf(THREE, [learn(3)]), { ...CONF_NONE, voters: [1, 2], learners: [3, 4] })
  assert.deepEqual(changedConf(THREE, [learn(5), learn(6)]), { ...THREE, learners: [4, 5, 6] })
})

test('several take effect by joint consensus; who is to be a learner is a voter of the old half until that ends (R32)', () => {
  const joint = changedConf(THREE, [add(5), learn(1), remove(2)])
  assert.deepEqual(joint, { voters: [3, 5], learners: [4], outgoing: [1, 2, 3], learnersNext: [1] })
  assert.deepEqual(membersOf(joint as ConfState), [1, 2, 3, 4, 5])
  assert.deepEqual(changedConf(joint as ConfState, LEAVE_JOINT), { ...CONF_NONE, voters: [3, 5], learners: [1, 4] })
  assert.equal(changedConf(joint as ConfState, [add(6)]), undefined, 'one change at a time')
})

test('the first change of an empty group names its voters at once', () => {
  assert.deepEqual(changedConf(CONF_NONE, [add(2), add(1), add(3)]), { ...CONF_NONE, voters: [1, 2, 3] })
})

test('what cannot be made, or changes nothing, is refused', () => {
  const refused: readonly ConfChange[] = [
    [],
    [remove(1), remove(2), remove(3)],
    [add(5), remove(1), remove(2), remove(3)],
    [remove(9)],
    [add(1)],
    [learn(4)],
    [add(5), remove(5)],
    [add(0)],
    [add(1.5)],
  ]
  for (const change of refused) assert.equal(changedConf(THREE, change), undefined, JSON.stringify(change))
})
