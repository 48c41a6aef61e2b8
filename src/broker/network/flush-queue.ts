// SPDX-License-Identifier: Apache-2.0
// Connections with something to send: each is written once, at the end of the loop turn, however many packets it got.
import type { Clock } from '#base/port/clock'

export interface Flushable {
  flush(): void
}

export class FlushQueue {
  readonly #clock: Clock
  #waiting: Flushable[] = []

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** The caller adds itself once, until it is flushed. */
  add(connection: Flushable): void {
    if (this.#waiting.push(connection) === 1) this.#clock.endOfTurn(this.#flush)
  }

  readonly #flush = (): void => {
    const waiting = this.#waiting
    this.#waiting = []
    for (let at = 0; at < waiting.length; at++) (waiting[at] as Flushable).flush()
  }
}
