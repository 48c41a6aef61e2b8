// SPDX-License-Identifier: Apache-2.0
// Gives out the numbers of the writes of one client session, and no more of them at a time than the session can keep replies for.
import { SESSION_WINDOW } from '#contract/client/kv-client'

export class AttemptSession {
  readonly id: number
  #last = 0
  /** Begun and without an outcome, in their order. */
  readonly #open = new Set<number>()
  #queue: (() => void)[] = []

  constructor(id: number) {
    this.id = id
  }

  /** Resolves with a number that is below the lowest open one plus the window. */
  async begin(): Promise<number> {
    while (!this.#hasRoom()) {
      await new Promise<void>((resolve) => {
        this.#queue.push(resolve)
      })
    }
    this.#last++
    this.#open.add(this.#last)
    return this.#last
  }

  /** Nobody waits for its outcome any more. */
  end(sequence: number): void {
    this.#open.delete(sequence)
    const queue = this.#queue
    this.#queue = []
    for (const resolve of queue) resolve()
  }

  #hasRoom(): boolean {
    const [lowest] = this.#open
    return lowest === undefined || this.#last + 1 < lowest + SESSION_WINDOW
  }
}
