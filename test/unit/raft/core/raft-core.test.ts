// SPDX-License-Identifier: Apache-2.0
// What the scripts in test/script/raft do not show: refusals at construction, the contract of ready and advance, and random runs.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { ConfState, Entry } from '../../../../src/raft/core/message.ts'
import { RaftCore } from '../../../../src/raft/core/raft-core.ts'
import { ONE_VOTER, Replica, TIMING, WIDE_LIMITS } from './replica.ts'

const coreOf = (conf: ConfState, changes: { term?: number; lastTerm?: number } = {}): RaftCore =>
  new RaftCore({
    node: 1,
    hardState: { term: changes.term ?? 0, vote: 0, commit: 0 },
    start: { index: 0, term: changes.lastTerm ?? 0, conf },
    lastIndex: 0,
    applied: 0,
    confEntries: [],
    stable: { term: () => undefined },
    limits: WIDE_LIMITS,
    timing: TIMING,
    random: (min) => min,
  })

test('an entry of a later term than the replica is refused (R10)', () => {
  assert.throws(() => coreOf(ONE_VOTER, { term: 1, lastTerm: 2 }), /later term/)
})

test('one ready at a time, each advanced once', () => {
  const replica = new Replica()
  replica.core.tick()
  replica.core.ready()
  assert.equal(replica.core.hasReady(), false)
  assert.throws(() => replica.core.ready(), /advanced before the next/)
  replica.core.advance()
  assert.throws(() => replica.core.advance(), /only a ready that was given out/)
})

test('a state machine that is behind holds back proposers by what it keeps in memory (M8)', () => {
  const replica = new Replica({ ...WIDE_LIMITS, uncommittedBytesMax: 1000, windowBytesMax: 1000 })
  replica.core.tick()
  replica.settle()
  replica.apply()
  const propose = (): string => {
    const { kind } = replica.core.propose(Buffer.alloc(600))
    replica.settle()
    return kind
  }
  assert.deepEqual([propose(), propose(), propose()], ['appended', 'appended', 'refused'])
  replica.apply()
  assert.equal(propose(), 'appended')
})

/** What clients and observers remember through every crash. */
class Observer {
  readonly #replica: Replica
  #term = 0
  #commit = 0
  /** Terms and votes that were durable. */
  readonly #votes = new Map<number, number>()
  /** Every entry that was ever given out as committed. */
  readonly #committed = new Map<number, Entry>()

  constructor(replica: Replica) {
    this.#replica = replica
  }

  /** Whatever happened, these hold. */
  check(): void {
    const { core, hardState, applied } = this.#replica
    assert.ok(hardState.term >= this.#term, 'the durable term never goes back')
    assert.ok(hardState.commit >= this.#commit, 'the durable commit index never goes back')
    this.#term = hardState.term
    this.#commit = hardState.commit
    const vote = this.#votes.get(hardState.term) ?? hardState.vote
    assert.ok(vote === 0 || hardState.vote === vote, 'a vote is given once in a term')
    this.#votes.set(hardState.term, hardState.vote)
    assert.ok(core.applied <= core.commit && core.commit <= core.lastIndex, 'applied <= commit <= last index')
    if (core.role === 'leader') assert.ok(core.term === hardState.term && hardState.vote === 1, 'only a durable vote makes a leader')
    assert.ok(
      core.commit <= Math.max(this.#replica.lastDurable, this.#replica.start.index),
      'nothing is committed before it is durable (R6)',
    )
    applied.forEach((entry, at) => {
      assert.equal(entry.index, at + 1, 'entries are applied in order, none twice and none left out')
      const first = this.#committed.get(entry.index)
      assert.ok(first === undefined || (first.term === entry.term && first.data.equals(entry.data)), 'an index has one entry for ever')
      this.#committed.set(entry.index, entry)
    })
  }
}

type Action = 'tick' | 'propose' | 'write' | 'store' | 'acknowledge' | 'apply' | 'compact' | 'stranger' | 'restart'
const ACTIONS: readonly Action[] = ['tick', 'propose', 'write', 'store', 'acknowledge', 'apply', 'compact', 'stranger', 'restart']

function act(replica: Replica, action: Action, at: number): void {
  const { core } = replica
  const { inFlight } = replica
  switch (action) {
    case 'tick':
      core.tick()
      break
    case 'propose':
      core.propose(Buffer.from(`command ${at}`))
      break
    case 'write':
      if (core.hasReady()) replica.take()
      break
    case 'store':
      if (inFlight !== undefined) replica.store()
      break
    case 'acknowledge':
      if (inFlight === undefined) break
      replica.store()
      replica.acknowledge()
      break
    case 'apply':
      replica.apply(100)
      break
    case 'compact':
      core.compact(core.applied)
      break
    case 'stranger':
      core.step({ kind: 'heartbeatRequest', from: 9, to: 1, term: core.term + 2, commit: 0, commitTerm: 0, readRound: 0 })
      break
    case 'restart':
      replica.restart()
      break
  }
}

test('random interleavings of work, crashes and later terms lose nothing that was committed (R3-R8, R20)', () => {
  const weights = ACTIONS.map((value) => ({
    arbitrary: fc.constant(value),
    weight: value === 'restart' || value === 'stranger' || value === 'compact' ? 1 : 4,
  }))
  fc.assert(
    fc.property(fc.array(fc.oneof(...weights), { minLength: 20, maxLength: 200 }), (actions) => {
      const replica = new Replica()
      const observer = new Observer(replica)
      actions.forEach((action, at) => {
        act(replica, action, at)
        observer.check()
      })
      // Left alone, it finishes: the durable log is applied to its end, and a new command goes through.
      if (replica.inFlight !== undefined) act(replica, 'acknowledge', 0)
      const durable = replica.lastDurable
      replica.restart()
      replica.core.tick()
      replica.settle()
      assert.equal(replica.core.propose(Buffer.from('last')).kind, 'appended')
      replica.settle()
      while (replica.apply().length > 0) observer.check()
      assert.equal(replica.applied.at(-1)?.data.toString(), 'last')
      assert.ok(replica.appliedIndex > durable, 'what was durable is committed in the end')
    }),
    { numRuns: 500, seed: 20_240_601 },
  )
})
