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
export interface TopicPolicy extends Partial<StoragePolicy>, Partial<OfflineLimit> {
  readonly filter: string
  /** Lifetime of messages that name none, and bound of those that do, in ms. */
  readonly messageExpiry?: number | undefined
}

/** What clients that come back get of a topic. */
export interface OfflineLimit {
  /** In ms; Infinity for no limit. */
  readonly maxAge: number
  /** The newest ones; Infinity for no limit. */
  readonly maxMessages: number
}

/** Where the messages of a topic go. */
export interface Placement {
  /** Log of a message that is not retained, by QoS. */
  readonly byQos: readonly [LogId, LogId, LogId]
  /** Log of retained messages: always the durable one, whatever the QoS (D10). */
  readonly retained: LogId
  /** Bound of the lifetime of its messages, in ms; Infinity for none. */
  readonly messageExpiryMs: number
}

/** A topic with its place in the logs. Shared by everyone who publishes to it. The place follows the settings, so it is read at use. */
export interface Shard extends Placement {
  readonly topic: string
}

/** Shards remembered; beyond it the memory is emptied and fills again. */
const SHARDS_MAX = 200_000

export class ShardRouter {
  readonly #store: ShardStore
  readonly #cluster: StoragePolicy
  readonly #shards = new Map<string, Shard>()
  #topics: readonly TopicPolicy[]

  /** Of several topic policies that match, the first one decides. */
  constructor(store: ShardStore, cluster: StoragePolicy, topics: readonly TopicPolicy[]) {
    this.#store = store
    this.#cluster = cluster
    this.#topics = topics
  }

  get topics(): readonly TopicPolicy[] {
    return this.#topics
  }

  /** Takes effect at once, for shards that are in use too. A topic that moves to another log has an order within each of the two only. */
  setTopics(topics: readonly TopicPolicy[]): void {
    this.#topics = topics
  }

  shard(topic: string): Shard {
    const known = this.#shards.get(topic)
    if (known !== undefined) return known
    if (this.#shards.size >= SHARDS_MAX) this.#shards.clear()
    const shard = new PlacedShard(this, topic)
    this.#shards.set(topic, shard)
    return shard
  }

  /** Some topics have limits on what clients that come back get. */
  get limitsOffline(): boolean {
    return this.#topics.some(({ maxAge, maxMessages }) => maxAge !== undefined || maxMessages !== undefined)
  }

  /** Undefined when nothing is set for the topic. */
  offlineLimit(topic: string): OfflineLimit | undefined {
    const own = this.#policyOf(topic)
    if (own?.maxAge === undefined && own?.maxMessages === undefined) return undefined
    return { maxAge: own.maxAge ?? Number.POSITIVE_INFINITY, maxMessages: own.maxMessages ?? Number.POSITIVE_INFINITY }
  }

  place(topic: string): Placement {
    const own = this.#policyOf(topic)
    const offline = own?.offline ?? this.#cluster.offline
    const storeQos0 = own?.storeQos0 ?? this.#cluster.storeQos0
    const durable = this.#store.logOf(own?.storage ?? this.#cluster.storage, topic)
    const passing = this.#store.logOf('memory', topic)
    const stored = offline ? durable : passing
    const byQos = [offline && storeQos0 ? durable : passing, stored, stored] as const
    return { byQos, retained: durable, messageExpiryMs: own?.messageExpiry ?? Number.POSITIVE_INFINITY }
  }

  #policyOf(topic: string): TopicPolicy | undefined {
    return this.#topics.find((candidate) => matches(candidate.filter, topic))
  }
}

/** Publishers keep their shard, so it is the shard that notices other settings: it is placed again when it is next used. */
class PlacedShard implements Shard {
  readonly topic: string
  readonly #router: ShardRouter
  #topics: readonly TopicPolicy[]
  #placement: Placement

  constructor(router: ShardRouter, topic: string) {
    this.topic = topic
    this.#router = router
    this.#topics = router.topics
    this.#placement = router.place(topic)
  }

  get byQos(): Placement['byQos'] {
    return this.#current().byQos
  }

  get retained(): LogId {
    return this.#current().retained
  }

  get messageExpiryMs(): number {
    return this.#current().messageExpiryMs
  }

  #current(): Placement {
    const { topics } = this.#router
    if (topics !== this.#topics) {
      this.#topics = topics
      this.#placement = this.#router.place(this.topic)
    }
    return this.#placement
  }
}
