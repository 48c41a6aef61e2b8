// SPDX-License-Identifier: Apache-2.0
// Whose turn it is to read retained messages. However many subscribers ask for all of them at once, a few pages are in memory and in one turn of the loop.

/** While the messages of one page are sent, the next one is read. */
const PAGES_MAX = 2

export class FeedTurns {
  #reading = 0
  /** At most one for each feed. In the order in which they asked. */
  readonly #waiting = new Set<() => void>()

  /** Resolves when the caller may read a page. It must call `leave` when the page is sent. */
  enter(): Promise<void> {
    if (this.#reading < PAGES_MAX) {
      this.#reading++
      return Promise.resolve()
    }
    return new Promise((resolve) => {
      this.#waiting.add(resolve)
    })
  }

  /** Ends a turn: it passes to the one that has waited for longest. */
  leave(): void {
    for (const next of this.#waiting) {
      this.#waiting.delete(next)
      next()
      return
    }
    this.#reading--
  }
}
