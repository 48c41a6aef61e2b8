// SPDX-License-Identifier: Apache-2.0
// Token buckets. Work is never refused: it is taken on credit, and who is in debt has to wait until it is paid. So a limit costs one subtraction where
// the work is done, and whoever is limited loses nothing.
import type { Clock } from '#base/port/clock'

const SECOND_MS = 1_000

export class RateLimit {
  readonly #clock: Clock
  /** What is left, at most what one second gives; negative is debt. */
  #tokens = 0
  #ratePerSecond = 0
  #refilledMs: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#refilledMs = clock.monotonic()
  }

  /** Takes so much. Returns how long to wait, in ms, before anything more is taken; 0 for not at all. A rate of 0 is no limit; it may change between calls. */
  take(count: number, ratePerSecond: number): number {
    if (ratePerSecond === 0) {
      this.#ratePerSecond = 0
      return 0
    }
    const nowMs = this.#clock.monotonic()
    // Full at first, and again when the rate has changed: what went before was measured by another one.
    const gained =
      this.#ratePerSecond === ratePerSecond ? ((nowMs - this.#refilledMs) * ratePerSecond) / SECOND_MS : ratePerSecond - this.#tokens
    this.#ratePerSecond = ratePerSecond
    this.#refilledMs = nowMs
    this.#tokens = Math.min(this.#tokens + gained, ratePerSecond) - count
    return this.#tokens >= 0 ? 0 : Math.ceil((-this.#tokens * SECOND_MS) / ratePerSecond)
  }
}
