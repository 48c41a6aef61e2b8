// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isPlatformError } from '../../../src/base/error.ts'
import { ERROR_CODES } from '../../../src/base/error-code.ts'
import { CONF_NONE } from '../../../src/raft/core/message.ts'
import type { RecoveredGroup } from '../../../src/raft/log-store.ts'
import { bootstrapWrite, checkFits, newGroup } from '../../../src/raft/restore.ts'

/** Group 7 with entries 11 to 20, of which 15 are known to be committed. */
const RECOVERED: RecoveredGroup = {
  group: 7,
  hardState: { term: 3, vote: 1, commit: 15 },
  start: { index: 10, term: 2, conf: { ...CONF_NONE, voters: [1] } },
  lastIndex: 20,
  confEntries: [],
}

const damageOf = (recovered: RecoveredGroup, applied: number): string => {
  try {
    checkFits(recovered, applied)
  } catch (error) {
    assert.ok(isPlatformError(error, ERROR_CODES.dataDamaged))
    return error.message
  }
  return 'none'
}

test('a state anywhere in the log fits, known to be committed or not', () => {
  for (const applied of [10, 15, 16, 20]) assert.equal(damageOf(RECOVERED, applied), 'none')
})

test('a log that ends before the state has lost entries that were applied', () => {
  assert.match(
    damageOf(RECOVERED, 21),
    /group 7: the log has lost entries that were applied: the state covers entry 21, .*11 to 20.*remove it/,
  )
})

test('a log that ends before its commit index has lost entries that were committed', () => {
  const recovered = { ...RECOVERED, hardState: { ...RECOVERED.hardState, commit: 21 } }
  assert.match(damageOf(recovered, 15), /group 7: the log has lost entries that were committed: up to 21, .*11 to 20/)
})

test('a state before the start of the log is too old', () => {
  assert.match(damageOf(RECOVERED, 9), /group 7: the state is older than the beginning of the log: it covers entry 9, .*11 to 20/)
})

test('a new group has this node as its only voter and nothing else', () => {
  assert.deepEqual(bootstrapWrite(newGroup(7, 2)), {
    group: 7,
    entries: [],
    hardState: { term: 0, vote: 0, commit: 0 },
    start: { index: 0, term: 0, conf: { ...CONF_NONE, voters: [2] } },
  })
})
