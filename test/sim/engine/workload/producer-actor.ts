// SPDX-License-Identifier: Apache-2.0
// A publisher without sequences: it sends each record once, whatever becomes of it.
import type { SimRandom } from '../../random.ts'
import type { EngineWorkload } from '../engine-configuration.ts'
import type { EngineProcess } from '../engine-node.ts'
import type { RecordContent } from '../sent-record.ts'
import { Appender } from './appender.ts'
import { type ActorSurroundings, EngineActor } from './engine-actor.ts'

export class ProducerActor extends EngineActor {
  readonly #name: string
  readonly #publisher: number
  readonly #appender: Appender
  #left: number

  constructor(surroundings: ActorSurroundings, random: SimRandom, publisher: number) {
    super(surroundings, random, surroundings.workload.actionMs)
    this.#name = `producer ${publisher}`
    this.#publisher = publisher
    this.#appender = new Appender(surroundings.node)
    this.#left = surroundings.workload.recordsPerProducer
  }

  get settled(): boolean {
    return this.#appender.open === 0
  }

  protected lookAfterLost(): void {
    this.#appender.giveUpLost()
  }

  protected act(process: EngineProcess): void {
    if (this.settling || this.#left <= 0) return
    const { log, topics } = this.plan.drawTarget(this.random, process, false)
    const count = this.random.range(1, this.workload.batchRecordsMax)
    this.#left -= count
    const records = Array.from({ length: count }, () =>
      log.send(this.#name, this.#draw(this.random.pick(topics), log.storage !== 'memory')),
    )
    this.#appender.append(process, log, records)
  }

  #draw(topic: string, durable: boolean): RecordContent {
    const { random, workload } = this
    const retain = durable && random.chance(workload.retainRatio)
    const payload = retain && random.chance(0.1) ? Buffer.alloc(0) : drawPayload(random, workload.payloadBytesMax)
    return { topic, qos: random.range(0, 2), retain, publisher: this.#publisher, sequence: -1, key: keyOf(workload, payload), payload }
  }
}

/** A few keys, so that each has many records. */
export const keyOf = ({ keyed }: EngineWorkload, payload: Buffer): Buffer<ArrayBuffer> | undefined =>
  keyed ? Buffer.from(`key ${payload.length % 5}`) : undefined

/** The first bytes say little: who a record is stands in its headers. */
export const drawPayload = (random: SimRandom, bytesMax: number): Buffer => Buffer.alloc(random.range(0, bytesMax), random.range(1, 255))
