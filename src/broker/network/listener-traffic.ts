// SPDX-License-Identifier: Apache-2.0
// What comes in by one listener: counted, and held to the rates that all its connections share.
import type { Clock } from '#base/port/clock'
import type { Counter } from '#base/port/metrics'
import { RateLimit } from './rate-limit.ts'

export interface TrafficRates {
  /** In a second; 0: no limit. */
  readonly maxMessageRate: number
  readonly maxByteRate: number
}

export interface TrafficMeters {
  readonly messages: Counter
  readonly bytes: Counter
  /** Times that a rate held a connection up. */
  readonly limited: Counter
}

export class ListenerTraffic {
  readonly #rates: TrafficRates
  readonly #meters: TrafficMeters
  readonly #messages: RateLimit
  readonly #bytes: RateLimit

  constructor(clock: Clock, rates: TrafficRates, meters: TrafficMeters) {
    this.#rates = rates
    this.#meters = meters
    this.#messages = new RateLimit(clock)
    this.#bytes = new RateLimit(clock)
  }

  /** A connection has read so much. Returns how long, in ms, it is to read no further. */
  take(messages: number, bytes: number): number {
    const { maxMessageRate, maxByteRate } = this.#rates
    this.#meters.messages.add(messages)
    this.#meters.bytes.add(bytes)
    const messagesMs = messages === 0 ? 0 : this.#messages.take(messages, maxMessageRate)
    const waitMs = Math.max(messagesMs, this.#bytes.take(bytes, maxByteRate))
    if (waitMs > 0) this.#meters.limited.add(1)
    return waitMs
  }
}
