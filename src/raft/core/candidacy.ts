// SPDX-License-Identifier: Apache-2.0
// How a replica comes to lead: when it stands for election, whom it asks, and what it answers to others who ask (R12-R18).
import { must } from '#base/assert'
import type { Answer } from './answer.ts'
import type { Election } from './election.ts'
import type { RaftLog } from './log.ts'
import type { Membership } from './membership.ts'
import type { NodeId, PreVoteRequest, PreVoteResponse, VoteRequest, VoteResponse } from './message.ts'
import type { Outbox } from './outbox.ts'

export interface CandidacyOptions {
  readonly node: NodeId
  readonly log: RaftLog
  readonly election: Election
  readonly membership: Membership
  readonly outbox: Outbox
  readonly answer: Answer
}

export class Candidacy {
  readonly #options: CandidacyOptions

  constructor(options: CandidacyOptions) {
    this.#options = options
  }

  /** Time has passed for a replica that does not lead. */
  tick(): void {
    const { election, membership } = this.#options
    election.tick()
    // The only voter does not wait for a leader to be heard: there is no other that could lead.
    if (membership.isOnlyVoter) {
      if (election.role !== 'candidate') this.campaign(false)
    } else if (election.isTimedOut && this.#mayStand) this.#preCampaign()
  }

  /** Stands for election at once; `transfer` when the leader itself has asked for it. Without effect when it may not lead, or stands already. */
  campaign(transfer: boolean): void {
    const { node, log, election, membership, outbox } = this.#options
    if (!this.#mayStand || election.role === 'candidate' || election.role === 'leader') return
    election.campaign()
    const { term } = election
    outbox.sendAfterPersist({ kind: 'voteResponse', from: node, to: node, term, granted: true })
    const { lastIndex, lastTerm } = log
    for (const to of this.#otherVoters(membership))
      outbox.send({ kind: 'voteRequest', from: node, to, term, lastIndex, lastTerm, transfer })
  }

  onPreVoteRequest({ from, term, lastIndex, lastTerm }: PreVoteRequest): void {
    const { node, log, election, answer } = this.#options
    const mayVote = term > election.term || (term === election.term && election.canVoteFor(from))
    const granted = mayVote && log.isCoveredBy(lastIndex, lastTerm)
    // Granted, it speaks of the term to come; refused, it teaches a candidate that is behind the term of now (R13).
    const { commit } = log
    const commitTerm = must(log.term(commit), 'the term of the commit index is known')
    answer({ kind: 'preVoteResponse', from: node, to: from, term: granted ? term : election.term, granted, commit, commitTerm })
  }

  onPreVoteResponse({ from, term, granted, commit, commitTerm }: PreVoteResponse): void {
    const { log, election, membership } = this.#options
    if (election.role !== 'preCandidate' || (granted && term !== election.term + 1)) return
    // What is committed is so whoever says it. Without this, voters that have been removed could refuse a candidate for ever that has in its
    // log, and does not know to be committed, the change which removed them.
    if (log.term(commit) === commitTerm) log.commitTo(commit)
    const result = election.count(from, granted, membership.voters)
    if (result === 'won') this.campaign(false)
    else if (result === 'lost') election.stepDown()
  }

  /** A learner votes too: it may have become a voter without knowing it yet (R18). */
  onVoteRequest({ from, term, lastIndex, lastTerm }: VoteRequest): void {
    const { node, log, election, answer } = this.#options
    const granted = election.canVoteFor(from) && log.isCoveredBy(lastIndex, lastTerm)
    if (granted) election.grant(from)
    answer({ kind: 'voteResponse', from: node, to: from, term, granted })
  }

  /** Whether it is elected. */
  onVoteResponse({ from, granted }: VoteResponse): boolean {
    const { election, membership } = this.#options
    if (election.role !== 'candidate') return false
    const result = election.count(from, granted, membership.voters)
    if (result === 'lost') election.stepDown()
    return result === 'won'
  }

  /** A voter whose configuration is that of its commit index, and whose state is that of its log (R18). */
  get #mayStand(): boolean {
    const { log, membership } = this.#options
    return membership.isVoter && log.installing === undefined && !membership.hasUnapplied(log.commit)
  }

  /** Asks whether it would be elected, before it disturbs anybody (R13). */
  #preCampaign(): void {
    const { node, log, election, membership, outbox } = this.#options
    election.preCampaign()
    const { lastIndex, lastTerm } = log
    const term = election.term + 1
    for (const to of this.#otherVoters(membership)) outbox.send({ kind: 'preVoteRequest', from: node, to, term, lastIndex, lastTerm })
  }

  #otherVoters({ voters }: Membership): readonly NodeId[] {
    const others = new Set([...voters.incoming, ...voters.outgoing])
    others.delete(this.#options.node)
    return [...others]
  }
}
