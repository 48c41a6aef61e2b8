// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RaftLog } from '../../../../src/raft/core/log.ts'
import { Progress } from '../../../../src/raft/core/progress.ts'
import { Replication } from '../../../../src/raft/core/replication.ts'
import { ONE_VOTER } from './replica.ts'

const THREE = { incoming: [1, 2, 3], outgoing: [] }

/** Entries 1 and 2 of term 1, and entry 3 of term 4. */
function openLog(): RaftLog {
  const start = { index: 0, term: 0, conf: ONE_VOTER }
  const log = new RaftLog({ stable: { term: () => 1 }, start, lastIndex: 2, commit: 0, applied: 0 })
  log.append(4, 'empty', Buffer.alloc(0))
  return log
}

test('entries of an older term are committed only by one of this term above them (R20, figure 8)', () => {
  const log = openLog()
  const replication = new Replication(log)
  replication.begin(THREE)
  assert.equal(replication.acknowledge(1, 2, 4, THREE), false)
  assert.equal(replication.acknowledge(2, 2, 4, THREE), false, 'a majority has entry 2, but it is of term 1')
  assert.equal(replication.acknowledge(1, 3, 4, THREE), false)
  assert.equal(replication.acknowledge(2, 3, 4, THREE), true)
  assert.equal(log.commit, 3)
})

test('a new term of leadership knows nothing of what was acknowledged in the one before', () => {
  const log = openLog()
  const replication = new Replication(log)
  replication.begin(THREE)
  replication.acknowledge(2, 3, 4, THREE)
  replication.begin(THREE)
  assert.equal(replication.acknowledge(1, 3, 4, THREE), false)
  assert.equal(log.commit, 0)
})

test('who left the configuration before this term of leadership acknowledges nothing', () => {
  const replication = new Replication(openLog())
  replication.begin(THREE)
  replication.begin({ incoming: [1, 3], outgoing: [] })
  assert.throws(() => replication.acknowledge(2, 3, 4, THREE), /only members/)
})

test('nobody acknowledges what the leader does not have', () => {
  const replication = new Replication(openLog())
  replication.begin(THREE)
  assert.throws(() => replication.acknowledge(2, 4, 4, THREE), /does not have/)
})

test('an acknowledgement that is late or repeated does not move progress back', () => {
  const progress = new Progress(3)
  assert.equal(progress.acknowledge(5), true)
  assert.equal(progress.acknowledge(5), false)
  assert.equal(progress.acknowledge(4), false)
  assert.deepEqual([progress.match, progress.next], [5, 6])
})

test('an acknowledgement below what was sent leaves the next entry to send where it is', () => {
  const progress = new Progress(9)
  progress.acknowledge(2)
  assert.deepEqual([progress.match, progress.next], [2, 9])
})
