// SPDX-License-Identifier: Apache-2.0
// D5: what a save of a session's cursors holds, and where a session goes on in logs that came while its client was away.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Cursor, Subscription } from '#contract/record/session'
import { OutboundWindow } from '../../../../../src/broker/handler/mqtt/outbound-window.ts'
import { SessionCursors } from '../../../../../src/broker/handler/mqtt/session-cursors.ts'
import { ConcernedLogs } from '../../../../../src/broker/message/concerned-logs.ts'
import { durableLogsOf } from '../../../../../src/broker/message/durable-logs.ts'
import { batchOf, DURABLE, FakeShardStore, PASSING } from '../../message/shard-store-fake.ts'

function setUp() {
  const store = new FakeShardStore()
  const restored: string[] = []
  const followed = [DURABLE, PASSING]
  const outbound = new OutboundWindow(10)
  const cursors = new SessionCursors({
    context: { store, durableLogs: durableLogsOf(store) },
    persistent: true,
    consumer: {
      positions: () => followed.map((log) => ({ log, next: store.extent(log).end })),
      position: (log) => store.extent(log).end,
      restore: (log, next, seen) => void restored.push(`${log}: ${next}, ${seen}`),
    },
    outbound,
    shared: { stored: (entry) => entry },
    replays: { placesIn: () => [] },
  })
  const saved = (leaving = false): number[] => cursors.unsaved(leaving).cursors.map(({ log }) => log)
  return { store, cursors, outbound, restored, followed, saved }
}

const subscriptionTo = (filter: string, since: Subscription['since']): Subscription => ({
  filter,
  qos: 1,
  noLocal: false,
  retainAsPublished: false,
  identifier: 0,
  since,
})

const cursorOf = (log: number, next: number): Cursor => ({ log, next, seen: next, inFlight: [] })

test('a save holds the logs that have moved since they were saved, and all that have something in flight', () => {
  const { store, cursors, outbound, saved } = setUp()
  const [a, b, c] = ['a', 'b', 'c'].map((topic) => store.create(topic)) as [number, number, number]
  assert.deepEqual(saved(), [])
  cursors.mark(a)
  const packetId = outbound.push(b, 0, 1)
  assert.deepEqual(saved(), [a, b])
  const { mark } = cursors.unsaved(false)
  cursors.mark(c)
  assert.deepEqual(saved(), [a, c, b], 'a save that is under way has saved nothing yet')
  cursors.saved(mark)
  assert.deepEqual(saved(), [c, b])
  outbound.finish(packetId)
  cursors.mark(b)
  assert.deepEqual(saved(), [c, b])
  cursors.saved(cursors.unsaved(false).mark)
  assert.deepEqual(saved(), [])
})

test('the order of sending is that of one moment, over all logs with something in flight', () => {
  const { store, cursors, outbound } = setUp()
  const own = store.create('a')
  const first = outbound.push(own, 0, 1)
  outbound.push(DURABLE, 0, 1)
  outbound.push(own, 1, 1)
  cursors.saved(cursors.unsaved(false).mark)
  outbound.finish(first)
  cursors.mark(own)
  const orders = cursors.unsaved(false).cursors.map(({ log, inFlight }) => [log, inFlight.map(({ order }) => order)])
  assert.deepEqual(orders, [
    [own, [1]],
    [DURABLE, [0]],
  ])
})

test('with the client goes the place in every durable log that it shares with others', () => {
  const { store, followed, saved } = setUp()
  followed.push(store.create('a'))
  assert.deepEqual(saved(true), [DURABLE])
})

test('a session goes on at its cursors, where its subscriptions began, and at the beginning of logs that came later', async () => {
  const { store, cursors, restored } = setUp()
  const known = store.create('a/known')
  const begun = store.create('a/begun')
  store.store(DURABLE, batchOf('x', ['1', '2', '3']))
  for (const log of [known, begun]) store.store(log, batchOf('a', ['1', '2', '3']))
  const later = store.create('a/later')
  const fleeting = store.create('a/fleeting', 'memory')
  const unmatched = store.create('b')
  for (const log of [later, fleeting, unmatched]) store.store(log, batchOf('a', ['1']))
  const since = [DURABLE, known, begun].map((log) => ({ log, position: 1 }))
  const concerned = new ConcernedLogs(store)
  await concerned.register('a/+')
  const latest = store.create('a/latest')
  store.store(latest, batchOf('a', ['1']))
  cursors.restore([cursorOf(DURABLE, 2), cursorOf(known, 2), cursorOf(unmatched, 0)], [subscriptionTo('a/+', since)], concerned)
  assert.deepEqual(restored, [`${DURABLE}: 2, 2`, `${known}: 2, 2`, `${begun}: 1, 1`, `${later}: 0, 0`, `${latest}: 0, 0`])
})

test('of overlapping subscriptions the one that began first decides, and a cursor is never before all of them', async () => {
  const { store, cursors, restored } = setUp()
  const own = store.create('a')
  store.store(own, batchOf('a', ['1', '2', '3', '4']))
  const concerned = new ConcernedLogs(store)
  await concerned.register('a')
  await concerned.register('+')
  const at = (position: number): Subscription['since'] => [{ log: own, position }]
  cursors.restore([cursorOf(own, 1)], [subscriptionTo('a', at(3)), subscriptionTo('+', at(2))], concerned)
  assert.deepEqual(restored.at(-1), `${own}: 2, 2`)
})

test('Q20: what a session had not read of a log that was removed is read once more, to be told; then its place is saved', () => {
  const { store, cursors, restored, saved } = setUp()
  const [behind, read] = [store.create('a'), store.create('b')]
  for (const log of [behind, read]) {
    store.store(log, batchOf('t', ['1', '2', '3']))
    store.remove(log)
  }
  cursors.restore([cursorOf(behind, 1), cursorOf(read, 3)], [], new ConcernedLogs(store))
  assert.deepEqual(restored, [`${behind}: 1, 1`])
  cursors.mark(behind)
  assert.deepEqual(saved(), [behind])
})

test('a log of one topic with nothing new is not followed: what comes is live', async () => {
  const { store, cursors, restored } = setUp()
  const own = store.create('a')
  store.store(own, batchOf('a', ['1']))
  const concerned = new ConcernedLogs(store)
  await concerned.register('a')
  cursors.restore([cursorOf(own, 1)], [subscriptionTo('a', [])], concerned)
  assert.deepEqual(restored, [`${DURABLE}: 0, 0`])
})
