// SPDX-License-Identifier: Apache-2.0
// What a group replicates. Applying is a pure function of (state, entry): no clock, no randomness, no cache (R52).
import type { Entry, LogIndex, Term } from './core/message.ts'

export interface StateMachine {
  /** Reads the stored state; resolves with the index it covers. Entries up to it are not applied again (R8). */
  open(): Promise<LogIndex>
  /**
   * Applies committed entries, in order and without a gap. Of an entry that is not of kind 'normal' only the index matters. The
   * reply of each, aligned with `entries`, is what its proposer gets. A returned promise holds back the next call. State reaches the
   * store in one write with the applied index (R8). An exception stops the process (R53).
   */
  apply(entries: readonly Entry[]): readonly unknown[] | Promise<readonly unknown[]>
  /** Makes all applied state durable with a synced write; resolves with the index it covers. */
  persist(): Promise<LogIndex>
  /** This replica leads from now on: every entry of earlier terms has been applied. */
  onLeader?(term: Term): void
  onFollower?(): void
}
