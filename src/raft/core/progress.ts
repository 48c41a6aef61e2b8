// SPDX-License-Identifier: Apache-2.0
// What the leader knows about the log of one replica, its own included.
import { assert } from '#base/assert'
import { INDEX_NONE, type LogIndex } from './message.ts'

export class Progress {
  /** Durable there and equal to the leader's log up to here. Never regresses within a term. */
  #match: LogIndex = INDEX_NONE
  /** The first entry it has not been given. Always above `match` (R10). */
  #next: LogIndex

  constructor(next: LogIndex) {
    assert(next > INDEX_NONE, 'the next index of a replica is above the first')
    this.#next = next
  }

  get match(): LogIndex {
    return this.#match
  }

  get next(): LogIndex {
    return this.#next
  }

  /** Whether the acknowledgement says anything new: one that arrives late or twice does not. */
  acknowledge(index: LogIndex): boolean {
    if (index <= this.#match) return false
    this.#match = index
    this.#next = Math.max(this.#next, index + 1)
    assert(this.#match < this.#next, 'match is below next')
    return true
  }
}
