// SPDX-License-Identifier: Apache-2.0
// Which logs a subscription concerns while logs come and go, and where it begins in each.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { beginIn, ConcernedLogs } from '../../../../src/broker/message/concerned-logs.ts'
import { DURABLE, FakeShardStore, PASSING } from './shard-store-fake.ts'

test('logs that come after the registration are among those it concerns, when their topic matches', async () => {
  const store = new FakeShardStore()
  const known = store.create('a/1')
  store.create('b/1')
  const concerned = new ConcernedLogs(store)
  const positions = await concerned.register('a/+')
  assert.deepEqual(
    positions.map(({ log }) => log),
    [DURABLE, PASSING, known],
  )
  const later = store.create('a/2')
  store.create('b/2')
  const last = store.create('a/3')
  assert.deepEqual(concerned.of('a/+'), [DURABLE, PASSING, known, later, last])
})

test('a log that is created during the registration is there once', async () => {
  const store = new FakeShardStore()
  const concerned = new ConcernedLogs(store)
  const created = store.create('a')
  await concerned.register('a')
  assert.deepEqual(concerned.of('a'), [DURABLE, PASSING, created])
})

test('a subscription begins where its log stood, and at the first record of a log that there was not', () => {
  const since = [1, 4, 9, 10, 200].map((log) => ({ log, position: log * 10 }))
  for (const { log, position } of since) assert.equal(beginIn(since, log), position)
  for (const log of [0, 2, 8, 11, 199, 201]) assert.equal(beginIn(since, log), 0)
  assert.equal(beginIn([], 3), 0)
})
