// SPDX-License-Identifier: Apache-2.0
// The logs in which somebody has got further than its saved cursors say. A save costs what has moved, however many logs there are.
import type { LogId } from '#contract/client/engine-client'

export class MovedLogs {
  /** With the number of the last move in each. */
  readonly #moves = new Map<LogId, number>()
  #count = 0
  /** Number of the move that concerned all logs, those too that are not known here; 0 for none. */
  #all = 0

  /** Moves so far. */
  get count(): number {
    return this.#count
  }

  mark(log: LogId): void {
    this.#moves.set(log, ++this.#count)
  }

  markAll(): void {
    this.#all = ++this.#count
  }

  logs(): Iterable<LogId> {
    return this.#moves.keys()
  }

  /** More has moved than `logs` tells. */
  get all(): boolean {
    return this.#all > 0
  }

  /** The first `count` moves are committed. Until then a log is in every save: one that fails must not be made up for by one that does not know of it. */
  saved(count: number): void {
    if (this.#all <= count) this.#all = 0
    for (const [log, move] of this.#moves) if (move <= count) this.#moves.delete(log)
  }
}
