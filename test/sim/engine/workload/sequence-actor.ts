// SPDX-License-Identifier: Apache-2.0
// A publisher whose records have sequences, as those of QoS 2: it sends a record until it is acknowledged, then releases the sequence until that is certain,
// and only then uses it again (D14, L31).
import type { LogId } from '#contract/client/engine-client'
import type { SimRandom } from '../../random.ts'
import type { LogChecker } from '../checker/log-checker.ts'
import type { EngineProcess } from '../engine-node.ts'
import type { SentRecord } from '../sent-record.ts'
import { Appender } from './appender.ts'
import { type ActorSurroundings, EngineActor } from './engine-actor.ts'
import { drawPayload, keyOf } from './producer-actor.ts'

const WINDOWS = [1, 4, 20] as const
/** A publisher has sent what it has not had an answer to a second time already. */
const IMPATIENT_RATIO = 0.05
const FORGET_RATIO = 0.01
/** Distance between the publishers of two sessions. */
const SESSIONS_MAX = 1000

interface Item {
  readonly record: SentRecord
  readonly log: LogChecker
  /** The process that was asked to release it and has not answered. */
  releasing: EngineProcess | undefined
  /** A release was asked for and not answered: it may have been done. */
  releaseDoubtful: boolean
}

export class SequenceActor extends EngineActor {
  readonly #appender: Appender
  readonly #window: number
  readonly #base: number
  #session = 0
  /** By sequence. */
  #items = new Map<number, Item>()
  #left: number
  #forgetting: EngineProcess | undefined
  #mustForget = false

  constructor(surroundings: ActorSurroundings, random: SimRandom, publisher: number) {
    super(surroundings, random, surroundings.workload.actionMs)
    this.#base = publisher * SESSIONS_MAX
    this.#appender = new Appender(surroundings.node)
    this.#window = random.pick(WINDOWS)
    this.#left = surroundings.workload.recordsPerProducer
  }

  get settled(): boolean {
    return this.#items.size === 0 && this.#appender.open === 0 && !this.#mustForget
  }

  get #publisher(): number {
    return this.#base + this.#session
  }

  protected lookAfterLost(): void {
    this.#appender.giveUpLost()
    if (this.#forgetting !== undefined && !this.node.isAlive(this.#forgetting)) this.#forgetting = undefined
    for (const item of this.#items.values()) {
      if (item.releasing === undefined || this.node.isAlive(item.releasing)) continue
      item.releasing = undefined
      item.releaseDoubtful = true
    }
  }

  protected act(process: EngineProcess): void {
    if (this.#mustForget) this.#forget(process)
    else if (!this.settling && this.#appender.open === 0 && this.#items.size > 0 && this.random.chance(FORGET_RATIO))
      this.#mustForget = true
    else {
      // With the log of its topic a sequence goes too.
      for (const [sequence, { log }] of this.#items) if (this.node.log(process, log.log) !== log) this.#items.delete(sequence)
      this.#checkUnreleased(process)
      for (const [sequence, item] of this.#items) if (item.record.acknowledged) this.#release(process, sequence, item)
      this.#send(process)
    }
  }

  /** One batch of what is to be sent again, and of what is new, to one log. */
  #send(process: EngineProcess): void {
    const waiting = [...this.#items.values()].filter(({ record }) => this.#isDue(record))
    const [first] = waiting
    const target = first === undefined ? this.plan.drawTarget(this.random, process, true) : undefined
    const log = first?.log ?? target?.log
    if (log === undefined) return
    const batch = waiting.filter((item) => item.log === log).map(({ record }) => record)
    const room = this.workload.batchRecordsMax
    const records = batch.slice(0, room)
    const topics = target?.topics ?? batch.map(({ content }) => content.topic)
    for (let count = this.random.range(0, room - records.length); count > 0; count--) {
      const record = this.#create(log, this.random.pick(topics))
      if (record === undefined) break
      records.push(record)
    }
    if (records.length > 0) this.#appender.append(process, log, records)
  }

  #isDue(record: SentRecord): boolean {
    return !record.acknowledged && (record.open === 0 || this.random.chance(IMPATIENT_RATIO))
  }

  #create(log: LogChecker, topic: string): SentRecord | undefined {
    if (this.settling || this.#left <= 0 || this.#items.size >= this.#window) return undefined
    this.#left--
    let sequence = 1
    while (this.#items.has(sequence)) sequence++
    const payload = drawPayload(this.random, this.workload.payloadBytesMax)
    const key = keyOf(this.workload, payload)
    const content = {
      topic,
      qos: 2,
      retain: this.random.chance(this.workload.retainRatio),
      publisher: this.#publisher,
      sequence,
      key,
      payload,
    }
    const record = log.send(`publisher ${this.#publisher}`, content)
    this.#items.set(sequence, { record, log, releasing: undefined, releaseDoubtful: false })
    return record
  }

  #release(process: EngineProcess, sequence: number, item: Item): void {
    if (item.releasing !== undefined) return
    item.releasing = process
    const call = process.engine.release(this.#publisher, sequence, this.random.chance(0.5) ? item.log.log : undefined)
    const done = (known: boolean): void => {
      if (!known && !item.releaseDoubtful && !item.log.mayVanish)
        item.log.fail('sequences', `it has forgotten the sequence of ${item.record}, which was not released`)
      // With the log the item may have gone, and the sequence may stand for another one by now.
      if (this.#items.get(sequence) === item) this.#items.delete(sequence)
    }
    this.after(process, call, done, () => {
      item.releasing = undefined
      item.releaseDoubtful = true
    })
  }

  /** What the engine says to be unreleased is what this publisher knows, as far as it can know. */
  #checkUnreleased(process: EngineProcess): void {
    const certain = [...this.#items].filter(([, item]) => item.record.acknowledged && item.releasing === undefined && !item.releaseDoubtful)
    const publisher = this.#publisher
    const done = (told: readonly { readonly sequence: number; readonly log: LogId }[]): void => {
      for (const { sequence, log } of told) {
        const item = this.#items.get(sequence)
        if (item?.log.log !== log || !item.record.mayExist)
          this.node.log(process, log)?.fail('sequences', `it says that sequence ${sequence} of ${publisher} is not released`)
      }
      for (const [sequence, { log, record }] of certain)
        if (!log.mayVanish && !told.some((one) => one.sequence === sequence && one.log === log.log))
          log.fail('sequences', `it does not know ${record}, which was not released`)
    }
    this.after(process, process.engine.unreleased(publisher), done, () => undefined)
  }

  /** The session ends: its sequences mean nothing any more, and the next session has another publisher. */
  #forget(process: EngineProcess): void {
    if (this.#forgetting !== undefined) return
    this.#forgetting = process
    const done = (): void => {
      this.#forgetting = undefined
      this.#mustForget = false
      this.#session++
      this.#items = new Map()
    }
    this.after(process, process.engine.forget([this.#publisher]), done, () => {
      this.#forgetting = undefined
    })
  }
}
