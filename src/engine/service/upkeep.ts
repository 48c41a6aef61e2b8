// SPDX-License-Identifier: Apache-2.0
// The care of stored logs, one piece of work at a time: retention of logs and of topics, removal of topics, and the scrubber beside them.
import type { Config } from '#base/config/schema'
import type { Metrics } from '#base/port/metrics'
import type { LogId } from '#contract/client/engine-client'
import { Scrubber, type ScrubberPorts } from '../log/scrubber.ts'
import type { StripeMachine } from '../log/stripe-machine.ts'
import type { StripeMetrics } from '../log/stripe-metrics.ts'
import { type TopicLimits, TopicRetention } from '../log/topic-retention.ts'
import { createScrubberMetrics, registerDamageGauge } from './engine-metrics.ts'

/** What is kept of single topics, out of `[[topic]]`. A table without limits shields the topics that match it from those that follow. */
export const topicLimits = (topics: Config['topic']): readonly TopicLimits[] =>
  topics.map(({ filter, maxAge, maxBytes }) => ({ filter, maxAgeMs: maxAge ?? 0, maxBytes: maxBytes ?? 0 }))

/** One round of the retention of whole logs. */
export interface RetentionRound {
  run(nowMs: number, stopped: () => boolean): Promise<unknown>
}

export class Upkeep {
  readonly scrubber: Scrubber
  readonly #rounds: readonly RetentionRound[]
  /** Of the logs of type rocksdb: in the others the records of a topic can't be removed alone. */
  readonly #topics: ReadonlyMap<LogId, TopicRetention>
  #limits: readonly TopicLimits[]
  #last: Promise<unknown> = Promise.resolve()
  #stopping = false

  constructor(
    machines: readonly StripeMachine[],
    rounds: readonly RetentionRound[],
    ports: ScrubberPorts & { readonly metrics: Metrics },
    metrics: StripeMetrics,
    limits: readonly TopicLimits[],
  ) {
    this.#rounds = rounds
    this.#limits = limits
    const stored = machines.filter((machine) => machine.stored !== undefined)
    this.scrubber = new Scrubber(stored, ports, createScrubberMetrics(ports.metrics))
    const ofRocksdb = stored.filter(({ storage }) => storage === 'rocksdb')
    this.#topics = new Map(ofRocksdb.map((machine) => [machine.log, new TopicRetention(machine, metrics)]))
    registerDamageGauge(ports.metrics, () => this.scrubber.damaged.length)
  }

  /** Takes effect with the next round, or step. */
  setLimits(limits: readonly TopicLimits[]): void {
    this.#limits = limits
  }

  async stop(): Promise<void> {
    this.#stopping = true
    await this.scrubber.stop()
    await this.#last
  }

  /** One round of retention over all logs. */
  retain(nowMs: number): Promise<void> {
    return this.#alone(async () => {
      const stopped = (): boolean => this.#stopping
      for (const round of this.#rounds) await round.run(nowMs, stopped)
      for (const retention of this.#topics.values()) await retention.run(this.#limits, nowMs, stopped)
    })
  }

  /** False when the log does not know the topic, or can't remove a topic alone. */
  removeTopic(log: LogId, topic: string): Promise<boolean> {
    return this.#alone(async () => (await this.#topics.get(log)?.removeTopic(topic)) ?? false)
  }

  /** Two pieces of work never change the same chunk at a time. */
  #alone<Result>(work: () => Promise<Result>): Promise<Result> {
    const done = this.#last.then(work)
    this.#last = done.then(
      () => undefined,
      () => undefined,
    )
    return done
  }
}
