// SPDX-License-Identifier: Apache-2.0
// Each invariant is shown to be able to fail.
import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import type { Entry, GroupStatus, HardState, LogIndex, NodeId, Term } from '#raft'
import { type Invariant, InvariantBroken, RaftChecker } from '../../../sim/cluster/checker/raft-checker.ts'

const CONF = { voters: [1, 2, 3], learners: [], outgoing: [], learnersNext: [] }
const START = { index: 0, term: 0, conf: CONF }

const entry = (index: LogIndex, term: Term, text = 'x', kind: Entry['kind'] = 'normal'): Entry => ({
  index,
  term,
  kind,
  data: Buffer.from(text),
})

const status = (role: GroupStatus['role'], term: Term, commit: LogIndex, lastIndex = commit): GroupStatus => ({
  id: 1,
  role,
  term,
  leader: 0,
  commit,
  applied: commit,
  lastIndex,
  conf: CONF,
})

const breaks = (invariant: Invariant, act: () => void): void =>
  assert.throws(act, (error) => error instanceof InvariantBroken && error.checker === invariant)

describe('the invariants of a group (RELIABILITY 3.4)', () => {
  let checker: RaftChecker
  const write = (node: NodeId, entries: readonly Entry[], hardState?: HardState): void =>
    checker.written(node, hardState === undefined ? { group: 1, entries } : { group: 1, entries, hardState })

  beforeEach(() => {
    checker = new RaftChecker(1)
    for (const node of CONF.voters) {
      checker.written(node, { group: 1, entries: [], hardState: { term: 1, vote: 0, commit: 0 }, start: START })
    }
  })

  it('a term has one leader', () => {
    checker.status(1, 1, status('leader', 2, 0))
    breaks('election safety', () => checker.status(2, 1, status('leader', 2, 0)))
  })

  it('a replica votes once in a term', () => {
    write(1, [], { term: 2, vote: 2, commit: 0 })
    breaks('monotonic', () => write(1, [], { term: 2, vote: 3, commit: 0 }))
  })

  it('the term does not go back', () => {
    checker.status(1, 1, status('follower', 5, 0))
    breaks('monotonic', () => checker.status(1, 1, status('follower', 4, 0)))
  })

  it('the commit index does not go back in a process, and may after a restart', () => {
    for (const node of [1, 2]) write(node, [entry(1, 1), entry(2, 1)])
    checker.status(1, 1, status('leader', 1, 2))
    checker.status(1, 2, status('follower', 1, 1))
    breaks('monotonic', () => checker.status(1, 2, status('follower', 1, 0)))
  })

  it('only a commit index is written without waiting for it (R5)', () => {
    checker.deferred(1, { group: 1, entries: [], hardState: { term: 1, vote: 0, commit: 5 } })
    breaks('durability', () => checker.deferred(1, { group: 1, entries: [], hardState: { term: 1, vote: 2, commit: 0 } }))
    breaks('durability', () => checker.deferred(1, { group: 1, entries: [], hardState: { term: 2, vote: 0, commit: 0 } }))
    breaks('durability', () => checker.deferred(1, { group: 1, entries: [entry(1, 1)] }))
  })

  it('a vote is there after a restart', () => {
    write(1, [], { term: 2, vote: 2, commit: 0 })
    const recovered = { group: 1, hardState: { term: 2, vote: 0, commit: 0 }, start: START, lastIndex: 0, confEntries: [] }
    breaks('monotonic', () => checker.opened(1, recovered, () => undefined))
  })

  it('an entry that was synced is there after a restart', () => {
    write(1, [entry(1, 1), entry(2, 1)])
    const recovered = { group: 1, hardState: { term: 1, vote: 0, commit: 0 }, start: START, lastIndex: 1, confEntries: [] }
    breaks('durability', () => checker.opened(1, recovered, () => 1))
  })

  it('entries of one index and term are the same everywhere', () => {
    write(1, [entry(1, 1, 'x')])
    breaks('log matching', () => write(2, [entry(1, 1, 'y')]))
  })

  it('entries of one index and term follow on the same entry everywhere', () => {
    write(1, [entry(1, 1), entry(2, 3)])
    breaks('log matching', () => write(2, [entry(1, 2), entry(2, 3)]))
  })

  it('an index is applied with one entry', () => {
    checker.applied(1, entry(1, 1), 7)
    breaks('state machine safety', () => checker.applied(2, entry(1, 2), 7))
  })

  it('one entry gives one state', () => {
    checker.applied(1, entry(1, 1), 7)
    breaks('state machine safety', () => checker.applied(2, entry(1, 1), 8))
  })

  it('what is committed is durable on a majority', () => {
    write(1, [entry(1, 2)])
    breaks('commit', () => checker.status(1, 1, status('leader', 2, 1)))
    write(3, [entry(1, 2)])
    checker.status(1, 2, status('leader', 2, 1))
    assert.equal(checker.commit, 1)
  })

  it('an entry of an older term is not committed by counting (R20, figure 8)', () => {
    for (const node of [1, 2, 3]) write(node, [entry(1, 2)])
    breaks('commit', () => checker.status(1, 1, status('leader', 4, 1)))
  })

  it('both halves of a joint configuration must agree', () => {
    const joint = { ...CONF, voters: [1, 2, 3], outgoing: [1, 4, 5] }
    for (const node of [1, 2, 3]) write(node, [entry(1, 2)])
    breaks('commit', () => checker.status(1, 1, { ...status('leader', 2, 1), conf: joint }))
  })

  it('a new leader has what was committed before', () => {
    for (const node of [1, 2]) write(node, [entry(1, 2)])
    checker.status(1, 1, status('leader', 2, 1))
    checker.status(3, 1, status('leader', 3, 0))
    breaks('leader completeness', () => write(3, [entry(1, 3, '', 'empty')]))
  })

  it('a leader has one change of the membership that is not committed', () => {
    for (const node of [1, 2]) write(node, [entry(1, 2, '', 'empty')])
    checker.status(1, 1, status('leader', 2, 1))
    write(1, [entry(2, 2, 'a', 'conf')])
    checker.status(1, 1, status('leader', 2, 1, 2))
    write(1, [entry(3, 2, 'b', 'conf')])
    breaks('membership', () => checker.status(1, 2, status('leader', 2, 1, 3)))
  })

  it('a leader changes the membership only after it has committed an entry of its term (R33)', () => {
    for (const node of [1, 2]) write(node, [entry(1, 1)])
    checker.status(1, 1, status('leader', 2, 0))
    write(1, [entry(2, 2)])
    write(2, [entry(2, 2)])
    checker.status(1, 1, status('leader', 2, 2))
    write(1, [entry(3, 2, 'change', 'conf')])
    checker.status(2, 1, status('leader', 3, 2))
    breaks('membership', () => write(2, [entry(3, 3), entry(4, 3, 'change', 'conf')]))
  })

  it('what a node acknowledged before its disk was lost counts for what is committed by that', () => {
    for (const node of [1, 2]) write(node, [entry(1, 2)])
    checker.lost(2)
    checker.status(1, 1, status('leader', 2, 1))
    assert.equal(checker.commit, 1)
  })
})
