// SPDX-License-Identifier: Apache-2.0
// Terms, votes and roles of one replica (R10, R12). What a role does with its log is in replication.ts.
import { assert } from '#base/assert'
import { NODE_NONE, type NodeId, type Term } from './message.ts'
import { type VoteResult, type VoterSets, voteResult } from './quorum.ts'

export type Role = 'follower' | 'candidate' | 'leader'

export class Election {
  readonly #node: NodeId
  #role: Role = 'follower'
  #term: Term
  /** Who got this replica's vote in `term`; given once. */
  #vote: NodeId
  #leader: NodeId = NODE_NONE
  readonly #votes = new Map<NodeId, boolean>()

  constructor(node: NodeId, term: Term, vote: NodeId) {
    assert(Number.isSafeInteger(term) && term >= 0, 'a term is a safe, non-negative integer')
    this.#node = node
    this.#term = term
    this.#vote = vote
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

  /** Gives up whatever it was in an older term. The vote of the new one is free. */
  follow(term: Term): void {
    assert(term > this.#term, 'a replica joins only later terms')
    this.#enter(term, NODE_NONE)
    this.#role = 'follower'
  }

  /** Opens a term and votes for itself. The vote counts when it comes back through `count`, durable. */
  campaign(): void {
    assert(this.#role !== 'leader', 'a leader does not campaign against itself')
    this.#enter(this.#term + 1, this.#node)
    this.#role = 'candidate'
  }

  /** A voter's first answer is the one that counts. */
  count(from: NodeId, granted: boolean, voters: VoterSets): VoteResult {
    assert(this.#role === 'candidate', 'only a candidate counts votes')
    if (!this.#votes.has(from)) this.#votes.set(from, granted)
    return voteResult(voters, (voter) => this.#votes.get(voter))
  }

  lead(): void {
    assert(this.#role === 'candidate', 'only a candidate becomes leader')
    this.#role = 'leader'
    this.#leader = this.#node
  }

  #enter(term: Term, vote: NodeId): void {
    assert(Number.isSafeInteger(term), 'a term is a safe integer')
    this.#term = term
    this.#vote = vote
    this.#leader = NODE_NONE
    this.#votes.clear()
  }
}
