// SPDX-License-Identifier: Apache-2.0
// Linearizable reads without a write (R26-R29). A read is numbered by the leader, learns the commit index that stood when it arrived, waits until a
// majority has said after that moment that it still leads, and is served once the index is applied.
import { assert } from '#base/assert'
import type { LogIndex } from './message.ts'

/** Numbered from 1, increasing, never taken from a caller (R28). */
export type ReadNumber = number

/** 'lost': leadership ended before the read was confirmed. Nothing is known; it may be asked again of the leader. */
export interface ReadResult {
  readonly read: ReadNumber
  readonly kind: 'servable' | 'lost'
}

interface IndexedRead {
  readonly read: ReadNumber
  readonly index: LogIndex
}

interface AskedRead extends IndexedRead {
  /** The round of heartbeats that was sent after the read arrived. */
  readonly round: number
}

export class ReadQueue {
  #lastRead: ReadNumber = 0
  /** Arrived before an entry of the term was committed, so that the leader's commit index may be behind (R26). */
  #held: ReadNumber[] = []
  /** Wait for a round to be answered. In order of arrival, so neither rounds nor indexes decrease. */
  #asked: AskedRead[] = []
  /** Known to be of a time when this replica led. In order of arrival. */
  #confirmed: IndexedRead[] = []
  #lost: ReadNumber[] = []
  /** The last round that was sent. Never reset, so that it is not used twice in a term. */
  #round = 0

  /** Reads that are waiting, for the limit on them. */
  get count(): number {
    return this.#held.length + this.#asked.length + this.#confirmed.length
  }

  get round(): number {
    return this.#round
  }

  /** Whether reads wait for a round to be answered. */
  get isAsking(): boolean {
    return this.#asked.length > 0
  }

  /** Whether reads have come since the last round was sent. */
  get needsRound(): boolean {
    const last = this.#asked.at(-1)
    return last !== undefined && last.round > this.#round
  }

  hold(): ReadNumber {
    this.#held.push(++this.#lastRead)
    return this.#lastRead
  }

  /** Takes the commit index of this very moment: one read never takes over the index of another (R27). The next round confirms it. */
  ask(commit: LogIndex): ReadNumber {
    assert(this.#held.length === 0, 'reads held before the first commit of a term are asked with it')
    this.#asked.push({ read: ++this.#lastRead, index: commit, round: this.#round + 1 })
    return this.#lastRead
  }

  /** Like `ask`, of the only voter, who is the quorum that confirms its leadership. */
  confirm(commit: LogIndex): ReadNumber {
    assert(this.#held.length === 0, 'reads held before the first commit of a term are confirmed by it')
    this.#confirmed.push({ read: ++this.#lastRead, index: commit })
    return this.#lastRead
  }

  /** An entry of the leader's term is committed. */
  askHeld(commit: LogIndex): void {
    for (const read of this.#held) this.#asked.push({ read, index: commit, round: this.#round + 1 })
    this.#held = []
  }

  /** A round of heartbeats is sent. */
  nextRound(): number {
    return ++this.#round
  }

  /** A majority has answered this round, or a later one. */
  confirmTo(round: number): void {
    let count = 0
    while (count < this.#asked.length && (this.#asked[count] as AskedRead).round <= round) count++
    if (count > 0) this.#confirmed.push(...this.#asked.splice(0, count))
  }

  /** Leadership has ended. A confirmed read stays good: its index was committed while this replica led. */
  lose(): void {
    for (const { read } of this.#asked) this.#lost.push(read)
    this.#lost.push(...this.#held)
    this.#asked = []
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
