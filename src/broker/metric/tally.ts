// SPDX-License-Identifier: Apache-2.0
// A counter whose count can be read here too: instruments of the Metrics port only take.
import type { Counter } from '#base/port/metrics'

export class Tally implements Counter {
  readonly #counter: Counter
  #count = 0

  constructor(counter: Counter) {
    this.#counter = counter
  }

  /** Since the process started. */
  get count(): number {
    return this.#count
  }

  add(count: number): void {
    this.#count += count
    this.#counter.add(count)
  }
}
