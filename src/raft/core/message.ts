// SPDX-License-Identifier: Apache-2.0
// The vocabulary of the consensus core.

export type NodeId = number
/** Identity of a group, incarnation included: never reused after the group is deleted. u32, from 1. */
export type GroupId = number
export type LogIndex = number
export type Term = number

export const NODE_NONE: NodeId = 0
/** Before the first entry. */
export const INDEX_NONE: LogIndex = 0

/** 'empty' opens a term, 'normal' carries a command, 'conf' a membership change. */
export type EntryKind = 'empty' | 'normal' | 'conf'

export interface Entry {
  readonly index: LogIndex
  readonly term: Term
  readonly kind: EntryKind
  /** Empty for 'empty'. Must not change once proposed. */
  readonly data: Buffer
}

/** What a replica must never forget. */
export interface HardState {
  readonly term: Term
  /** Who got this replica's vote in `term`, or NODE_NONE. */
  readonly vote: NodeId
  readonly commit: LogIndex
}

export interface ConfState {
  readonly voters: readonly NodeId[]
  readonly learners: readonly NodeId[]
}

/** Everything up to `index` is in the state machine and no longer in the log. */
export interface LogStart {
  readonly index: LogIndex
  readonly term: Term
  readonly conf: ConfState
}
