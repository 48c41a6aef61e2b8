// SPDX-License-Identifier: Apache-2.0
import type { StorageType } from '#contract/client/engine-client'
import type { ShardStore } from '#storage'
import { type ShardStoreFixture, shardStoreSuite } from '../../suite/shard-store.ts'
import { EngineNode, type NodeOptions, settled } from '../engine/engine-node.ts'
import { ModelShardStore } from './model-shard-store.ts'

class EngineFixture implements ShardStoreFixture {
  #node: EngineNode

  constructor(node: EngineNode) {
    this.#node = node
  }

  get store(): ShardStore {
    return this.#node.engine
  }

  async settle(): Promise<void> {
    await settled()
    for (const group of this.#node.groups.values()) await group.commit()
    await settled()
  }

  async pass(ms: number): Promise<void> {
    await this.#node.clock.pass(ms)
  }

  async restart(): Promise<void> {
    this.#node = await this.#node.restart()
  }
}

const onEngine = (name: string, storage: StorageType, options: NodeOptions = {}): void =>
  shardStoreSuite(name, { storage, survives: storage !== 'memory' }, async () => new EngineFixture(await EngineNode.start(options)))

onEngine('engine, memory', 'memory')
onEngine('engine, rocksdb', 'rocksdb')
onEngine('engine, rocksdb, nothing kept in memory', 'rocksdb', { tailBytes: 0 })
onEngine('engine, segment', 'segment')
onEngine('engine, segment, nothing kept in memory', 'segment', { tailBytes: 0 })

shardStoreSuite('model', { storage: 'memory', survives: false }, async () => {
  let nowMs = 1_000_000
  const store = new ModelShardStore(() => nowMs)
  return {
    store,
    settle: settled,
    pass: async (ms) => {
      nowMs += ms
    },
    restart: async () => undefined,
  }
})
