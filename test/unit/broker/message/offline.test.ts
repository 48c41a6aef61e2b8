// SPDX-License-Identifier: Apache-2.0
// Q20: what a client that comes back does not get is decided by declared limits, the oldest first, and counted.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type BacklogOwner, measureBacklog, type OfflineLimits } from '../../../../src/broker/message/offline.ts'
import { ATTRIBUTE, RecordBatchBuilder } from '../../../../src/contract/record/record-batch.ts'
import { batchOf, DURABLE, FakeShardStore } from './shard-store-fake.ts'

const NONE = Number.POSITIVE_INFINITY
const OWNER: BacklogOwner = { filters: () => ['#'], owes: () => true, closed: () => false }

/** What is left of each record, by its payload: undefined, or the reason for which it is dropped. */
async function outcomes(
  limits: Partial<OfflineLimits>,
  topics: readonly string[],
  owner = OWNER,
): Promise<readonly (string | undefined)[]> {
  const store = new FakeShardStore()
  store.readCount = 3
  for (const topic of topics) store.store(DURABLE, batchOf(topic, ['x']))
  const all = { maxAge: NONE, maxMessages: NONE, nowMs: 0, ofTopic: () => undefined, ...limits }
  const cut = await measureBacklog(store, owner, all, [{ log: DURABLE, from: 0, until: topics.length }])
  return topics.map((topic, position) => cut.reason(topic, DURABLE, position, 0))
}

const numbered = (count: number, topic: string): readonly string[] => Array.from({ length: count }, () => topic)

describe('Q20 limits of what a client that comes back gets', () => {
  it('the newest messages are kept, however many reads they take', async () => {
    const found = await outcomes({ maxMessages: 4 }, numbered(10, 'a'))
    assert.deepEqual(found, [...Array(6).fill('offline_count'), ...Array(4).fill(undefined)])
  })

  it('exactly as many as are allowed are all kept', async () => {
    assert.deepEqual(await outcomes({ maxMessages: 10 }, numbered(10, 'a')), Array(10).fill(undefined))
  })

  it('too old ones go, whatever their number', async () => {
    assert.deepEqual(await outcomes({ maxAge: 99, nowMs: 100 }, numbered(3, 'a')), Array(3).fill('offline_age'))
    assert.deepEqual(await outcomes({ maxAge: 100, nowMs: 100 }, numbered(3, 'a')), Array(3).fill(undefined))
  })

  it('a topic with a limit of its own loses its oldest, others lose nothing', async () => {
    const ofTopic = (topic: string) => (topic === 'a' ? { maxAge: NONE, maxMessages: 1 } : undefined)
    const found = await outcomes({ ofTopic }, ['a', 'b', 'a', 'b', 'a', 'b'])
    assert.deepEqual(found, ['offline_count', undefined, 'offline_count', undefined, undefined, undefined])
  })

  it('what is not owed takes no place among the newest', async () => {
    const owner: BacklogOwner = { ...OWNER, owes: (topic) => topic === 'mine' }
    const found = await outcomes({ maxMessages: 2 }, ['mine', 'mine', 'other', 'other', 'other'], owner)
    assert.deepEqual(found.slice(0, 2), [undefined, undefined])
  })

  it('an expired message takes no place among the newest', async () => {
    const store = new FakeShardStore()
    store.store(DURABLE, batchOf('a', ['kept']))
    const builder = new RecordBatchBuilder()
    const payload = Buffer.from('expired')
    builder.append(builder.topic('a'), 1 | ATTRIBUTE.expiry, 7, 50, -1, Buffer.alloc(0), payload, 0, payload.length)
    store.store(DURABLE, builder.build())
    const limits = { maxAge: NONE, maxMessages: 1, nowMs: 50, ofTopic: () => undefined }
    const cut = await measureBacklog(store, OWNER, limits, [{ log: DURABLE, from: 0, until: 2 }])
    assert.equal(cut.reason('a', DURABLE, 0, 0), undefined)
  })
})
