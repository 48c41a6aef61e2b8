// SPDX-License-Identifier: Apache-2.0
// Which log a message goes to: decides between durable and memory storage (D3) and between a log of its own and a shared one (D2), topic settings
// before those of the cluster.

import { matches } from '#base/topic-filter'
import type { LogId, StorageModel, StorageType } from '#contract/client/engine-client'
import type { ShardStore } from './shard-store.ts'

export interface StoragePolicy {
  /** Where stored messages go. 'memory' stores nothing durably. */
  readonly storage: StorageType
  /** Whether a topic has a log of its own there. What is not stored passes through shared logs, whatever this says. */
  readonly model: StorageModel
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

/** A topic with its place in the logs. Shared by everyone who publishes to it. The place follows the settings, so it is read at use. */
export interface Shard {
  readonly topic: string
  /** Bound of the lifetime of its messages, in ms; Infinity for none. */
  readonly messageExpiryMs: number
  /** Log of a message that is not retained. A log of the topic's own is created when it is first asked for, so ask only for a message that will be appended. */
  logFor(qos: number): LogId
  /** Log of retained messages: always the durable one, whatever the QoS (D10). The same holds for asking. */
  readonly retained: LogId
}

/** Shards remembered; beyond it the memory is emptied and fills again. */
const SHARDS_MAX = 200_000

export class ShardRouter {
  readonly #store: Pick<ShardStore, 'logOf'>
  readonly #cluster: StoragePolicy
  readonly #shards = new Map<string, Shard>()
  #topics: readonly TopicPolicy[]
  #version = 0

  /** Of several topic policies that match, the first one decides. */
  constructor(store: Pick<ShardStore, 'logOf'>, cluster: StoragePolicy, topics: readonly TopicPolicy[]) {
    this.#store = store
    this.#cluster = cluster
    this.#topics = topics
  }

  /** Raised whenever shards may have to be placed elsewhere. */
  get version(): number {
    return this.#version
  }

  /** Takes effect at once, for shards that are in use too. A topic that moves to another log has an order within each of the two only. */
  setTopics(topics: readonly TopicPolicy[]): void {
    this.#topics = topics
    this.#version++
  }

  /** A log has been removed: its topic gets another one when it is next published to. */
  placeAgain(): void {
    this.#version++
  }

  shard(topic: string): Shard {
    const known = this.#shards.get(topic)
    if (known !== undefined) return known
    if (this.#shards.size >= SHARDS_MAX) this.#shards.clear()
    const shard = new PlacedShard(this, this.#store, topic)
    this.#shards.set(topic, shard)
    return shard
  }

  /** Some topics have limits on what clients that come back get. */
  get limitsOffline(): boolean {
    return this.#topics.some(({ maxAge, maxMessages }) => maxAge !== undefined || maxMessages !== undefined)
  }

  /** Undefined when nothing is set for the topic. */
  offlineLimit(topic: string): OfflineLimit | undefined {
    const own = this.#ownOf(topic)
    if (own?.maxAge === undefined && own?.maxMessages === undefined) return undefined
    return { maxAge: own.maxAge ?? Number.POSITIVE_INFINITY, maxMessages: own.maxMessages ?? Number.POSITIVE_INFINITY }
  }

  /** What holds for a topic. */
  policyOf(topic: string): StoragePolicy & { readonly messageExpiryMs: number } {
    const own = this.#ownOf(topic)
    return {
      storage: own?.storage ?? this.#cluster.storage,
      model: own?.model ?? this.#cluster.model,
      offline: own?.offline ?? this.#cluster.offline,
      storeQos0: own?.storeQos0 ?? this.#cluster.storeQos0,
      messageExpiryMs: own?.messageExpiry ?? Number.POSITIVE_INFINITY,
    }
  }

  #ownOf(topic: string): TopicPolicy | undefined {
    return this.#topics.find((candidate) => matches(candidate.filter, topic))
  }
}

const UNPLACED: LogId = -1

/** Publishers keep their shard, so it is the shard that notices other settings: it is placed again when it is next used. */
class PlacedShard implements Shard {
  readonly topic: string
  readonly #router: ShardRouter
  readonly #store: Pick<ShardStore, 'logOf'>
  #version: number
  #policy: ReturnType<ShardRouter['policyOf']>
  #durable = UNPLACED
  #passing = UNPLACED

  constructor(router: ShardRouter, store: Pick<ShardStore, 'logOf'>, topic: string) {
    this.topic = topic
    this.#router = router
    this.#store = store
    this.#policy = router.policyOf(topic)
    this.#version = router.version
  }

  logFor(qos: number): LogId {
    this.#renew()
    const { offline, storeQos0 } = this.#policy
    if (offline && (qos > 0 || storeQos0)) return this.retained
    if (this.#passing === UNPLACED) this.#passing = this.#store.logOf('memory', this.topic)
    return this.#passing
  }

  get retained(): LogId {
    this.#renew()
    if (this.#durable === UNPLACED) this.#durable = this.#store.logOf(this.#policy.storage, this.topic, this.#policy.model)
    return this.#durable
  }

  get messageExpiryMs(): number {
    this.#renew()
    return this.#policy.messageExpiryMs
  }

  #renew(): void {
    const { version } = this.#router
    if (version === this.#version) return
    this.#version = version
    this.#policy = this.#router.policyOf(this.topic)
    this.#durable = UNPLACED
  }
}
