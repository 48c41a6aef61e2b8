// SPDX-License-Identifier: Apache-2.0
// How the state machine of a group tells the services of its node that the state in the store has moved on. It says no more than that: whoever
// is told reads what he needs, so that nothing is queued for him.

export class AppliedSignal {
  readonly #listeners = new Set<() => void>()
  #replacements = 0
  #isReplacing = false

  /** A snapshot takes the place of the state at this moment: the store shows a part of it. */
  get isReplacing(): boolean {
    return this.#isReplacing
  }

  /** How often that has begun. */
  get replacements(): number {
    return this.#replacements
  }

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

  beginReplacement(): void {
    this.#replacements++
    this.#isReplacing = true
  }

  endReplacement(): void {
    this.#isReplacing = false
    this.raise()
  }
}
