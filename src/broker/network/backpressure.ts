// SPDX-License-Identifier: Apache-2.0
// Stops reading from publishers while too much of what was read is not stored yet: back-pressure before memory (DESIGN 6).
import type { Clock } from '#base/port/clock'

export interface Pausable {
  /** Reads on. */
  resumeReading(): void
  /** Whether the connection itself has room again. */
  readonly relieved: boolean
}

/** Bytes of the node that are read and not settled. */
const HIGH_BYTES = 64 * 1024 * 1024
const LOW_BYTES = HIGH_BYTES / 2
const CHECK_MS = 5

export class Backpressure {
  readonly #clock: Clock
  readonly #pendingBytes: () => number
  #paused: Pausable[] = []

  constructor(clock: Clock, pendingBytes: () => number) {
    this.#clock = clock
    this.#pendingBytes = pendingBytes
  }

  get overloaded(): boolean {
    return this.#pendingBytes() > HIGH_BYTES
  }

  /** The connection has stopped reading; it is told to go on when it and the node have room. */
  wait(connection: Pausable): void {
    if (this.#paused.push(connection) === 1) this.#clock.after(CHECK_MS, this.#check)
  }

  readonly #check = (): void => {
    const nodeRelieved = this.#pendingBytes() < LOW_BYTES
    const waiting = this.#paused
    this.#paused = []
    for (const connection of waiting) {
      if (nodeRelieved && connection.relieved) connection.resumeReading()
      else this.#paused.push(connection)
    }
    if (this.#paused.length > 0) this.#clock.after(CHECK_MS, this.#check)
  }
}
