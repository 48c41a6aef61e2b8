// SPDX-License-Identifier: Apache-2.0
// The checker of watches finds each way in which one can break its promises (T13).
import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { KvEvent, KvItem, KvWatchMessage } from '#contract/client/kv-client'
import { WatchBroken, WatchChecker, type WatchScope } from '../../../../sim/cluster/meta/watch-checker.ts'

const ALL: WatchScope = { prefix: undefined, previousValues: true }

const item = (key: string, value: number, modRevision: number, before?: KvItem): KvItem => ({
  key: Buffer.from(key),
  value: Buffer.from(String(value)),
  createRevision: before?.createRevision ?? modRevision,
  modRevision,
  version: (before?.version ?? 0) + 1,
})

const put = (after: KvItem, previous?: KvItem): KvEvent => ({ kind: 'put', item: after, previous })
const told = (revision: number, ...events: KvEvent[]): KvWatchMessage => ({ kind: 'events', revision, events })
const progress = (revision: number): KvWatchMessage => ({ kind: 'progress', revision })

const A1 = item('a', 1, 1)
const B2 = item('b', 2, 2)
const A3 = item('a', 3, 3, A1)
const HISTORY = [told(1, put(A1)), told(2, put(B2)), told(3, put(A3, A1), put(item('b', 4, 3, B2), B2))]

/** The history, and a second watch of it that is told something else. */
function check(scope: WatchScope, messages: readonly KvWatchMessage[]): void {
  const checker = new WatchChecker()
  const first = checker.watch('first', ALL, 1)
  for (const message of [progress(0), ...HISTORY]) first.tell(message)
  const second = checker.watch('second', scope, 1)
  for (const message of messages) second.tell(message)
  checker.check()
}

const breaks = (messages: readonly KvWatchMessage[], scope = ALL): void => assert.throws(() => check(scope, messages), WatchBroken)

it('T13: watches of the same history, whole or in part, with and without previous values, are accepted', () => {
  check(ALL, [progress(0), ...HISTORY])
  check({ prefix: 'b', previousValues: true }, [progress(0), told(2, put(B2)), told(3, put(item('b', 4, 3, B2), B2))])
  check({ prefix: 'a', previousValues: false }, [progress(0), told(1, put(A1)), progress(2), told(3, put(A3))])
})

it('T13: a revision that is told twice, or after a later one, is found', () => {
  breaks([told(1, put(A1)), told(1, put(A1))])
  breaks([...HISTORY.slice(0, 2), told(1, put(A1))])
})

it('T13: a gap is found, also below a bookmark and in a part of the keys', () => {
  breaks([told(1, put(A1)), HISTORY[2] as KvWatchMessage])
  breaks([told(1, put(A1)), progress(2)])
  breaks([progress(2)], { prefix: 'b', previousValues: true })
})

it('T13: half of a revision is found', () => {
  breaks([...HISTORY.slice(0, 2), told(3, put(A3, A1))])
})

it('T13: a wrong value of before is found', () => {
  const checker = new WatchChecker()
  const watch = checker.watch('first', ALL, 1)
  watch.tell(told(1, put(A1)))
  assert.throws(() => watch.tell(told(2, put(item('a', 2, 2, A1), item('a', 7, 1)))), WatchBroken)
})

it('T13: an event that does not follow from the one before is found', () => {
  const checker = new WatchChecker()
  const watch = checker.watch('first', ALL, 1)
  watch.tell(told(1, put(A1)))
  assert.throws(() => watch.tell(told(2, put(item('a', 2, 2), A1))), WatchBroken)
})

it('T13: keys of somebody else are found', () => {
  breaks([told(2, put(B2))], { prefix: 'a', previousValues: true })
})

it('T13: two watches that tell of one revision differently are found', () => {
  breaks([told(1, put(item('a', 9, 1)))])
})

it('T13: a watch that has not told everything is not complete', () => {
  const checker = new WatchChecker()
  const first = checker.watch('first', ALL, 1)
  const second = checker.watch('second', { prefix: 'b', previousValues: true }, undefined)
  for (const message of HISTORY) first.tell(message)
  assert.equal(checker.isComplete(3), false)
  second.tell(progress(0))
  second.tell(told(2, put(B2)))
  assert.equal(checker.isComplete(3), false)
  second.tell(told(3, put(item('b', 4, 3, B2), B2)))
  assert.equal(checker.isComplete(3), true)
  assert.equal(checker.isComplete(4), false)
})
