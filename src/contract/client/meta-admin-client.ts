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

/** A node that is in the cluster, or was. */
export interface MetaMember {
  readonly node: NodeId
  /** 'host:port' at which the others reach it; '' when none is stored. */
  readonly address: string
  /** The highest cluster version that its program has announced (R55); 0 when it has never served as a member. */
  readonly programVersion: number
}

export interface MetaMembers {
  /** The version that the whole cluster runs at. */
  readonly clusterVersion: number
  /** By node id. */
  readonly members: readonly MetaMember[]
}

/** Rejections of changes: notLeader, conflict (another change is under way), invalid, notFound (no such group), outcomeUnknown. */
export interface MetaAdminClient {
  status(): Promise<readonly MetaGroupStatus[]>
  /** Resolves when the change is committed and in effect. Only on the leader of the group. */
  changeMembers(group: number, change: MemberChange, node: NodeId): Promise<void>
  /** Only on the leader of the group. Resolves when it leads no more. */
  transferLeadership(group: number, to: NodeId): Promise<void>
  /** As the node that is asked has applied it: answered also while the cluster has no majority. */
  members(): Promise<MetaMembers>
  /** Where a node is reached, for all others. On any node; resolves when it is committed. Rejects with invalid for what is no address. */
  setAddress(node: NodeId, address: string): Promise<void>
  /** The node has left all groups. On any node; resolves when it is committed. */
  removeAddress(node: NodeId): Promise<void>
}
