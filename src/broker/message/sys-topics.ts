// SPDX-License-Identifier: Apache-2.0
// The values below $SYS: published at an interval while anyone is subscribed, and read for every new subscription at the moment at which it begins. So
// they look retained, and no value is stored anywhere.
import type { Clock, Timer } from '#base/port/clock'
import { matches } from '#base/topic-filter'
import type { RetainedValue } from '#contract/client/meta-client'
import { SYSTEM_UID, type SystemPublisher } from './system-publisher.ts'

export interface SystemValue {
  readonly topic: string
  /** The value now, as text. */
  read(): string
}

export class SystemTopics {
  readonly #clock: Clock
  readonly #publisher: Pick<SystemPublisher, 'publish'>
  readonly #isWanted: () => boolean
  readonly #values: readonly SystemValue[]
  #intervalMs: number
  #timer: Timer | undefined
  #isRunning = false

  /** `isWanted`: whether anyone has subscribed. `intervalMs`: 0 turns it off. */
  constructor(
    clock: Clock,
    publisher: Pick<SystemPublisher, 'publish'>,
    isWanted: () => boolean,
    values: readonly SystemValue[],
    intervalMs: number,
  ) {
    this.#clock = clock
    this.#publisher = publisher
    this.#isWanted = isWanted
    this.#values = [...values].sort((a, b) => (a.topic < b.topic ? -1 : 1))
    this.#intervalMs = intervalMs
  }

  start(): void {
    this.#isRunning = true
    this.#arm()
  }

  stop(): void {
    this.#isRunning = false
    this.#timer?.cancel()
  }

  setInterval(intervalMs: number): void {
    if (intervalMs === this.#intervalMs) return
    this.#intervalMs = intervalMs
    this.#arm()
  }

  /** As MetaClient.retained. Only filters that begin with $SYS can match one of these [MQTT-4.7.2-1]. */
  async retained(filter: string, after: string | undefined, count: number, nowMs: number): Promise<readonly RetainedValue[]> {
    if (this.#intervalMs === 0) return []
    const page: RetainedValue[] = []
    for (const { topic, read } of this.#values) {
      if (page.length === count) break
      if ((after === undefined || topic > after) && matches(filter, topic)) page.push(retainedOf(topic, read(), nowMs))
    }
    return page
  }

  #arm(): void {
    this.#timer?.cancel()
    if (this.#isRunning && this.#intervalMs > 0) this.#timer = this.#clock.after(this.#intervalMs, this.#publish)
  }

  readonly #publish = (): void => {
    if (this.#isWanted()) for (const { topic, read } of this.#values) this.#publisher.publish(topic, read())
    this.#arm()
  }
}

const NO_HEADERS = Buffer.alloc(0)
/** The value is in no log: nothing of it comes along live. */
const NOWHERE = Object.freeze({ log: -1, position: 0 })

const retainedOf = (topic: string, text: string, nowMs: number): RetainedValue => ({
  ...NOWHERE,
  topic,
  qos: 0,
  expiryMs: 0,
  storedAtMs: nowMs,
  publisher: SYSTEM_UID,
  headers: NO_HEADERS,
  payload: Buffer.from(text),
})

/** Whether what a filter matches is below $SYS, and nowhere else. */
export const isSystemFilter = (filter: string): boolean => filter === '$SYS' || filter.startsWith('$SYS/')
