// SPDX-License-Identifier: Apache-2.0
// A clock that stands still until it is told to go on.
import type { Clock, Timer } from '#base/port/clock'

export class ManualClock implements Clock {
  #nowMs = 0
  readonly #timers = new Set<{ readonly dueMs: number; readonly fire: () => void }>()

  monotonic(): number {
    return this.#nowMs
  }

  realtime(): number {
    return this.#nowMs
  }

  after(delayMs: number, fire: () => void): Timer {
    const timer = { dueMs: this.#nowMs + delayMs, fire }
    this.#timers.add(timer)
    return { cancel: () => this.#timers.delete(timer) }
  }

  endOfTurn(fire: () => void): void {
    queueMicrotask(fire)
  }

  /** Lets time pass and fires what is due, each timer once. */
  advance(delayMs: number): void {
    this.#nowMs += delayMs
    for (const timer of [...this.#timers]) {
      if (timer.dueMs <= this.#nowMs && this.#timers.delete(timer)) timer.fire()
    }
  }
}
