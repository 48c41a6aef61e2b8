// SPDX-License-Identifier: Apache-2.0
// Members and leaders of the Raft groups of the cluster, as one node knows and changes them.
import type { NodeId } from '#base/port/peer-transport'

export interface MetaGroupStatus {
  readonly group: number
  readonly role: string
  readonly term: number
  /** 0 while none is known. */
  readonly leader: NodeId
  readonly commit: number
  readonly applied: number
  readonly voters: readonly NodeId[]
  readonly learners: readonly NodeId[]
}

/** A new node becomes a learner first, and a voter when it has caught up (RELIABILITY R34). */
export type MemberChange = 'addLearner' | 'promote' | 'remove'

/** Rejections of changes: notLeader, conflict (another change is under way), invalid, notFound (no such group), outcomeUnknown. */
export interface MetaAdminClient {
  status(): Promise<readonly MetaGroupStatus[]>
  /** Resolves when the change is committed and in effect. Only on the leader of the group. */
  changeMembers(group: number, change: MemberChange, node: NodeId): Promise<void>
  /** Only on the leader of the group. Resolves when it leads no more. */
  transferLeadership(group: number, to: NodeId): Promise<void>
}
