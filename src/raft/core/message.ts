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
/** Before the first election. */
export const TERM_NONE: Term = 0

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

/** Who belongs to a group. A node is in `voters` or in `learners`, not in both; all lists ascend. */
export interface ConfState {
  readonly voters: readonly NodeId[]
  /** Have the log and no vote. */
  readonly learners: readonly NodeId[]
  /** The voters before the change that is under way: they must agree as well (joint consensus, R32). Empty when none is. */
  readonly outgoing: readonly NodeId[]
  /** Voters of `outgoing` that are learners once the change is complete. */
  readonly learnersNext: readonly NodeId[]
}

/** Of a replica that has not taken part in anything yet. */
export const HARD_STATE_NONE: HardState = Object.freeze({ term: TERM_NONE, vote: NODE_NONE, commit: INDEX_NONE })

/** Before anything is known of a group: whoever has this stays quiet until a leader tells it more. */
export const CONF_NONE: ConfState = Object.freeze({ voters: [], learners: [], outgoing: [], learnersNext: [] })

/** Everything up to `index` is in the state machine and no longer in the log. */
export interface LogStart {
  readonly index: LogIndex
  readonly term: Term
  readonly conf: ConfState
}

/** Nothing is in the state machine, and nobody belongs to the group. */
export const START_NONE: LogStart = Object.freeze({ index: INDEX_NONE, term: TERM_NONE, conf: CONF_NONE })

interface Envelope {
  readonly from: NodeId
  readonly to: NodeId
  /** Of the sender when it sent. A lower one than the receiver's marks the message as stale. Pre-votes differ, see there. */
  readonly term: Term
}

/** Asks, before an election, whether there would be a vote. Changes nothing at the voter (R13). */
export interface PreVoteRequest extends Envelope {
  readonly kind: 'preVoteRequest'
  /** The one that the election would open. */
  readonly term: Term
  readonly lastIndex: LogIndex
  readonly lastTerm: Term
}

export interface PreVoteResponse extends Envelope {
  readonly kind: 'preVoteResponse'
  /** Granted, that of the request; refused, the voter's own. */
  readonly term: Term
  readonly granted: boolean
  /** What the voter knows to be committed. A candidate that has this entry, and did not know, may lack a change of the membership. */
  readonly commit: LogIndex
  readonly commitTerm: Term
}

/** A candidate asks for a vote. It has one if its log is at least as complete as the voter's (R12). */
export interface VoteRequest extends Envelope {
  readonly kind: 'voteRequest'
  readonly lastIndex: LogIndex
  readonly lastTerm: Term
  /** The leader itself asked for this election, so its being alive is no reason to refuse (R14, R37). */
  readonly transfer: boolean
}

export interface VoteResponse extends Envelope {
  readonly kind: 'voteResponse'
  readonly granted: boolean
}

/** Entries that follow the one at (previousIndex, previousTerm). Without entries, a question whether that one is there. */
export interface AppendRequest extends Envelope {
  readonly kind: 'appendRequest'
  readonly previousIndex: LogIndex
  readonly previousTerm: Term
  readonly entries: readonly Entry[]
  readonly commit: LogIndex
  /** Counts the leader's requests in its term, from 1. The answer repeats it, so that one that comes late is known (R46). */
  readonly sequence: number
}

export interface AppendResponse extends Envelope {
  readonly kind: 'appendResponse'
  /** Accepted: the sender's log is durable and equal to the leader's up to here. Rejected: the `previousIndex` that it does not have. */
  readonly index: LogIndex
  readonly rejected: boolean
  /** Rejected: the two logs may be equal only up to here, and the term of that entry (R24). Else 0. */
  readonly hintIndex: LogIndex
  readonly hintTerm: Term
  /** Of the request that is answered; 0 when the answer is to none. */
  readonly sequence: number
}

export interface HeartbeatRequest extends Envelope {
  readonly kind: 'heartbeatRequest'
  /** min(match, commit): never beyond what the follower is known to have (R21). */
  readonly commit: LogIndex
  /** Of the entry there, so that a follower which has another one learns that it has lost log (R25); TERM_NONE when the leader's log begins later. */
  readonly commitTerm: Term
  /** Counter of the leader, scoped to its term (R28). */
  readonly readRound: number
}

export interface HeartbeatResponse extends Envelope {
  readonly kind: 'heartbeatResponse'
  readonly readRound: number
}

/** What a snapshot is; its bytes go by a stream of their own (R38), and are durable when this is stepped. */
export interface SnapshotOffer extends Envelope {
  readonly kind: 'snapshotOffer'
  readonly start: LogStart
  readonly formatVersion: number
}

/** The leader hands over: campaign now. */
export interface TimeoutNow extends Envelope {
  readonly kind: 'timeoutNow'
}

/**
 * The receiver has acknowledged the log up to `index` to the sender, and has shown that it does not hold it any more (R46). `term` is the latest that the
 * sender has led. It counts in every term: what was acknowledged in one is owed in all.
 */
export interface LogLostNotice extends Envelope {
  readonly kind: 'logLost'
  readonly index: LogIndex
}

/** What replicas say to each other, and a replica to itself: its own vote and its own acknowledgement count only once they are durable (R3). */
export type Message =
  | PreVoteRequest
  | PreVoteResponse
  | VoteRequest
  | VoteResponse
  | AppendRequest
  | AppendResponse
  | HeartbeatRequest
  | HeartbeatResponse
  | SnapshotOffer
  | TimeoutNow
  | LogLostNotice
