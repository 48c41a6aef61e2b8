// SPDX-License-Identifier: Apache-2.0
// What was removed from the middle of a log, so that a reader whose cursor lies before it, or in it, is told how many records it lacks.
// In memory and bounded: after a restart, or that many removals later, a reader is told less than it has lost.
import type { Position } from '#contract/client/engine-client'
import type { FilterSet } from './filter-set.ts'

/** Removals remembered; older ones are forgotten. */
const REMOVALS_MAX = 65_536

interface Removal {
  /** The records were among those of [base, end). */
  readonly base: Position
  readonly end: Position
  readonly topic: string
  readonly records: number
}

export class RemovedRecords {
  #removals: Removal[] = []

  note(base: Position, end: Position, topic: string, records: number): void {
    this.#removals.push({ base, end, topic, records })
    if (this.#removals.length >= 2 * REMOVALS_MAX) this.#removals = this.#removals.slice(-REMOVALS_MAX)
  }

  /**
   * Removed records of matching topics in [from, to). Of a stretch that lies in it only in part, as many as can be: rather too many than a loss that
   * nobody is told of (Q20).
   */
  count(filters: FilterSet, from: Position, to: Position): number {
    let count = 0
    for (const { base, end, topic, records } of this.#removals) {
      const common = Math.min(end, to) - Math.max(base, from)
      if (common > 0 && filters.matches(topic)) count += Math.min(records, common)
    }
    return count
  }

  /** Nobody reads before `start` any more. */
  forgetBefore(start: Position): void {
    if (this.#removals.length > 0) this.#removals = this.#removals.filter(({ end }) => end > start)
  }
}
