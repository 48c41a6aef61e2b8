// SPDX-License-Identifier: Apache-2.0
// A replicated group as the other layers see it.
import type { ConfChange } from './core/conf-change.ts'
import type { Role } from './core/election.ts'
import { type ConfState, type GroupId, type LogIndex, NODE_NONE, type NodeId, TERM_NONE, type Term } from './core/message.ts'
import type { ProposalWaiter } from './pending-proposals.ts'

/** What a replica knows about its group. */
export interface GroupStatus {
  readonly id: GroupId
  readonly role: Role
  readonly term: Term
  /** NODE_NONE while nobody is known to lead. */
  readonly leader: NodeId
  readonly commit: LogIndex
  readonly applied: LogIndex
  readonly lastIndex: LogIndex
  readonly conf: ConfState
}

/** By a replica that is not restored. */
export const NOTHING_KNOWN: Omit<GroupStatus, 'id'> = Object.freeze({
  role: 'follower',
  term: TERM_NONE,
  leader: NODE_NONE,
  commit: 0,
  applied: 0,
  lastIndex: 0,
  conf: Object.freeze({ voters: [], learners: [], outgoing: [], learnersNext: [] }),
})

/** A replicated group, for those who write to it and read from it. Any replica may be asked: it passes on what only the leader can do. */
export interface RaftGroup {
  readonly id: GroupId
  /** Whether this replica leads and has applied all entries of earlier terms. */
  readonly leads: boolean
  readonly term: Term
  readonly applied: LogIndex
  /**
   * Proposes a command, which must not change any more. The waiter is told once: at the earliest when the entry is durable and
   * applied, or at once when the proposal is refused.
   */
  propose(data: Buffer, waiter: ProposalWaiter): void
  /** Resolves when everything committed at the time of the call is applied. Rejects with notLeader, proposalDropped, notReady or stopping. */
  readIndex(): Promise<void>
  status(): GroupStatus
  /** Only on the leader. Resolves when the change is committed and in effect. Rejects with notLeader, conflict, invalid or outcomeUnknown. */
  changeMembers(change: ConfChange): Promise<void>
  /** Only on the leader. Resolves when this replica leads no more. Rejects with notLeader, invalid or outcomeUnknown. */
  transferLeadership(to: NodeId): Promise<void>
}
