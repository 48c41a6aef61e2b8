// SPDX-License-Identifier: Apache-2.0
// How much is kept of which log. Stripes share the limits of the cluster; a log that belongs to one topic has those of its topic, or of the cluster, for itself.
import { matches } from '#base/topic-filter'
import type { LogId, StorageType } from '#contract/client/engine-client'
import { Retention, type RetentionLimits } from '../log/retention.ts'
import { SegmentRetention, type SegmentStore } from '../log/segment-retention.ts'
import type { StripeMachine } from '../log/stripe-machine.ts'
import type { StripeMetrics } from '../log/stripe-metrics.ts'
import type { TopicLimits } from '../log/topic-retention.ts'
import type { RetentionRound } from './upkeep.ts'

/** Logs in memory are bounded together, not each by retention. */
const UNLIMITED: RetentionLimits = { maxAgeMs: 0, maxBytes: 0 }

/** Read by the rounds, each time. */
type Mutable = { -readonly [Key in keyof RetentionLimits]: RetentionLimits[Key] }

interface OwnLimits extends Mutable {
  readonly topic: string
}

export class RetentionPlan {
  readonly #stripeCount: number
  readonly #metricsOf: (storage: StorageType) => StripeMetrics
  #cluster: RetentionLimits
  #topics: readonly TopicLimits[]
  /** Of one rocksdb stripe. */
  readonly #rocksdb: Mutable = { ...UNLIMITED }
  /** Of one segment stripe: their bytes are bounded together. */
  readonly #segment: Mutable = { ...UNLIMITED }
  readonly #own = new Map<LogId, OwnLimits>()

  /** `cluster`: its bytes are of all stripes of a storage type together. */
  constructor(
    stripeCount: number,
    cluster: RetentionLimits,
    topics: readonly TopicLimits[],
    metricsOf: (storage: StorageType) => StripeMetrics,
  ) {
    this.#stripeCount = stripeCount
    this.#metricsOf = metricsOf
    this.#cluster = cluster
    this.#topics = topics
    this.#apply()
  }

  setCluster(limits: RetentionLimits): void {
    this.#cluster = limits
    this.#apply()
  }

  setTopics(topics: readonly TopicLimits[]): void {
    this.#topics = topics
    this.#apply()
  }

  /** Of the stripes. */
  rounds(machines: readonly StripeMachine[], segments: SegmentStore): readonly RetentionRound[] {
    const ofType = (type: StorageType): readonly StripeMachine[] => machines.filter(({ storage }) => storage === type)
    const retentions = ofType('segment').map(
      (machine) => [machine.log, new Retention(machine, this.#segment, this.#metricsOf('segment'))] as const,
    )
    return [
      ...ofType('rocksdb').map((machine) => new Retention(machine, this.#rocksdb, this.#metricsOf('rocksdb'))),
      new SegmentRetention(segments, new Map(retentions), () => this.#cluster.maxBytes),
    ]
  }

  /** Of a log that belongs to one topic; undefined when it is in memory. `segments`: its own files. */
  add(machine: StripeMachine, topic: string, segments: SegmentStore | undefined): RetentionRound | undefined {
    if (machine.stored === undefined) return undefined
    const limits: OwnLimits = { topic, ...UNLIMITED }
    this.#own.set(machine.log, limits)
    this.#fit(limits)
    if (segments === undefined) return new Retention(machine, limits, this.#metricsOf(machine.storage))
    const byAge = {
      get maxAgeMs() {
        return limits.maxAgeMs
      },
      maxBytes: 0,
    }
    const retention = new Retention(machine, byAge, this.#metricsOf(machine.storage))
    return new SegmentRetention(segments, new Map([[machine.log, retention]]), () => limits.maxBytes)
  }

  remove(log: LogId): void {
    this.#own.delete(log)
  }

  /** For reports. */
  limitsOf({ log, storage }: StripeMachine): RetentionLimits {
    const own = this.#own.get(log)
    if (own !== undefined) return { maxAgeMs: own.maxAgeMs, maxBytes: own.maxBytes }
    if (storage === 'memory') return UNLIMITED
    return storage === 'rocksdb' ? this.#rocksdb : this.#cluster
  }

  #apply(): void {
    const { maxAgeMs, maxBytes } = this.#cluster
    this.#rocksdb.maxAgeMs = this.#segment.maxAgeMs = maxAgeMs
    this.#rocksdb.maxBytes = Math.ceil(maxBytes / this.#stripeCount)
    for (const limits of this.#own.values()) this.#fit(limits)
  }

  #fit(limits: OwnLimits): void {
    const ofTopic = this.#topics.find(({ filter }) => matches(filter, limits.topic))
    limits.maxAgeMs = ofTopic?.maxAgeMs || this.#cluster.maxAgeMs
    limits.maxBytes = ofTopic?.maxBytes || this.#cluster.maxBytes
  }
}
