// SPDX-License-Identifier: Apache-2.0
// What the meta service needs of a Raft group.
import type { PlatformError } from '#base/error'

export interface ProposalWaiter {
  /** The entry is applied; `reply` is what the state machine gave for it. */
  committed(index: number, reply: unknown): void
  failed(error: PlatformError): void
}

export interface Proposer {
  /** Of the group: its state lies under keys that begin with it. */
  readonly id: number
  /** Whether this node leads the group: it is the one to do what needs doing once in the cluster. May change at any time. */
  readonly leads: boolean
  /** Exactly one call of the waiter follows. `data` must not change any more. */
  propose(data: Buffer, waiter: ProposalWaiter): void
  /** Resolves when everything committed by now is applied (RELIABILITY R26). */
  readIndex(): Promise<void>
}
