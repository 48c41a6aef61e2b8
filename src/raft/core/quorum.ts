// SPDX-License-Identifier: Apache-2.0
// Arithmetic of majorities. Who votes is decided by the configuration; what was stored or voted, by the callers.
import { assert } from '#base/assert'
import { type ConfState, INDEX_NONE, type LogIndex, type NodeId } from './message.ts'

/** Above every index: what an empty quorum has stored. */
export const INDEX_MAX: LogIndex = Number.MAX_SAFE_INTEGER

/**
 * The sets of which each must agree by majority. `outgoing` is empty except while a membership change is under way (joint
 * consensus, R32), when the old voters must agree as well.
 */
export interface VoterSets {
  readonly incoming: readonly NodeId[]
  readonly outgoing: readonly NodeId[]
}

export type VoteResult = 'won' | 'lost' | 'pending'

export const voterSetsOf = (conf: ConfState): VoterSets => ({ incoming: conf.voters, outgoing: conf.outgoing })

export const isVoter = (sets: VoterSets, node: NodeId): boolean => sets.incoming.includes(node) || sets.outgoing.includes(node)

/** Whether `node` needs to ask nobody: it is the one voter there is. */
export const isOnlyVoter = (sets: VoterSets, node: NodeId): boolean =>
  sets.incoming.length === 1 && sets.incoming[0] === node && sets.outgoing.every((voter) => voter === node)

/** Smallest count of which any two sets of voters overlap. */
export const majority = (count: number): number => Math.floor(count / 2) + 1

/** Highest index stored by every majority that must agree. */
export function committedIndex(sets: VoterSets, matched: (voter: NodeId) => LogIndex | undefined): LogIndex {
  return Math.min(committedBy(sets.incoming, matched), committedBy(sets.outgoing, matched))
}

/** Where an election stands. `votes` answers undefined for a voter that has not been heard. */
export function voteResult(sets: VoterSets, votes: (voter: NodeId) => boolean | undefined): VoteResult {
  const incoming = resultOf(sets.incoming, votes)
  const outgoing = resultOf(sets.outgoing, votes)
  if (incoming === 'lost' || outgoing === 'lost') return 'lost'
  return incoming === 'won' && outgoing === 'won' ? 'won' : 'pending'
}

/** An empty set holds nothing back, so that a joint quorum is the minimum of its halves. */
function committedBy(voters: readonly NodeId[], matched: (voter: NodeId) => LogIndex | undefined): LogIndex {
  if (voters.length === 0) return INDEX_MAX
  const ascending = voters.map((voter) => matched(voter) ?? INDEX_NONE).sort((a, b) => a - b)
  const committed = ascending[voters.length - majority(voters.length)]
  assert(committed !== undefined, 'a majority is never larger than the quorum')
  return committed
}

function resultOf(voters: readonly NodeId[], votes: (voter: NodeId) => boolean | undefined): VoteResult {
  if (voters.length === 0) return 'won'
  let granted = 0
  let refused = 0
  for (const voter of voters) {
    const vote = votes(voter)
    if (vote === true) granted++
    if (vote === false) refused++
  }
  if (granted >= majority(voters.length)) return 'won'
  return voters.length - refused < majority(voters.length) ? 'lost' : 'pending'
}
