// SPDX-License-Identifier: Apache-2.0
// Time from the operating system and the event loop.
import { performance } from 'node:perf_hooks'
import type { Clock, Timer } from '#base/port/clock'

/** The longest delay that setTimeout takes; anything above it fires at once. */
const TIMEOUT_MS_MAX = 0x7fff_ffff

export class NodeClock implements Clock {
  monotonic(): number {
    return performance.now()
  }

  realtime(): number {
    return Date.now()
  }

  after(delayMs: number, fire: () => void): Timer {
    return new NodeTimer(performance.now() + delayMs, fire)
  }

  /** The check phase of the loop: it comes after the poll phase, in which all sockets that are ready have been read. */
  endOfTurn(fire: () => void): void {
    setImmediate(fire)
  }
}

class NodeTimer implements Timer {
  readonly #dueMs: number
  readonly #fire: () => void
  #handle: NodeJS.Timeout

  constructor(dueMs: number, fire: () => void) {
    this.#dueMs = dueMs
    this.#fire = fire
    this.#handle = this.#arm()
  }

  cancel(): void {
    clearTimeout(this.#handle)
  }

  #arm(): NodeJS.Timeout {
    const remainingMs = Math.max(0, Math.ceil(this.#dueMs - performance.now()))
    return setTimeout(NodeTimer.#onTimeout, Math.min(remainingMs, TIMEOUT_MS_MAX), this)
  }

  /** The loop counts whole milliseconds and may be early by a part of one; the port promises "at least". */
  static #onTimeout(timer: NodeTimer): void {
    if (performance.now() < timer.#dueMs) timer.#handle = timer.#arm()
    else timer.#fire()
  }
}
