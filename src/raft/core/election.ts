// SPDX-License-Identifier: Apache-2.0
// Terms, votes, roles and the election timer of one replica (R10, R12, R16). What a role does with its log is elsewhere.
import { assert } from '#base/assert'
import { NODE_NONE, type NodeId, type Term } from './message.ts'
import { type VoteResult, type VoterSets, voteResult } from './quorum.ts'

/** A 'preCandidate' asks whether it would be elected, before it disturbs anybody with a new term (R13). */
export type Role = 'follower' | 'preCandidate' | 'candidate' | 'leader'

/** How long a follower waits for a leader, drawn anew whenever the role changes. */
export type DrawTimeout = () => number

export class Election {
  readonly #node: NodeId
  readonly #drawTimeout: DrawTimeout
  #role: Role = 'follower'
  #term: Term
  /** Who got this replica's vote in `term`; given once. */
  #vote: NodeId
  #leader: NodeId = NODE_NONE
  readonly #votes = new Map<NodeId, boolean>()
  /** Drawn when it is first asked for: who waits for nobody draws nothing. */
  #timeoutTicks: number | undefined
  #elapsedTicks = 0

  constructor(node: NodeId, term: Term, vote: NodeId, drawTimeout: DrawTimeout) {
    assert(Number.isSafeInteger(term) && term >= 0, 'a term is a safe, non-negative integer')
    this.#node = node
    this.#term = term
    this.#vote = vote
    this.#drawTimeout = drawTimeout
  }

  get role(): Role {
    return this.#role
  }

  get term(): Term {
    return this.#term
  }

  get vote(): NodeId {
    return this.#vote
  }

  /** NODE_NONE while nobody is known to lead this term. */
  get leader(): NodeId {
    return this.#leader
  }

  /** Since the timer was reset. */
  get elapsedTicks(): number {
    return this.#elapsedTicks
  }

  /** Whether it is time to stand for election. */
  get isTimedOut(): boolean {
    this.#timeoutTicks ??= this.#drawTimeout()
    return this.#elapsedTicks >= this.#timeoutTicks
  }

  tick(): void {
    this.#elapsedTicks++
  }

  resetTimer(): void {
    this.#elapsedTicks = 0
  }

  /** Gives up whatever it was in an older term. The vote of the new one is free. A follower goes on waiting as long as it has (R16). */
  follow(term: Term): void {
    assert(term > this.#term, 'a replica joins only later terms')
    this.#open(term, NODE_NONE)
    if (this.#role !== 'follower') this.#become('follower')
  }

  /** Gives up its role in this term: it has lost, or leads no more. */
  stepDown(): void {
    this.#leader = NODE_NONE
    this.#become('follower')
  }

  /** Somebody else leads this term. */
  acceptLeader(leader: NodeId): void {
    assert(this.#role !== 'leader' && (this.#leader === NODE_NONE || this.#leader === leader), 'a term has one leader')
    if (this.#role !== 'follower') this.#become('follower')
    this.#leader = leader
    this.#elapsedTicks = 0
  }

  /** Asks for votes in the next term without opening it. Term and vote stay as they are. */
  preCampaign(): void {
    assert(this.#role !== 'leader', 'a leader does not campaign against itself')
    this.#leader = NODE_NONE
    this.#become('preCandidate')
    this.#votes.set(this.#node, true)
  }

  /** Opens a term and votes for itself. The vote counts when it comes back through `count`, durable. */
  campaign(): void {
    assert(this.#role !== 'leader', 'a leader does not campaign against itself')
    this.#open(this.#term + 1, this.#node)
    this.#become('candidate')
  }

  /** Whether a replica may have this one's vote, as far as terms and votes say (R12). */
  canVoteFor(candidate: NodeId): boolean {
    return this.#vote === candidate || (this.#vote === NODE_NONE && this.#leader === NODE_NONE)
  }

  /** A vote given to another is waiting for what it does: the timer begins anew (R16). */
  grant(candidate: NodeId): void {
    assert(this.canVoteFor(candidate), 'a vote is given once in a term')
    this.#vote = candidate
    this.#elapsedTicks = 0
  }

  /** A voter's first answer is the one that counts. */
  count(from: NodeId, granted: boolean, voters: VoterSets): VoteResult {
    assert(this.#role === 'candidate' || this.#role === 'preCandidate', 'only a candidate counts votes')
    if (!this.#votes.has(from)) this.#votes.set(from, granted)
    return voteResult(voters, (voter) => this.#votes.get(voter))
  }

  lead(): void {
    assert(this.#role === 'candidate', 'only a candidate becomes leader')
    this.#become('leader')
    this.#leader = this.#node
  }

  #open(term: Term, vote: NodeId): void {
    assert(Number.isSafeInteger(term), 'a term is a safe integer')
    this.#term = term
    this.#vote = vote
    this.#leader = NODE_NONE
  }

  #become(role: Role): void {
    this.#role = role
    this.#votes.clear()
    this.#elapsedTicks = 0
    this.#timeoutTicks = undefined
  }
}
