// SPDX-License-Identifier: Apache-2.0
// Stops reading from publishers for two reasons: too much of what was read is not stored yet, or a subscriber that keeps up otherwise
// needs a moment to take what was sent. Back-pressure before memory and before loss (DESIGN 6); a subscriber that is slow for longer
// holds nobody up.
import type { Clock } from '#base/port/clock'

export interface Pausable {
  /** Reads on. */
  resumeReading(): void
  /** Whether the connection itself has room again. */
  readonly relieved: boolean
}

export interface Congestible {
  /** Output is queued beyond what a client that keeps up has. */
  readonly congested: boolean
  /** Waiting did not help: it is not waited for again until its queue has been empty. */
  markSlow(): void
}

/** Bytes of the node that are read and not settled. */
const HIGH_BYTES = 64 * 1024 * 1024
const LOW_BYTES = HIGH_BYTES / 2
const CHECK_MS = 5
/** How long publishers wait for a congested subscriber. */
const PATIENCE_MS = 500

export class Backpressure {
  readonly #clock: Clock
  readonly #pendingBytes: () => number
  #paused: Pausable[] = []
  /** With the time when each was found congested, on the monotonic clock. */
  readonly #congested = new Map<Congestible, number>()
  #checking = false

  constructor(clock: Clock, pendingBytes: () => number) {
    this.#clock = clock
    this.#pendingBytes = pendingBytes
  }

  get overloaded(): boolean {
    return this.#congested.size > 0 || this.#pendingBytes() > HIGH_BYTES
  }

  /** The connection has stopped reading; it is told to go on when it and the node have room. */
  wait(connection: Pausable): void {
    this.#paused.push(connection)
    this.#arm()
  }

  /** Publishers wait for this subscriber, for a while. */
  relieve(subscriber: Congestible): void {
    if (this.#congested.has(subscriber)) return
    this.#congested.set(subscriber, this.#clock.monotonic())
    this.#arm()
  }

  /** The subscriber is gone. */
  forget(subscriber: Congestible): void {
    this.#congested.delete(subscriber)
  }

  #arm(): void {
    if (this.#checking) return
    this.#checking = true
    this.#clock.after(CHECK_MS, this.#check)
  }

  readonly #check = (): void => {
    this.#checking = false
    this.#reviewCongested()
    const nodeRelieved = this.#congested.size === 0 && this.#pendingBytes() < LOW_BYTES
    const waiting = this.#paused
    this.#paused = []
    for (const connection of waiting) {
      if (nodeRelieved && connection.relieved) connection.resumeReading()
      else this.#paused.push(connection)
    }
    if (this.#paused.length > 0 || this.#congested.size > 0) this.#arm()
  }

  #reviewCongested(): void {
    const nowMs = this.#clock.monotonic()
    for (const [subscriber, sinceMs] of this.#congested) {
      if (subscriber.congested && nowMs - sinceMs <= PATIENCE_MS) continue
      this.#congested.delete(subscriber)
      if (subscriber.congested) subscriber.markSlow()
    }
  }
}
