// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { entryCostBytes, RaftLog, type RaftLogOptions } from '../../../../src/raft/core/log.ts'
import { ONE_VOTER } from './replica.ts'

const DATA = Buffer.from('data')

/** A log whose entries up to `lastIndex` are stored and of term 1. */
const openLog = (options: Partial<RaftLogOptions> = {}): RaftLog =>
  new RaftLog({
    stable: { term: (index) => (index <= (options.lastIndex ?? 0) ? 1 : undefined) },
    start: { index: 0, term: 0, conf: ONE_VOTER },
    lastIndex: 0,
    commit: 0,
    applied: 0,
    ...options,
  })

test('an entry is given out to be written once', () => {
  const log = openLog()
  log.append(1, 'normal', DATA)
  log.append(1, 'normal', DATA)
  assert.deepEqual(
    log.handOut().map(({ index }) => index),
    [1, 2],
  )
  assert.equal(log.hasUnhanded, false)
  log.append(1, 'normal', DATA)
  assert.deepEqual(
    log.handOut().map(({ index }) => index),
    [3],
  )
})

test('terms are those of memory above and of the store below, and unknown outside of the log', () => {
  const log = openLog({ start: { index: 3, term: 1, conf: ONE_VOTER }, lastIndex: 5, commit: 5, applied: 5 })
  log.append(4, 'normal', DATA)
  assert.deepEqual(
    [2, 3, 5, 6, 7].map((index) => log.term(index)),
    [undefined, 1, 1, 4, undefined],
  )
  assert.equal(log.lastTerm, 4)
})

test('a committed entry is not given to the state machine before it is durable here (R6)', () => {
  const log = openLog()
  log.append(1, 'normal', DATA)
  log.handOut()
  log.commitTo(1)
  assert.equal(log.nextCommitted(1000), undefined)
  log.stableTo(1, 1)
  assert.equal(log.nextCommitted(1000)?.kind, 'held')
})

test('an acknowledgement of an entry that has another term now says nothing (R7)', () => {
  const log = openLog()
  log.append(2, 'normal', DATA)
  log.handOut()
  log.stableTo(1, 1)
  assert.equal(log.stableIndex, 0)
  log.stableTo(1, 2)
  assert.equal(log.stableIndex, 1)
})

test('entries leave memory when they are durable and applied, not before', () => {
  const log = openLog()
  log.append(1, 'normal', DATA)
  log.append(1, 'normal', DATA)
  log.handOut()
  log.stableTo(2, 1)
  log.commitTo(2)
  assert.equal(log.windowBytes, 2 * entryCostBytes(DATA))
  log.appliedTo(1)
  assert.equal(log.windowBytes, entryCostBytes(DATA))
  log.appliedTo(2)
  assert.equal(log.windowBytes, 0)
})

test('a follower whose state machine is behind lets go of what it can read again, and of nothing else (R9)', () => {
  const log = openLog()
  for (let count = 0; count < 4; count++) log.append(1, 'normal', DATA)
  log.handOut()
  log.stableTo(3, 1)
  log.commitTo(2)
  log.shrink(0)
  assert.equal(log.windowBytes, 2 * entryCostBytes(DATA), 'entry 3 may yet be replaced, and entry 4 is not durable')
  assert.deepEqual(log.nextCommitted(1000), { kind: 'stored', from: 1, to: 3 })
  log.appliedTo(2)
  log.stableTo(4, 1)
  log.commitTo(4)
  log.appliedTo(4)
  assert.deepEqual([log.windowBytes, log.uncommittedBytes], [0, 0])
})

test('a follower that is a little behind is served from memory, up to a bound (R42)', () => {
  const log = openLog()
  log.keepTrailing(2 * entryCostBytes(DATA))
  for (let count = 0; count < 4; count++) log.append(1, 'normal', DATA)
  log.handOut()
  log.stableTo(4, 1)
  log.commitTo(4)
  log.appliedTo(4)
  assert.deepEqual([log.heldFrom, log.windowBytes], [3, 0])
  assert.equal(log.heldEntries(3, 1000).length, 2)
  log.keepTrailing(0)
  assert.equal(log.heldFrom, 5)
})

test('entries of a leader that has lost are replaced from where they differ, and not before (R22)', () => {
  const log = openLog({ lastIndex: 3, commit: 1, applied: 1 })
  const entry = (index: number, term: number) => ({ index, term, kind: 'normal', data: DATA }) as const
  assert.equal(log.accept([entry(2, 1), entry(3, 1)]), undefined)
  assert.equal(log.accept([entry(2, 1), entry(3, 2), entry(4, 2)]), 3)
  assert.deepEqual([log.term(2), log.term(3), log.term(4), log.stableIndex], [1, 2, 2, 2])
  assert.deepEqual(
    log.handOut().map(({ index }) => index),
    [3, 4],
  )
  assert.throws(() => log.accept([entry(1, 2)]), /what is committed is never replaced/)
})

test('only what is above the commit index counts as uncommitted (R9)', () => {
  const log = openLog()
  log.append(1, 'normal', DATA)
  log.append(1, 'normal', Buffer.alloc(100))
  log.handOut()
  log.stableTo(2, 1)
  log.commitTo(1)
  assert.equal(log.uncommittedBytes, entryCostBytes(Buffer.alloc(100)))
})

test('entries of an earlier life come from the store, later ones from memory', () => {
  const log = openLog({ lastIndex: 3, commit: 2, applied: 1 })
  log.append(2, 'empty', Buffer.alloc(0))
  log.handOut()
  assert.deepEqual(log.nextCommitted(1000), { kind: 'stored', from: 2, to: 3 })
  log.stableTo(4, 2)
  log.commitTo(4)
  assert.deepEqual(log.nextCommitted(1000), { kind: 'stored', from: 2, to: 4 })
  log.appliedTo(3)
  const page = log.nextCommitted(1000)
  assert.deepEqual(page?.kind === 'held' && page.entries.map(({ index }) => index), [4])
})

test('a page has at least one entry and then at most its bytes (R9)', () => {
  const log = openLog()
  for (let count = 0; count < 4; count++) log.append(1, 'normal', DATA)
  log.handOut()
  log.stableTo(4, 1)
  log.commitTo(4)
  const pageLength = (bytesMax: number): number => {
    const page = log.nextCommitted(bytesMax)
    return page?.kind === 'held' ? page.entries.length : 0
  }
  assert.equal(pageLength(1), 1)
  assert.equal(pageLength(3 * entryCostBytes(DATA)), 3)
  assert.equal(pageLength(1_000_000), 4)
})

test('marks never go back, and never pass each other (R10)', () => {
  const log = openLog({ lastIndex: 3, commit: 2, applied: 2 })
  assert.equal(log.commitTo(1), false)
  assert.equal(log.commit, 2)
  assert.throws(() => log.commitTo(4), /commit <= last index/)
  assert.throws(() => log.appliedTo(1), /never goes back/)
  assert.throws(() => log.appliedTo(3), /committed and durable/)
  assert.throws(() => log.compact(3, ONE_VOTER), /only up to what is in the state machine/)
  assert.throws(() => openLog({ lastIndex: 1, commit: 2 }), /start <= applied <= commit <= last index/)
})

test('the start moves up to an applied entry and takes its term', () => {
  const log = openLog({ lastIndex: 3, commit: 3, applied: 2 })
  assert.equal(log.compact(2, ONE_VOTER), true)
  assert.deepEqual(log.start, { index: 2, term: 1, conf: ONE_VOTER })
  assert.equal(log.compact(2, ONE_VOTER), false)
  assert.equal(log.term(1), undefined)
})
