// SPDX-License-Identifier: Apache-2.0
// Stops reading from publishers for two reasons: too much of what was read is not stored yet, or a subscriber that keeps up otherwise
// needs a moment to take what was sent. Back-pressure before memory and before loss (DESIGN 6). Only those who feed a congested subscriber
// wait for it, and not for long: one that is slow holds nobody up.
import type { Clock } from '#base/port/clock'

export interface Pausable {
  /** Reads on. */
  resumeReading(): void
  /** Whether the connection itself has room again. */
  readonly relieved: boolean
  /** Session uid of whoever publishes here. */
  readonly publisher: number
}

export interface Congestible {
  /** Output is queued beyond what a client that keeps up has. */
  readonly congested: boolean
  /** Waiting did not help: it is not waited for again until its queue has been empty. */
  markSlow(): void
}

interface Congestion {
  readonly sinceMs: number
  readonly publishers: Set<number>
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
  readonly #congested = new Map<Congestible, Congestion>()
  #checking = false

  constructor(clock: Clock, pendingBytes: () => number) {
    this.#clock = clock
    this.#pendingBytes = pendingBytes
  }

  /** Whether a publisher must wait before more is read from it. */
  holds(publisher: number): boolean {
    return (this.#congested.size > 0 && this.#feedsCongested(publisher)) || this.#pendingBytes() > HIGH_BYTES
  }

  /** The connection has stopped reading; it is told to go on when it and the node have room. */
  wait(connection: Pausable): void {
    this.#paused.push(connection)
    this.#arm()
  }

  /** A message of `publisher` went to a congested subscriber: the publisher waits for it, for a while. */
  relieve(subscriber: Congestible, publisher: number): void {
    let congestion = this.#congested.get(subscriber)
    if (congestion === undefined) {
      congestion = { sinceMs: this.#clock.monotonic(), publishers: new Set() }
      this.#congested.set(subscriber, congestion)
      this.#arm()
    }
    congestion.publishers.add(publisher)
  }

  /** The subscriber is gone. */
  forget(subscriber: Congestible): void {
    this.#congested.delete(subscriber)
  }

  #feedsCongested(publisher: number): boolean {
    for (const { publishers } of this.#congested.values()) if (publishers.has(publisher)) return true
    return false
  }

  #arm(): void {
    if (this.#checking) return
    this.#checking = true
    this.#clock.after(CHECK_MS, this.#check)
  }

  readonly #check = (): void => {
    this.#checking = false
    this.#reviewCongested()
    const nodeRelieved = this.#pendingBytes() < LOW_BYTES
    const waiting = this.#paused
    this.#paused = []
    for (const connection of waiting) {
      if (nodeRelieved && connection.relieved && !this.#feedsCongested(connection.publisher)) connection.resumeReading()
      else this.#paused.push(connection)
    }
    if (this.#paused.length > 0 || this.#congested.size > 0) this.#arm()
  }

  #reviewCongested(): void {
    const nowMs = this.#clock.monotonic()
    for (const [subscriber, { sinceMs }] of this.#congested) {
      if (subscriber.congested && nowMs - sinceMs <= PATIENCE_MS) continue
      this.#congested.delete(subscriber)
      if (subscriber.congested) subscriber.markSlow()
    }
  }
}
