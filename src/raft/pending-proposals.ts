// SPDX-License-Identifier: Apache-2.0
// Who waits for which entry. In order of index, so that settling costs nothing per entry that nobody waits for.
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Entry, LogIndex, Term } from './core/message.ts'

/** Told once, and synchronously, what became of a proposal. */
export interface ProposalWaiter {
  /** Committed and applied at `index`; `reply` is the state machine's. */
  committed(index: LogIndex, reply: unknown): void
  /** notLeader, proposalDropped, notReady, stopping: it was not and will not be committed. outcomeUnknown: it may have been, or may yet be. */
  failed(error: PlatformError): void
}

interface PendingProposal {
  readonly index: LogIndex
  readonly term: Term
  readonly waiter: ProposalWaiter
  /** When it was added, by the caller's count of ticks. */
  readonly tick: number
}

/** Settled ones are dropped from the array when there are this many of them. */
const SETTLED_MAX = 1024

export class PendingProposals {
  #pending: PendingProposal[] = []
  #settled = 0

  get count(): number {
    return this.#pending.length - this.#settled
  }

  /** Nearly always of the highest index so far; where a leader's answers come in another order, the place is looked for. */
  add(index: LogIndex, term: Term, waiter: ProposalWaiter, tick = 0): void {
    let at = this.#pending.length
    while (at > this.#settled && (this.#pending[at - 1] as PendingProposal).index > index) at--
    if (at === this.#pending.length) this.#pending.push({ index, term, waiter, tick })
    else this.#pending.splice(at, 0, { index, term, waiter, tick })
  }

  /**
   * The entry is applied. A waiter for the same index and another term has lost its place to this entry, and so has everyone above it who waits for
   * an older term: terms never decrease along a log.
   */
  settle(entry: Entry, reply: unknown): void {
    let proposal = this.#pending[this.#settled]
    while (proposal !== undefined && proposal.index <= entry.index) {
      this.#settled++
      if (proposal.index === entry.index && proposal.term === entry.term) proposal.waiter.committed(entry.index, reply)
      else proposal.waiter.failed(replacedError(entry))
      proposal = this.#pending[this.#settled]
    }
    if (proposal !== undefined && proposal.term < entry.term)
      this.#failWhere(
        ({ term }) => term < entry.term,
        () => replacedError(entry),
      )
    else this.#trim()
  }

  /** Fails those that wait since before `tick`, or for an entry up to `index`: nobody will tell any more what became of them. */
  abandon(tick: number, index: LogIndex): void {
    const isAbandoned = (proposal: PendingProposal): boolean => proposal.tick < tick || proposal.index <= index
    if (this.#pending.some((proposal, at) => at >= this.#settled && isAbandoned(proposal))) this.#failWhere(isAbandoned, unknownError)
  }

  #failWhere(isFailed: (proposal: PendingProposal) => boolean, error: () => PlatformError): void {
    const waiting = this.#pending.slice(this.#settled)
    this.#pending = waiting.filter((proposal) => !isFailed(proposal))
    this.#settled = 0
    for (const proposal of waiting) if (isFailed(proposal)) proposal.waiter.failed(error())
  }

  #trim(): void {
    if (this.#settled < this.#pending.length && this.#settled < SETTLED_MAX) return
    this.#pending.splice(0, this.#settled)
    this.#settled = 0
  }
}

const replacedError = ({ index, term }: Entry): PlatformError =>
  new PlatformError(ERROR_CODES.notLeader, `the leader of term ${term} has replaced entry ${index}; send it to the new leader`)

export const unknownError = (): PlatformError =>
  new PlatformError(
    ERROR_CODES.outcomeUnknown,
    'the group did not say in time what became of the command: ask for its effect, or repeat it if that does no harm',
  )
