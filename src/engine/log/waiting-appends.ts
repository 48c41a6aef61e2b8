// SPDX-License-Identifier: Apache-2.0
// Batches that wait for their log to be created, in order, as far as there is room.
import type { AppendOutcome } from '#contract/client/engine-client'
import type { RecordBatch } from '#contract/record/record-batch'

/** Of one log. A batch that is larger waits alone. */
const BYTES_MAX = 1024 * 1024
const COUNT_MAX = 1024

export interface WaitingAppend {
  readonly batch: RecordBatch
  readonly done: (outcome: AppendOutcome) => void
}

export class WaitingAppends {
  #appends: WaitingAppend[] = []
  #bytes = 0

  /** False when there is no room. */
  add(batch: RecordBatch, done: (outcome: AppendOutcome) => void): boolean {
    const isFull = this.#appends.length >= COUNT_MAX || this.#bytes + batch.bytes.length > BYTES_MAX
    if (isFull && this.#appends.length > 0) return false
    this.#appends.push({ batch, done })
    this.#bytes += batch.bytes.length
    return true
  }

  /** All of them; none are left. */
  take(): readonly WaitingAppend[] {
    const taken = this.#appends
    this.#appends = []
    this.#bytes = 0
    return taken
  }
}
