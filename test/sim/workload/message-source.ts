// SPDX-License-Identifier: Apache-2.0
// Topics, filters and unique messages of the workload.
import type { Qos, TestMessage } from '../client-observer.ts'
import type { WorkloadConfiguration } from '../configuration.ts'
import type { SimRandom } from '../random.ts'

const QOS: readonly Qos[] = [0, 1, 2]
/** Some that end within the run, and one that does not: what has it must arrive. */
const LIFETIMES_SECONDS: readonly number[] = [1, 3, 10, 1_000_000]
const DELAYS_SECONDS: readonly number[] = [1, 2, 5, 10]
/** Wills and retained topics are apart from the others: who waits for them subscribes to nothing else. */
const WILL_PREFIX = 'will/'

export class MessageSource {
  readonly #random: SimRandom
  readonly #configuration: WorkloadConfiguration
  readonly #publisher: string
  readonly #delays: SimRandom
  readonly #lifetimes: SimRandom
  /** The publisher's protocol version can say how long a message lives. */
  readonly #tellsLifetime: boolean
  #sequence = 0

  constructor(random: SimRandom, configuration: WorkloadConfiguration, publisher: string, tellsLifetime: boolean) {
    this.#random = random
    this.#lifetimes = random.stream('lifetimes')
    this.#tellsLifetime = tellsLifetime
    this.#delays = random.stream('delays')
    this.#configuration = configuration
    this.#publisher = publisher
  }

  /** All that this client may publish has been made. */
  get exhausted(): boolean {
    return this.#sequence >= this.#configuration.messagesPerClient
  }

  next(): TestMessage {
    const random = this.#random
    const { topics, retainRatio, delayedRatio } = this.#configuration
    const delayed = this.#delays.chance(delayedRatio)
    const retain = random.chance(retainRatio) && !delayed
    const topic = topicOf(random.range(0, topics - 1))
    const removes = retain && random.chance(0.15)
    const message = this.#message(this.#publisher, topic, removes ? 1 : random.pick(QOS), retain, removes)
    if (delayed) return { ...message, delaySeconds: this.#delays.pick(DELAYS_SECONDS) }
    const expires = this.#tellsLifetime && !removes && this.#lifetimes.chance(this.#configuration.expiryRatio)
    return expires ? { ...message, expirySeconds: this.#lifetimes.pick(LIFETIMES_SECONDS) } : message
  }

  will(): TestMessage {
    return this.#message(`${this.#publisher}-will`, WILL_PREFIX + this.#publisher, this.#random.pick(QOS), false, false)
  }

  #message(publisher: string, topic: string, qos: Qos, retain: boolean, removes: boolean): TestMessage {
    const sequence = this.#sequence++
    const size = this.#random.range(0, this.#configuration.payloadBytesMax)
    return { publisher, sequence, topic, qos, retain, payload: removes ? '' : `${publisher}:${sequence};`.padEnd(size, '.') }
  }
}

/** 't/<room>/<n>': two rooms, so that wildcards of every kind match some and not all. */
export const topicOf = (index: number): string => `t/${index % 2}/${index}`

export const WILL_FILTER = `${WILL_PREFIX}#`

/** Exact and wildcard filters that overlap. */
export function drawFilter(random: SimRandom, configuration: WorkloadConfiguration): string {
  const index = random.range(0, configuration.topics - 1)
  return random.pick([topicOf(index), topicOf(index), `t/${index % 2}/+`, `t/+/${index}`, `+/${index % 2}/#`, 't/#', '#'])
}
