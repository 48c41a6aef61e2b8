// SPDX-License-Identifier: Apache-2.0
// Linearizable reads without a write (R26-R29). A read is numbered by the leader, learns the commit index that stood when it
// arrived, and is served once that is applied.
import { assert } from '#base/assert'
import type { LogIndex } from './message.ts'

/** Numbered from 1, increasing, never taken from a caller (R28). */
export type ReadNumber = number

/** 'lost': leadership ended before the read was confirmed. Nothing is known; it may be asked again of the leader. */
export interface ReadResult {
  readonly read: ReadNumber
  readonly kind: 'servable' | 'lost'
}

interface ConfirmedRead {
  readonly read: ReadNumber
  readonly index: LogIndex
}

export class ReadQueue {
  #lastRead: ReadNumber = 0
  /** Arrived before an entry of the term was committed, so that the leader's commit index may be behind (R26). */
  #held: ReadNumber[] = []
  /** In order of arrival, so the indexes never decrease. */
  readonly #confirmed: ConfirmedRead[] = []
  #lost: ReadNumber[] = []

  /** Reads that are waiting, for the limit on them. */
  get count(): number {
    return this.#held.length + this.#confirmed.length
  }

  hold(): ReadNumber {
    this.#held.push(++this.#lastRead)
    return this.#lastRead
  }

  /** The commit index of this very moment: one read never takes over the index of another (R27). */
  confirm(commit: LogIndex): ReadNumber {
    assert(this.#held.length === 0, 'reads held before the first commit of a term are confirmed by it')
    this.#confirmed.push({ read: ++this.#lastRead, index: commit })
    return this.#lastRead
  }

  /** An entry of the leader's term is committed. */
  confirmHeld(commit: LogIndex): void {
    for (const read of this.#held) this.#confirmed.push({ read, index: commit })
    this.#held = []
  }

  /** Leadership has ended. A confirmed read stays good: its index was committed while this replica led. */
  lose(): void {
    this.#lost.push(...this.#held)
    this.#held = []
  }

  /** The reads that are decided. Each is returned once. */
  take(applied: LogIndex): readonly ReadResult[] {
    const decided: ReadResult[] = this.#lost.map((read) => ({ read, kind: 'lost' }))
    this.#lost = []
    let servable = 0
    for (const { read, index } of this.#confirmed) {
      if (index > applied) break
      decided.push({ read, kind: 'servable' })
      servable++
    }
    this.#confirmed.splice(0, servable)
    return decided
  }
}
