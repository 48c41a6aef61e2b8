// SPDX-License-Identifier: Apache-2.0
// Which subscribers take longest, from the time that a message was published to the time that they have it: a histogram of samples, and the slowest
// clients with the topics on which they are slow.
import type { Clock } from '#base/port/clock'
import type { Histogram, Metrics } from '#base/port/metrics'

export interface SlowSubscriptionSettings {
  /** Least delay, in ms, that is remembered. */
  readonly threshold: number
  /** Most pairs of client and topic that are remembered; 0: none. */
  readonly countMax: number
  /** How long a delay is remembered, in ms. */
  readonly expiry: number
}

export interface SlowSubscription {
  readonly clientId: string
  readonly topic: string
  /** The last delay above the threshold. */
  readonly delayMs: number
  /** When it was measured, ms since 1970. */
  readonly timeMs: number
}

const BUCKETS_SECONDS = Object.freeze([0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60])

export class SlowSubscriptions {
  readonly #clock: Clock
  readonly #byQos: readonly Histogram[]
  readonly #slowest = new Map<string, SlowSubscription>()
  #settings: SlowSubscriptionSettings

  constructor(clock: Clock, metrics: Metrics, settings: SlowSubscriptionSettings) {
    this.#clock = clock
    this.#settings = settings
    this.#byQos = [0, 1, 2].map((qos) =>
      metrics.histogram(
        'robustmq_delivery_seconds',
        'Time from the publication of a message to its acknowledgement by a subscriber (QoS 0: to the write to its socket), of samples.',
        BUCKETS_SECONDS,
        { qos: String(qos) },
      ),
    )
  }

  set settings(settings: SlowSubscriptionSettings) {
    this.#settings = settings
  }

  /** Takes a sample. `publishedMs`: ms since 1970. */
  observe(clientId: string, topic: string, qos: number, publishedMs: number): void {
    const timeMs = this.#clock.realtime()
    const delayMs = Math.max(0, timeMs - publishedMs)
    this.#byQos[qos]?.observe(delayMs / 1000)
    if (delayMs < this.#settings.threshold || this.#settings.countMax === 0) return
    this.#forgetOld(timeMs)
    // No client id has a NUL in it.
    this.#slowest.set(`${clientId}\0${topic}`, { clientId, topic, delayMs, timeMs })
    this.#trim()
  }

  /** The slowest first. */
  list(): readonly SlowSubscription[] {
    this.#forgetOld(this.#clock.realtime())
    this.#trim()
    return [...this.#slowest.values()].sort((a, b) => b.delayMs - a.delayMs)
  }

  #forgetOld(nowMs: number): void {
    for (const [key, { timeMs }] of this.#slowest) if (nowMs - timeMs >= this.#settings.expiry) this.#slowest.delete(key)
  }

  #trim(): void {
    while (this.#slowest.size > this.#settings.countMax) {
      let fastest: string | undefined
      let delayMs = Number.POSITIVE_INFINITY
      for (const [key, entry] of this.#slowest) {
        if (entry.delayMs >= delayMs) continue
        fastest = key
        delayMs = entry.delayMs
      }
      if (fastest !== undefined) this.#slowest.delete(fastest)
    }
  }
}
