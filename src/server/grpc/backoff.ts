// SPDX-License-Identifier: Apache-2.0
// How long to wait before the next attempt to reach a node: twice as long each time, within bounds, and not the same for all who wait.
import type { Random } from '#base/port/random'

const FIRST_MS = 50
const LONGEST_MS = 1000

export class Backoff {
  readonly #random: Random
  #boundMs = FIRST_MS

  constructor(random: Random) {
    this.#random = random
  }

  /** Milliseconds: from half of the present bound to all of it. */
  next(): number {
    const boundMs = this.#boundMs
    this.#boundMs = Math.min(2 * boundMs, LONGEST_MS)
    return this.#random.range(boundMs / 2, boundMs)
  }

  reset(): void {
    this.#boundMs = FIRST_MS
  }
}
