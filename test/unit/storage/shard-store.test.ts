// SPDX-License-Identifier: Apache-2.0
import type { StorageModel, StorageType } from '#contract/client/engine-client'
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

const onEngine = (name: string, storage: StorageType, model: StorageModel, options: NodeOptions = {}): void =>
  shardStoreSuite(name, { storage, model, survives: storage !== 'memory' }, async () => new EngineFixture(await EngineNode.start(options)))

for (const model of ['shared', 'independent'] as const) {
  onEngine(`engine, memory, ${model}`, 'memory', model)
  for (const storage of ['rocksdb', 'segment'] as const) {
    onEngine(`engine, ${storage}, ${model}`, storage, model)
    onEngine(`engine, ${storage}, ${model}, nothing kept in memory`, storage, model, { tailBytes: 0 })
  }
}

shardStoreSuite('model', { storage: 'memory', model: 'shared', survives: false }, async () => {
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
