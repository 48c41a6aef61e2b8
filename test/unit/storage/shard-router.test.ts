// SPDX-License-Identifier: Apache-2.0
// Which log a topic goes to (D3): the first policy that matches before the cluster, at once when the policies change.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ShardRouter, type StoragePolicy, type TopicPolicy } from '#storage'

const DURABLE = 1
const MEMORY = 2
const STORE = { logOf: (storage: 'rocksdb' | 'memory' | 'segment') => (storage === 'memory' ? MEMORY : DURABLE) }
const CLUSTER: StoragePolicy = { storage: 'rocksdb', offline: true, storeQos0: false }

const router = (topics: readonly TopicPolicy[], cluster = CLUSTER): ShardRouter =>
  new ShardRouter(STORE as unknown as ConstructorParameters<typeof ShardRouter>[0], cluster, topics)

describe('shard router', () => {
  it('a topic with offline = false among stored ones passes through memory; its retained messages are stored (D10)', () => {
    const shards = router([{ filter: 'dropped/#', offline: false }])
    assert.deepEqual(shards.shard('kept').byQos, [MEMORY, DURABLE, DURABLE])
    assert.deepEqual(shards.shard('dropped/a').byQos, [MEMORY, MEMORY, MEMORY])
    assert.equal(shards.shard('dropped/a').retained, DURABLE)
  })

  it('a topic can be stored where the cluster stores nothing, QoS 0 too', () => {
    const shards = router([{ filter: 'kept', offline: true, storeQos0: true }], { ...CLUSTER, offline: false })
    assert.deepEqual(shards.shard('kept').byQos, [DURABLE, DURABLE, DURABLE])
    assert.deepEqual(shards.shard('other').byQos, [MEMORY, MEMORY, MEMORY])
  })

  it("the first policy that matches decides alone: what it leaves out is the cluster's, not the next one's", () => {
    const shards = router([
      { filter: 'a/+', storeQos0: true },
      { filter: 'a/#', offline: false, storage: 'memory' },
    ])
    assert.deepEqual(shards.shard('a/b').byQos, [DURABLE, DURABLE, DURABLE])
    assert.deepEqual(shards.shard('a/b/c').byQos, [MEMORY, MEMORY, MEMORY])
    assert.equal(shards.shard('a/b/c').retained, MEMORY)
  })

  it('other policies hold at once, for the shards that publishers keep too, which stay the same', () => {
    const shards = router([])
    const kept = shards.shard('a')
    assert.deepEqual(kept.byQos, [MEMORY, DURABLE, DURABLE])
    shards.setTopics([{ filter: 'a', offline: false }])
    assert.deepEqual(kept.byQos, [MEMORY, MEMORY, MEMORY])
    assert.equal(shards.shard('a'), kept)
    shards.setTopics([{ filter: 'a', storage: 'memory' }])
    assert.equal(kept.retained, MEMORY)
  })
})
