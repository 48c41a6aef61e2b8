// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RaftLog } from '../../../../src/raft/core/log.ts'
import { Membership } from '../../../../src/raft/core/membership.ts'
import { CONF_NONE } from '../../../../src/raft/core/message.ts'
import { Outbox } from '../../../../src/raft/core/outbox.ts'
import { Progress } from '../../../../src/raft/core/progress.ts'
import { Replication } from '../../../../src/raft/core/replication.ts'
import { WIDE_LIMITS } from './replica.ts'

const LIMITS = { inflightMessagesMax: 2, inflightBytesMax: 1000 }

/** Entries 1 and 2 of term 1, and entry 3 of term 4, led by node 1 of three in term 4. */
function lead(): { readonly log: RaftLog; readonly replication: Replication } {
  const start = { index: 0, term: 0, conf: { ...CONF_NONE, voters: [1, 2, 3] } }
  const log = new RaftLog({ stable: { term: () => 1 }, start, lastIndex: 2, commit: 0, applied: 0 })
  log.append(4, 'empty', Buffer.alloc(0))
  const membership = new Membership(1, start, 0, [])
  const replication = new Replication({ node: 1, log, membership, outbox: new Outbox(), limits: WIDE_LIMITS })
  replication.begin(4)
  return { log, replication }
}

test('entries of an older term are committed only by one of this term above them (R20, figure 8)', () => {
  const { log, replication } = lead()
  assert.equal(replication.acknowledge(1, 2), false)
  assert.equal(replication.acknowledge(2, 2), false, 'a majority has entry 2, but it is of term 1')
  assert.equal(replication.acknowledge(1, 3), false)
  assert.equal(replication.acknowledge(2, 3), true)
  assert.equal(log.commit, 3)
})

test('a new term of leadership knows nothing of what was acknowledged in the one before', () => {
  const { log, replication } = lead()
  replication.acknowledge(2, 3)
  replication.begin(4)
  assert.equal(replication.acknowledge(1, 3), false)
  assert.equal(log.commit, 0)
})

test('who is no member acknowledges nothing', () => {
  const { log, replication } = lead()
  replication.acknowledge(1, 3)
  assert.equal(replication.acknowledge(9, 3), false)
  assert.equal(log.commit, 0)
})

test('nobody acknowledges what the leader does not have', () => {
  const { replication } = lead()
  assert.throws(() => replication.acknowledge(2, 4), /does not have/)
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

test('a probe is one question at a time, and is asked again when the replica is heard (R23)', () => {
  const progress = new Progress(5)
  assert.equal(progress.isPaused, false)
  progress.sent(0, 0, 0)
  assert.equal(progress.isPaused, true)
  progress.resume(9)
  assert.equal(progress.isPaused, false)
})

test('what is under way is bounded in messages and bytes, and acknowledgements make room (R9)', () => {
  const progress = new Progress(1)
  progress.replicate()
  progress.sent(2, 100, 0)
  assert.equal(progress.isFull(LIMITS), false)
  progress.sent(1, 100, 0)
  assert.equal(progress.isFull(LIMITS), true)
  progress.acknowledge(2)
  assert.equal(progress.isFull(LIMITS), false)
  progress.sent(1, 1000, 0)
  assert.equal(progress.isFull(LIMITS), true)
})

test('a full window still owes a word to a replica that is heard: what it holds may be lost in the network (R23)', () => {
  const progress = new Progress(1)
  progress.replicate()
  progress.sent(2, 100, 0)
  progress.sent(1, 100, 0)
  assert.equal(progress.owesNews(0), false)
  progress.resume(3)
  assert.equal(progress.owesNews(0), true)
})

test('only a refusal of what was sent after an acknowledgement accuses of having forgotten it (R46)', () => {
  const progress = new Progress(1)
  progress.acknowledge(5, 7)
  assert.equal(progress.isAmnesia(2, 7), false, 'the request was on its way when the entries were stored')
  assert.equal(progress.isAmnesia(5, 8), false)
  assert.equal(progress.isAmnesia(4, 8), true)
})
