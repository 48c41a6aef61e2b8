// SPDX-License-Identifier: Apache-2.0
// The care of stored logs, one piece of work at a time: retention of logs and of topics, removal of topics and of what is damaged, and the scrubber beside them.
import type { Config } from '#base/config/schema'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Metrics } from '#base/port/metrics'
import type { LogId, Position, ReadRequest, StorageType } from '#contract/client/engine-client'
import { type BlockedReader, BlockedReaders } from '../log/blocked-readers.ts'
import { DamageRemoval } from '../log/damage-removal.ts'
import { RunRemoval } from '../log/run-removal.ts'
import { type ScrubbedPlaces, Scrubber, type ScrubberPorts } from '../log/scrubber.ts'
import type { StripeMachine } from '../log/stripe-machine.ts'
import type { StripeMetrics } from '../log/stripe-metrics.ts'
import { type TopicLimits, TopicRetention } from '../log/topic-retention.ts'
import { createScrubberMetrics, registerDamageGauges, registerIndexGauges } from './engine-metrics.ts'

/** What is kept of single topics, out of `[[topic]]`. A table without limits shields the topics that match it from those that follow. */
export const topicLimits = (topics: Config['topic']): readonly TopicLimits[] =>
  topics.map(({ filter, maxAge, maxBytes }) => ({ filter, maxAgeMs: maxAge ?? 0, maxBytes: maxBytes ?? 0 }))

/** Readers that one sentence names. */
const READERS_SHOWN = 10

/** One round of the retention of whole logs. */
export interface RetentionRound {
  run(nowMs: number, stopped: () => boolean): Promise<unknown>
}

export interface UpkeepPorts extends ScrubberPorts {
  readonly metrics: Metrics
}

/** What one log is cared for with. */
interface LogCare {
  readonly machine: StripeMachine
  readonly topics: TopicRetention
  readonly damage: DamageRemoval
  /** Of a log of one topic: the limits of the topic are those of the log. The others have theirs together. */
  readonly round: RetentionRound | undefined
}

export class Upkeep {
  readonly scrubber: Scrubber
  readonly #rounds: readonly RetentionRound[]
  readonly #metricsOf: (storage: StorageType) => StripeMetrics
  /** Of the logs that are stored. */
  readonly #logs = new Map<LogId, LogCare>()
  readonly #blocked: BlockedReaders
  #limits: readonly TopicLimits[]
  #last: Promise<unknown> = Promise.resolve()
  #stopping = false

  /** `machines`: all logs there are now; `rounds`: their retention. */
  constructor(
    machines: readonly StripeMachine[],
    rounds: readonly RetentionRound[],
    ports: UpkeepPorts,
    metricsOf: (storage: StorageType) => StripeMetrics,
    limits: readonly TopicLimits[],
    places: ScrubbedPlaces,
  ) {
    this.#rounds = rounds
    this.#metricsOf = metricsOf
    this.#limits = limits
    this.scrubber = new Scrubber(places, ports, createScrubberMetrics(ports.metrics))
    this.#blocked = new BlockedReaders(ports.clock)
    for (const machine of machines) this.add(machine)
    registerDamageGauges(ports.metrics, {
      blocked: () => this.blocked().length,
      ranges: () => this.scrubber.damaged.length,
      places: () => this.scrubber.damagedPlaces.length,
    })
    registerIndexGauges(ports.metrics, {
      indexBytes: (storage) => this.#sum((machine) => (machine.storage === storage ? this.scrubber.indexBytes(machine.log) : 0)),
      batchHits: () => this.#sum(({ entries }) => entries?.hits ?? 0),
      batchMisses: () => this.#sum(({ entries }) => entries?.misses ?? 0),
    })
  }

  /** Cares for one more log; nothing to do for one in memory. `round`: its retention, when it is not among those of the constructor. */
  add(machine: StripeMachine, round?: RetentionRound): void {
    if (machine.stored === undefined) return
    const metrics = this.#metricsOf(machine.storage)
    const removal = new RunRemoval(machine, metrics)
    const topics = new TopicRetention(machine, removal)
    this.#logs.set(machine.log, { machine, topics, damage: new DamageRemoval(machine, removal, metrics), round })
    this.scrubber.add(machine)
  }

  /** The log goes: resolves when no work on it is under way. */
  async remove(machine: StripeMachine): Promise<void> {
    if (!this.#logs.has(machine.log)) return
    await this.scrubber.forget(machine)
    await this.#alone(async () => void this.#logs.delete(machine.log))
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
      // Topics first: files in which nothing is left are then given up in the same round.
      for (const { topics, round } of [...this.#logs.values()]) if (round === undefined) await topics.run(this.#limits, nowMs, stopped)
      for (const { round } of [...this.#logs.values()]) await round?.run(nowMs, stopped)
      for (const round of this.#rounds) await round.run(nowMs, stopped)
    })
  }

  /** False when the log does not know the topic, or is not stored. */
  removeTopic(log: LogId, topic: string): Promise<boolean> {
    return this.#alone(async () => (await this.#logs.get(log)?.topics.removeTopic(topic)) ?? false)
  }

  /** Removes what is damaged at positions [from, to) of a log. Resolves with the number of records that were lost, as far as it is known. */
  removeDamaged(log: LogId, from: Position, to: Position): Promise<number> {
    return this.#alone(async () => {
      const care = this.#logs.get(log)
      if (care === undefined) return 0
      const count = await care.damage.remove(from, to)
      await this.scrubber.lookAgain(care.machine, from, to)
      return count
    })
  }

  /** Looks after a read: damage that it meets is looked for at once, and whom it holds up is told. */
  watch({ log, from, reader }: Pick<ReadRequest, 'log' | 'from' | 'reader'>, reading: Promise<unknown>): void {
    reading.then(
      () => {
        if (reader !== undefined) this.#blocked.clear(reader, log)
      },
      (error: unknown) => {
        if (!isPlatformError(error, ERROR_CODES.dataDamaged)) return
        if (reader !== undefined) this.#blocked.note(reader, log, from)
        this.scrubber.examine(log, from)
      },
    )
  }

  /** Readers of a log, or of all, that can't go on before damage is removed. */
  blocked(log?: LogId): readonly BlockedReader[] {
    return this.#blocked.before(log === undefined ? this.scrubber.damaged : this.scrubber.damagedIn(log))
  }

  /** What an operator should know: a sentence for each damage, and whom it holds up. */
  warnings(): readonly string[] {
    const { damaged, damagedPlaces } = this.scrubber
    const records = damaged.map(
      ({ log, from, to, topics }) =>
        `log ${log}: records of ${topics.join(', ')} at positions ${from} to ${to} are damaged and not served; restore them from a copy, or remove the range or the topic`,
    )
    const blocked = this.blocked()
    const names = blocked.slice(0, READERS_SHOWN).map(({ reader, log, position }) => `${reader} (log ${log} from ${position})`)
    const more = blocked.length > names.length ? ` and ${blocked.length - names.length} more` : ''
    const held = names.length === 0 ? [] : [`readers wait for damaged records to be restored or removed: ${names.join(', ')}${more}`]
    return [...records, ...damagedPlaces, ...held]
  }

  #sum(count: (machine: StripeMachine) => number): number {
    let sum = 0
    for (const { machine } of this.#logs.values()) sum += count(machine)
    return sum
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
