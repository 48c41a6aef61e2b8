// SPDX-License-Identifier: Apache-2.0
// What a log keeps in memory for one topic. Millions of them: every field counts.
import type { Position } from '#contract/client/engine-client'

/** `last` of a topic that the store does not have yet. */
export const NEVER_SAVED = -1

/** One topic. Mutable, owned by its dictionary. */
export class Topic {
  readonly id: number
  readonly name: string
  /** No record of the topic lies after it. It may be the end of the batch, or chunk, of the topic's last record rather than the record itself. */
  last: Position
  /** `last` as the store has it. */
  savedLast: Position
  newer: Topic | undefined
  older: Topic | undefined

  constructor(id: number, name: string, last: Position, savedLast: Position) {
    this.id = id
    this.name = name
    this.last = last
    this.savedLast = savedLast
  }

  get isSaved(): boolean {
    return this.savedLast !== NEVER_SAVED
  }
}
