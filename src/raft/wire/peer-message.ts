// SPDX-License-Identifier: Apache-2.0
// What the hosts of two nodes say to each other. Requests are numbered by the node that asks, and are answered at most once: an answer that
// is lost, or comes too late, leaves the outcome unknown.
import type { GroupId, LogIndex, Message, Term } from '../core/message.ts'

/** Counted by the asking process, from 1. */
export type RequestNumber = number

/** A message of the consensus core of a group. */
export interface ConsensusMessage {
  readonly kind: 'consensus'
  readonly group: GroupId
  readonly message: Message
}

/** A follower hands a command to the leader. */
export interface ProposeRequest {
  readonly kind: 'proposeRequest'
  readonly group: GroupId
  readonly request: RequestNumber
  readonly data: Buffer
}

/** Where the leader has put the command; what becomes of it, the asking replica sees when it applies the entry at that index. */
export interface ProposeResponse {
  readonly kind: 'proposeResponse'
  readonly group: GroupId
  readonly request: RequestNumber
  readonly outcome:
    | { readonly kind: 'appended'; readonly index: LogIndex; readonly term: Term }
    | { readonly kind: 'refused'; readonly reason: PeerRefusal }
}

/** A follower asks from which index on it may serve a linearizable read. */
export interface ReadRequest {
  readonly kind: 'readRequest'
  readonly group: GroupId
  readonly request: RequestNumber
}

export interface ReadResponse {
  readonly kind: 'readResponse'
  readonly group: GroupId
  readonly request: RequestNumber
  readonly outcome: { readonly kind: 'readable'; readonly index: LogIndex } | { readonly kind: 'refused'; readonly reason: PeerRefusal }
}

/** The leader tells what its state is worth at an index at which its followers look too (R51). */
export interface StateHashMessage {
  readonly kind: 'stateHash'
  readonly group: GroupId
  readonly index: LogIndex
  /** u32 */
  readonly hash: number
}

/** Why nothing was done. 'notLeader' may have been leader a moment ago. */
export type PeerRefusal = 'notLeader' | 'overLimit' | 'stopping'

export type PeerMessage = ConsensusMessage | ProposeRequest | ProposeResponse | ReadRequest | ReadResponse | StateHashMessage

/** What goes ahead of a snapshot's bytes: the offer that is stepped into the core once they are durable. */
export interface SnapshotHeader {
  readonly group: GroupId
  readonly offer: Extract<Message, { kind: 'snapshotOffer' }>
}
