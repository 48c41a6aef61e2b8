// SPDX-License-Identifier: Apache-2.0
// Who waits for which entry. In order of index, so that settling costs nothing per entry that nobody waits for.
import { assert } from '#base/assert'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Entry, LogIndex, Term } from './core/message.ts'

/** Told once, and synchronously, what became of a proposal. */
export interface ProposalWaiter {
  /** Committed and applied at `index`; `reply` is the state machine's. */
  committed(index: LogIndex, reply: unknown): void
  /** notLeader, proposalDropped, notReady, stopping: it was not and will not be committed. */
  failed(error: PlatformError): void
}

interface PendingProposal {
  readonly index: LogIndex
  readonly term: Term
  readonly waiter: ProposalWaiter
}

/** Settled ones are dropped from the array when there are this many of them. */
const SETTLED_MAX = 1024

export class PendingProposals {
  #pending: PendingProposal[] = []
  #settled = 0

  get count(): number {
    return this.#pending.length - this.#settled
  }

  add(index: LogIndex, term: Term, waiter: ProposalWaiter): void {
    const last = this.#pending.at(-1)
    assert(last === undefined || last.index < index, 'proposals are added in order of index')
    this.#pending.push({ index, term, waiter })
  }

  /** The entry is applied. A waiter for the same index and another term has lost its place to this entry. */
  settle(entry: Entry, reply: unknown): void {
    const proposal = this.#pending[this.#settled]
    if (proposal === undefined || proposal.index > entry.index) return
    assert(proposal.index === entry.index, 'entries are applied without a gap')
    this.#settled++
    if (this.#settled === this.#pending.length || this.#settled >= SETTLED_MAX) {
      this.#pending.splice(0, this.#settled)
      this.#settled = 0
    }
    if (proposal.term === entry.term) proposal.waiter.committed(entry.index, reply)
    else proposal.waiter.failed(replacedError(entry))
  }
}

const replacedError = ({ index, term }: Entry): PlatformError =>
  new PlatformError(ERROR_CODES.notLeader, `the leader of term ${term} has replaced entry ${index}; send it to the new leader`)
