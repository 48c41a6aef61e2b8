// SPDX-License-Identifier: Apache-2.0
// What the retention of topics has removed from the middle of a log, so that a reader whose cursor lies before it is told how many records it lacks.
// In memory and bounded: after a restart, or that many removals later, a reader is told less than it has lost.
import type { Position } from '#contract/client/engine-client'
import type { FilterSet } from './filter-set.ts'

/** Removals remembered; older ones are forgotten. */
const REMOVALS_MAX = 65_536

interface Removal {
  /** Of the chunk that the records were in. */
  readonly base: Position
  readonly topic: string
  readonly records: number
}

export class RemovedRecords {
  #removals: Removal[] = []

  note(base: Position, topic: string, records: number): void {
    this.#removals.push({ base, topic, records })
    if (this.#removals.length >= 2 * REMOVALS_MAX) this.#removals = this.#removals.slice(-REMOVALS_MAX)
  }

  /** Removed records of matching topics in chunks that begin in [from, to). */
  count(filters: FilterSet, from: Position, to: Position): number {
    let count = 0
    for (const { base, topic, records } of this.#removals) if (base >= from && base < to && filters.matches(topic)) count += records
    return count
  }

  /** Nobody reads before `start` any more. */
  forgetBefore(start: Position): void {
    if (this.#removals.length > 0) this.#removals = this.#removals.filter(({ base }) => base >= start)
  }
}
