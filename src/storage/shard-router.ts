// SPDX-License-Identifier: Apache-2.0
// Which log a message goes to: decides between durable and memory storage (D3), topic settings before those of the cluster.

import { matches } from '#base/topic-filter'
import type { LogId, StorageType } from '#contract/client/engine-client'
import type { ShardStore } from './shard-store.ts'

export interface StoragePolicy {
  /** Where stored messages go. 'memory' stores nothing durably. */
  readonly storage: StorageType
  /** QoS 1 and 2 messages are stored whether or not anyone is online. */
  readonly offline: boolean
  /** QoS 0 messages are stored too. */
  readonly storeQos0: boolean
}

/** Settings of the topics that match a filter; what is undefined is taken from the cluster. */
export interface TopicPolicy extends Partial<StoragePolicy> {
  readonly filter: string
}

/** A topic with its place in the logs. Shared by everyone who publishes to it. */
export interface Shard {
  readonly topic: string
  /** Log of a message that is not retained, by QoS. */
  readonly byQos: readonly [LogId, LogId, LogId]
  /** Log of retained messages: always the durable one, whatever the QoS (D10). */
  readonly retained: LogId
}

/** Shards remembered; beyond it the memory is emptied and fills again. */
const SHARDS_MAX = 200_000

export class ShardRouter {
  readonly #store: ShardStore
  readonly #cluster: StoragePolicy
  readonly #topics: readonly TopicPolicy[]
  readonly #shards = new Map<string, Shard>()

  constructor(store: ShardStore, cluster: StoragePolicy, topics: readonly TopicPolicy[]) {
    this.#store = store
    this.#cluster = cluster
    this.#topics = topics
  }

  shard(topic: string): Shard {
    const known = this.#shards.get(topic)
    if (known !== undefined) return known
    if (this.#shards.size >= SHARDS_MAX) this.#shards.clear()
    const shard = this.#place(topic)
    this.#shards.set(topic, shard)
    return shard
  }

  #place(topic: string): Shard {
    const own = this.#topics.find((candidate) => matches(candidate.filter, topic))
    const offline = own?.offline ?? this.#cluster.offline
    const storeQos0 = own?.storeQos0 ?? this.#cluster.storeQos0
    const durable = this.#store.logOf(own?.storage ?? this.#cluster.storage, topic)
    const passing = this.#store.logOf('memory', topic)
    const stored = offline ? durable : passing
    return Object.freeze({ topic, byQos: [offline && storeQos0 ? durable : passing, stored, stored] as const, retained: durable })
  }
}
