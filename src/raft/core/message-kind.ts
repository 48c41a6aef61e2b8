// SPDX-License-Identifier: Apache-2.0
// What a message of another term than the receiver's means, by its kind.
import { assertNever } from '#base/assert'
import type { Message } from './message.ts'

/** Whether only the leader of a term says so. */
export function isFromLeader({ kind }: Message): boolean {
  switch (kind) {
    case 'appendRequest':
    case 'heartbeatRequest':
    case 'snapshotOffer':
    case 'timeoutNow':
      return true
    case 'preVoteRequest':
    case 'preVoteResponse':
    case 'voteRequest':
    case 'voteResponse':
    case 'appendResponse':
    case 'heartbeatResponse':
    case 'logLost':
      return false
    default:
      return assertNever(kind)
  }
}

/** Whether its term has begun: pre-votes speak of one that nobody may ever open (R13). */
export const raisesTerm = (message: Message): boolean =>
  message.kind !== 'preVoteRequest' && !(message.kind === 'preVoteResponse' && message.granted)
