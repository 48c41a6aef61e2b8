// SPDX-License-Identifier: Apache-2.0
// A clock that is moved by hand. Wall time and monotonic time are the same.
import type { Clock } from '#base/port/clock'

export class HandClock implements Clock {
  nowMs: number
  #timers: { readonly atMs: number; readonly fire: () => void }[] = []

  constructor(nowMs = 0) {
    this.nowMs = nowMs
  }

  monotonic(): number {
    return this.nowMs
  }

  realtime(): number {
    return this.nowMs
  }

  after(delayMs: number, fire: () => void): { cancel(): void } {
    const timer = { atMs: this.nowMs + delayMs, fire }
    this.#timers.push(timer)
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer)
      },
    }
  }

  endOfTurn(): void {
    throw new Error('not used')
  }

  get timerCount(): number {
    return this.#timers.length
  }

  /** Lets time pass, and fires what comes due in its order. */
  pass(ms: number): void {
    const endMs = this.nowMs + ms
    for (;;) {
      const due = this.#timers.filter(({ atMs }) => atMs <= endMs).sort((a, b) => a.atMs - b.atMs)[0]
      if (due === undefined) break
      this.#timers = this.#timers.filter((other) => other !== due)
      this.nowMs = Math.max(this.nowMs, due.atMs)
      due.fire()
    }
    this.nowMs = endMs
  }
}
