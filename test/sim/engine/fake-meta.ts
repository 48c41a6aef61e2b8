// SPDX-License-Identifier: Apache-2.0
// What the engine needs of meta: a place for retained values, and a catalogue of logs, that are slow or away at times. It outlives the processes that write to it, as meta does.
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Clock } from '#base/port/clock'
import type { LogId, Position, StorageType } from '#contract/client/engine-client'
import type { CataloguedLog, LogCatalogue, LogCreation } from '#contract/client/log-catalogue'
import type { MetaClient, RetainedMessage, RetainedWrite } from '#contract/client/meta-client'
import type { SimRandom } from '../random.ts'
import type { World } from '../world.ts'
import type { RetainConditions } from './engine-configuration.ts'

const SLOW_MS_MAX = 3_000
const OUTAGE_MS_MAX = 2_000
const REFUSALS = [ERROR_CODES.notReady, ERROR_CODES.proposalDropped, ERROR_CODES.outcomeUnknown]

export type EngineMeta = Pick<MetaClient, 'retain' | 'createLog' | 'removeLog' | 'logs'>

export interface RetainedValue {
  readonly position: Position
  readonly message: RetainedMessage | undefined
}

export class FakeMeta {
  readonly #world: World
  readonly #random: SimRandom
  readonly #conditions: RetainConditions
  readonly #values = new Map<string, RetainedValue>()
  readonly #logs = new Map<string, CataloguedLog>()
  #nextId: LogId = 0
  #awayUntilMs = 0
  #healed = false

  constructor(world: World, random: SimRandom, conditions: RetainConditions) {
    this.#world = world
    this.#random = random
    this.#conditions = conditions
    this.#scheduleOutage()
  }

  /** The latest value that a log has written for a topic, removals included. */
  value(log: LogId, topic: string): RetainedValue | undefined {
    return this.#values.get(keyOf(log, topic))
  }

  /** Prompt and there from now on. */
  heal(): void {
    this.#healed = true
    this.#awayUntilMs = 0
  }

  /** As one process sees it: what it waits for ends with it. */
  forProcess(clock: Clock): EngineMeta {
    return {
      retain: (writes) => this.#call(clock, () => this.#write(writes)),
      createLog: (log) => this.#call(clock, () => this.#create(log)),
      removeLog: (log) => this.#call(clock, () => this.#remove(log)),
      logs: () => this.#catalogue(clock),
    }
  }

  /** The answer of a call whose process has died is never heard, whether the call was done or not; an outage may lose the answer as well. */
  async #call<T>(clock: Clock, work: () => T): Promise<T> {
    const random = this.#random
    const slow = !this.#healed && random.chance(this.#conditions.slowRatio)
    const delayMs = slow ? random.fraction() * SLOW_MS_MAX : random.delayMs(this.#conditions.delayMs)
    const early = random.chance(0.5)
    const away = this.#world.nowMs < this.#awayUntilMs
    const code = random.pick(REFUSALS)
    const isDone = !away || (code === ERROR_CODES.outcomeUnknown && random.chance(0.5))
    let answer = isDone && early ? work() : undefined
    await new Promise<void>((resolve) => clock.after(delayMs, resolve))
    if (isDone && !early) answer = work()
    if (away) throw new PlatformError(code, 'meta is away')
    return answer as T
  }

  /** Waits for the end of an outage: a node does not start without meta. */
  async #catalogue(clock: Clock): Promise<LogCatalogue> {
    const delayMs = Math.max(0, this.#awayUntilMs - this.#world.nowMs) + this.#random.delayMs(this.#conditions.delayMs)
    await new Promise<void>((resolve) => clock.after(delayMs, resolve))
    return { logs: [...this.#logs.values()].sort((a, b) => a.id - b.id), nextId: this.#nextId }
  }

  #create(log: CataloguedLog): LogCreation {
    const key = keyOf(log.storage, log.topic)
    const known = this.#logs.get(key)
    if (known !== undefined) return known.id === log.id ? { kind: 'created' } : { kind: 'exists', id: known.id }
    if (log.id < this.#nextId) return { kind: 'taken', nextId: this.#nextId }
    this.#nextId = log.id + 1
    this.#logs.set(key, log)
    return { kind: 'created' }
  }

  #remove({ id, storage, topic }: CataloguedLog): void {
    const key = keyOf(storage, topic)
    if (this.#logs.get(key)?.id === id) this.#logs.delete(key)
  }

  #write(writes: readonly RetainedWrite[]): void {
    for (const { topic, log, position, message } of writes) {
      const known = this.value(log, topic)
      if (known !== undefined && known.position > position) continue
      const kept =
        message === undefined ? undefined : { ...message, headers: Buffer.from(message.headers), payload: Buffer.from(message.payload) }
      this.#values.set(keyOf(log, topic), { position, message: kept })
    }
  }

  #scheduleOutage(): void {
    const { outageMs } = this.#conditions
    if (outageMs === undefined) return
    this.#world.schedule('fault', undefined, this.#random.delayMs(outageMs), () => {
      if (this.#healed) return
      this.#awayUntilMs = this.#world.nowMs + this.#random.fraction() * OUTAGE_MS_MAX
      this.#scheduleOutage()
    })
  }
}

const keyOf = (place: LogId | StorageType, topic: string): string => `${place} ${topic}`
