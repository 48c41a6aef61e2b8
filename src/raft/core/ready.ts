// SPDX-License-Identifier: Apache-2.0
// What the core wants done before it goes on: written, made durable, then sent (R3-R5).
import { assert } from '#base/assert'
import {
  type Entry,
  type HardState,
  INDEX_NONE,
  type LogIndex,
  type LogStart,
  type Message,
  NODE_NONE,
  type NodeId,
  type Term,
} from './message.ts'

export interface Ready {
  /** To be written in one batch with the hard state and the start. An entry replaces every stored one at or above its index (R4). */
  readonly entries: readonly Entry[]
  readonly hardState: HardState | undefined
  /** The log begins after this point from now on. */
  readonly start: LogStart | undefined
  /** The same as `start`, when a snapshot has replaced the log: the state machine must hold it, durably, before the log is written (R41). */
  readonly snapshot: LogStart | undefined
  /** Whether the write must be durable before `advance`: entries, a term, a vote, a start, or the commit index of a change of the membership. Any other need not be (R5). */
  readonly mustSync: boolean
  /** Leave after the write is durable. Those to this node itself are taken by `advance`. */
  readonly messagesAfterPersist: readonly Message[]
  /** The term in which this was made, and the end of the log: what `advance` reports as durable (R7). */
  readonly term: Term
  readonly lastIndex: LogIndex
  readonly lastTerm: Term
}

/** The hard state and the log start as the store has them, or will once what was given out is written. */
export class Persisted {
  #hardState: HardState
  #start: LogStart
  /** The commit index that the next write must have, at least. */
  #commitOwed: LogIndex = INDEX_NONE

  constructor(hardState: HardState, start: LogStart) {
    this.#hardState = hardState
    this.#start = start
  }

  /** A commit index alone is not worth a write: it goes with the next one, and a restart finds it again (R5), but with the help of those who know it (D-007). */
  isBehind(term: Term, vote: NodeId, start: LogStart): boolean {
    const { term: writtenTerm, vote: writtenVote, commit } = this.#hardState
    return writtenTerm !== term || writtenVote !== vote || this.#start !== start || commit < this.#commitOwed
  }

  /** That a change of the membership is committed is written by itself: when all have forgotten it, those that it has removed would be needed to find it again. */
  changedMembership(index: LogIndex): void {
    this.#commitOwed = index
  }

  /** Undefined when the store has it. */
  changedHardState(now: HardState): HardState | undefined {
    const before = this.#hardState
    assert(now.term >= before.term, 'the term never goes back')
    assert(now.term > before.term || before.vote === NODE_NONE || now.vote === before.vote, 'a vote is given once in a term')
    assert(now.commit >= before.commit, 'the commit index never goes back')
    if (now.term === before.term && now.vote === before.vote && now.commit === before.commit) return undefined
    this.#hardState = now
    return now
  }

  /** Undefined when the store has it. */
  changedStart(now: LogStart): LogStart | undefined {
    if (this.#start === now) return undefined
    assert(now.index > this.#start.index, 'the start of the log never goes back')
    this.#start = now
    return now
  }
}
