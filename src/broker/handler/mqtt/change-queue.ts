// SPDX-License-Identifier: Apache-2.0
// Changes of a session's subscriptions, one after the other, in the order in which the client asked for them.

/** SUBSCRIBE and UNSUBSCRIBE packets that may wait for those before them. */
const CHANGES_MAX = 1_000

export class ChangeQueue {
  readonly #failed: (error: unknown) => void
  #waiting = 0
  #last: Promise<void> = Promise.resolve()
  #closed = false

  constructor(failed: (error: unknown) => void) {
    this.#failed = failed
  }

  /** False when too many wait. */
  add(change: () => Promise<void>): boolean {
    if (this.#waiting >= CHANGES_MAX) return false
    this.#waiting++
    this.#last = this.#last.then(() => this.#run(change))
    return true
  }

  /** Changes that have not begun are dropped. */
  close(): void {
    this.#closed = true
  }

  async #run(change: () => Promise<void>): Promise<void> {
    try {
      if (!this.#closed) await change()
    } catch (error) {
      this.#failed(error)
    } finally {
      this.#waiting--
    }
  }
}
