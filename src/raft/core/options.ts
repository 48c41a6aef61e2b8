// SPDX-License-Identifier: Apache-2.0
// What a core is given, and what it answers to those who ask something of it.
import type { StableTerms } from './log.ts'
import type { Entry, HardState, LogIndex, LogStart, NodeId, Term } from './message.ts'
import type { ReadNumber } from './read-index.ts'
import type { ReplicationLimits } from './replication.ts'

/** Bounds on what a group may hold (R9). Bytes count data and a fixed cost for each entry. */
export interface RaftLimits extends ReplicationLimits {
  /** Proposed and not yet committed. One proposal is always let in, whatever its size. */
  readonly uncommittedBytesMax: number
  /** In memory because not yet durable or not yet applied: a state machine that is slow holds back its proposers (M8). */
  readonly windowBytesMax: number
  /** Durable and applied, and kept in memory for followers that are a little behind (R42). Nothing is kept while there are none. */
  readonly trailingBytes: number
  /** Reads waiting for their index. */
  readonly readsMax: number
}

/** In ticks. */
export interface RaftTiming {
  /** A follower waits for a leader for at least as long, and for less than twice as long (R16). A leader that no majority has answered for as long steps down. */
  readonly electionTicks: number
  readonly heartbeatTicks: number
}

export interface RaftCoreOptions {
  readonly node: NodeId
  readonly hardState: HardState
  readonly start: LogStart
  readonly lastIndex: LogIndex
  /** What the state machine covers. */
  readonly applied: LogIndex
  /** The changes of the membership in the log, in order. */
  readonly confEntries: readonly Entry[]
  readonly stable: StableTerms
  readonly limits: RaftLimits
  readonly timing: RaftTiming
  /** A whole number from `min` to `max`, both included (R2). */
  readonly random: (min: number, max: number) => number
}

/** 'overLimit': too much is unfinished. 'transferring': leadership is being handed over. The others are of changes of the membership. */
export type RefusedReason = 'notLeader' | 'overLimit' | 'transferring' | 'confPending' | 'termNotCommitted' | 'confInvalid'

/** 'appended' promises nothing: the proposal counts when an entry of this index and term is applied. */
export type ProposeOutcome =
  | { readonly kind: 'appended'; readonly index: LogIndex; readonly term: Term }
  | { readonly kind: 'refused'; readonly reason: RefusedReason }

export type ReadOutcome =
  | { readonly kind: 'accepted'; readonly read: ReadNumber }
  | { readonly kind: 'refused'; readonly reason: 'notLeader' | 'overLimit' }
