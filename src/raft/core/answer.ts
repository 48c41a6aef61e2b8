// SPDX-License-Identifier: Apache-2.0
// How a replica answers: at once if everything is durable that the answer could depend on, else after it is (R3).
import type { AppendResponse, LogIndex, Message, NodeId, Term } from './message.ts'

/** Sends an answer when all that came before it is durable. */
export type Answer = (message: Message) => void

/** `from` has everything of the leader's log up to `index`. */
export const acknowledgement = (from: NodeId, to: NodeId, term: Term, index: LogIndex, sequence: number): AppendResponse => ({
  kind: 'appendResponse',
  from,
  to,
  term,
  index,
  rejected: false,
  hintIndex: 0,
  hintTerm: 0,
  sequence,
})
