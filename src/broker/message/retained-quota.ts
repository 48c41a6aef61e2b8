// SPDX-License-Identifier: Apache-2.0
// Limits on retained messages, asked before a message is stored. A topic that has a retained message may always get another one, however full it is; what is
// limited is how many topics have one, and their bytes.
//
// Whether a topic has one is known of those that were retained here since the start. For others it is looked up when they are refused, so that the next attempt
// succeeds: nothing on the way of a message waits for a read, which would let later messages overtake it.
import type { Counter } from '#base/port/metrics'
import type { MetaClient } from '#contract/client/meta-client'
import type { Shard } from '#storage'

export interface RetainedLimits {
  readonly retainedMaxMessages: number
  readonly retainedMaxBytes: number
  readonly retainedMaxPayload: number
}

export interface RetainedQuotaCounters {
  readonly payload: Counter
  readonly messages: Counter
  readonly bytes: Counter
}

/** Look-ups under way: a flood of refusals causes no flood of reads. */
const LOOKUPS_MAX = 64

export class RetainedQuota {
  readonly #meta: Pick<MetaClient, 'retained' | 'retainedCount' | 'retainedBytes'>
  readonly #limits: () => RetainedLimits
  readonly #counters: () => RetainedQuotaCounters
  readonly #nowMs: () => number
  /** Topics that have a retained message. Goes with the shard. */
  readonly #holders = new WeakSet<Shard>()
  readonly #lookups = new Set<Shard>()
  /** On their way into the log and the view. Replacements count as well: near the limit a new topic may be refused a little early, never late. */
  #underWay = 0
  #underWayBytes = 0

  constructor(
    meta: Pick<MetaClient, 'retained' | 'retainedCount' | 'retainedBytes'>,
    limits: () => RetainedLimits,
    counters: () => RetainedQuotaCounters,
    nowMs: () => number,
  ) {
    this.#meta = meta
    this.#limits = limits
    this.#counters = counters
    this.#nowMs = nowMs
  }

  /** Whether a message may be retained. An empty payload removes the one there is, which is always possible. */
  admits(shard: Shard, payloadBytes: number): boolean {
    if (payloadBytes === 0) {
      this.#holders.delete(shard)
      return true
    }
    const { retainedMaxPayload, retainedMaxMessages, retainedMaxBytes } = this.#limits()
    if (payloadBytes > retainedMaxPayload) return this.#refuse(this.#counters().payload)
    if (this.#holders.has(shard)) return true
    if (this.#meta.retainedCount() + this.#underWay >= retainedMaxMessages) return this.#refuse(this.#counters().messages, shard)
    if (this.#meta.retainedBytes() + this.#underWayBytes + payloadBytes > retainedMaxBytes)
      return this.#refuse(this.#counters().bytes, shard)
    this.#holders.add(shard)
    return true
  }

  /** A message that is to be retained is on its way. */
  began(payloadBytes: number): void {
    this.#underWay++
    this.#underWayBytes += payloadBytes
  }

  /** So many of them are stored, or certainly not, or nobody will know. */
  settled(count: number, payloadBytes: number): void {
    this.#underWay -= count
    this.#underWayBytes -= payloadBytes
  }

  #refuse(counter: Counter, shard?: Shard): false {
    counter.add(1)
    if (shard !== undefined && !this.#lookups.has(shard) && this.#lookups.size < LOOKUPS_MAX) void this.#lookUp(shard)
    return false
  }

  async #lookUp(shard: Shard): Promise<void> {
    this.#lookups.add(shard)
    try {
      const [found] = await this.#meta.retained(shard.topic, undefined, 1, this.#nowMs())
      if (found !== undefined) this.#holders.add(shard)
    } catch {
      // Nothing is known then, and the next refusal asks again.
    } finally {
      this.#lookups.delete(shard)
    }
  }
}
