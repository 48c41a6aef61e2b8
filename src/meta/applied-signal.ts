// SPDX-License-Identifier: Apache-2.0
// How the state machine of a group tells the services of its node that the state in the store has moved on. It says no more than that: whoever
// is told reads what he needs, so that nothing is queued for him.

export class AppliedSignal {
  readonly #listeners = new Set<() => void>()

  /** The listener must return at once, and not throw. Gives a function that ends it. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => {
      this.#listeners.delete(listener)
    }
  }

  raise(): void {
    for (const listener of this.#listeners) listener()
  }
}
