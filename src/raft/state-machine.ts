// SPDX-License-Identifier: Apache-2.0
// What a group replicates. Applying is a pure function of (state, entry): no clock, no randomness, no cache (R52).
import type { Entry, LogIndex, Term } from './core/message.ts'

export interface StateMachine {
  /** Entries from here on stay in the log, though the state covers them: the state refers to them. None when it is absent. Never goes back. */
  readonly neededFrom?: LogIndex
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
  /** A consistent copy of the state as of now, for a replica that lacks it. Needed by groups of several voters, as is `install`. */
  snapshot?(): Promise<StateSnapshot>
  /**
   * Replaces the whole state by that of a snapshot. Resolves when it is durable. No other call is under way meanwhile. After a crash in
   * the middle it is called again, before `open`, with the same snapshot: it must not depend on what it finds (R41).
   */
  install?(snapshot: InstalledSnapshot): Promise<void>
  /** A value that is equal on all replicas which have applied the same entries up to `index`; undefined when it is no longer known (R51). */
  stateHash?(index: LogIndex): number | undefined
  /** This replica leads from now on: every entry of earlier terms has been applied. */
  onLeader?(term: Term): void
  onFollower?(): void
}

export interface StateSnapshot {
  /** Everything up to here is in it, and nothing above. */
  readonly index: LogIndex
  /** Of the chunks. A program installs every version that it knows, and refuses others with dataVersion (R55). */
  readonly formatVersion: number
  /** At most a few hundred KiB each. Read once. */
  readonly chunks: AsyncIterable<Buffer>
  /** Gives back what holds the view, read to its end or not. */
  close(): Promise<void>
}

export interface InstalledSnapshot {
  readonly index: LogIndex
  readonly formatVersion: number
  readonly chunks: AsyncIterable<Buffer>
}
