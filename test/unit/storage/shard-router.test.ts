// SPDX-License-Identifier: Apache-2.0
// Which log a topic goes to (D3): the first policy that matches before the cluster, at once when the policies change.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { LogId, StorageModel, StorageType } from '#contract/client/engine-client'
import { type Shard, ShardRouter, type StoragePolicy, type TopicPolicy } from '#storage'

const DURABLE = 1
const MEMORY = 2
const STORE = { logOf: (storage: 'rocksdb' | 'memory' | 'segment') => (storage === 'memory' ? MEMORY : DURABLE) }
const CLUSTER: StoragePolicy = { storage: 'rocksdb', model: 'shared', offline: true, storeQos0: false }

const router = (topics: readonly TopicPolicy[], cluster = CLUSTER): ShardRouter =>
  new ShardRouter(STORE as unknown as ConstructorParameters<typeof ShardRouter>[0], cluster, topics)

const byQos = (shard: Shard): readonly LogId[] => [0, 1, 2].map((qos) => shard.logFor(qos))

describe('shard router', () => {
  it('a topic with offline = false among stored ones passes through memory; its retained messages are stored (D10)', () => {
    const shards = router([{ filter: 'dropped/#', offline: false }])
    assert.deepEqual(byQos(shards.shard('kept')), [MEMORY, DURABLE, DURABLE])
    assert.deepEqual(byQos(shards.shard('dropped/a')), [MEMORY, MEMORY, MEMORY])
    assert.equal(shards.shard('dropped/a').retained, DURABLE)
  })

  it('a topic can be stored where the cluster stores nothing, QoS 0 too', () => {
    const shards = router([{ filter: 'kept', offline: true, storeQos0: true }], { ...CLUSTER, offline: false })
    assert.deepEqual(byQos(shards.shard('kept')), [DURABLE, DURABLE, DURABLE])
    assert.deepEqual(byQos(shards.shard('other')), [MEMORY, MEMORY, MEMORY])
  })

  it("the first policy that matches decides alone: what it leaves out is the cluster's, not the next one's", () => {
    const shards = router([
      { filter: 'a/+', storeQos0: true },
      { filter: 'a/#', offline: false, storage: 'memory' },
    ])
    assert.deepEqual(byQos(shards.shard('a/b')), [DURABLE, DURABLE, DURABLE])
    assert.deepEqual(byQos(shards.shard('a/b/c')), [MEMORY, MEMORY, MEMORY])
    assert.equal(shards.shard('a/b/c').retained, MEMORY)
  })

  it('other policies hold at once, for the shards that publishers keep too, which stay the same', () => {
    const shards = router([])
    const kept = shards.shard('a')
    assert.deepEqual(byQos(kept), [MEMORY, DURABLE, DURABLE])
    shards.setTopics([{ filter: 'a', offline: false }])
    assert.deepEqual(byQos(kept), [MEMORY, MEMORY, MEMORY])
    assert.equal(shards.shard('a'), kept)
    shards.setTopics([{ filter: 'a', storage: 'memory' }])
    assert.equal(kept.retained, MEMORY)
  })

  it('a log of its own is asked for only when a message is to be stored there: who may not publish, and QoS 0 that passes by, create none', () => {
    const asked: string[] = []
    const store = {
      logOf: (storage: StorageType, topic: string, model: StorageModel = 'shared') => asked.push(`${storage} ${model} ${topic}`) - 1,
    }
    const shards = new ShardRouter(store, { ...CLUSTER, model: 'independent' }, [{ filter: 'many/#', model: 'shared', storage: 'segment' }])
    const own = shards.shard('own')
    assert.equal(own.messageExpiryMs, Number.POSITIVE_INFINITY)
    assert.deepEqual(asked, [])
    own.logFor(0)
    assert.deepEqual(asked, ['memory shared own'])
    assert.equal(own.logFor(1), own.retained)
    shards.shard('many/a').logFor(2)
    assert.deepEqual(asked.slice(1), ['rocksdb independent own', 'segment shared many/a'])
  })

  it('a shard keeps its log, and gets another when that is removed or the model changes', () => {
    let logs = 0
    const shards = new ShardRouter({ logOf: () => logs++ }, CLUSTER, [])
    const shard = shards.shard('a')
    assert.deepEqual([shard.logFor(1), shard.logFor(2), shard.retained], [0, 0, 0])
    shards.placeAgain()
    assert.deepEqual([shard.logFor(1), shard.retained], [1, 1])
    shards.setTopics([{ filter: 'a', model: 'independent' }])
    assert.equal(shard.logFor(1), 2)
  })
})
