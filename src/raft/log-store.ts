// SPDX-License-Identifier: Apache-2.0
// Where the entries of all groups of a node live until they are in the state machines. One store serves all groups, so that
// one write and one fsync serve all of them too (D7, M1).
import type { Entry, GroupId, HardState, LogIndex, LogStart, Term } from './core/message.ts'

/** What one group adds in one turn. Writing entry i discards every stored entry of the group at or above i (R4). */
export interface GroupWrite {
  readonly group: GroupId
  readonly entries: readonly Entry[]
  readonly hardState?: HardState
  /** The log now begins after this point: set when a group is created, compacted or restored from a snapshot. */
  readonly start?: LogStart
}

export interface RecoveredGroup {
  readonly group: GroupId
  readonly hardState: HardState
  readonly start: LogStart
  /** Equal to `start.index` when the log is empty. */
  readonly lastIndex: LogIndex
  /** The entries of kind 'conf' in the log, in order: `start.conf` and these are the history of the membership. */
  readonly confEntries: readonly Entry[]
}

export interface LogStore {
  /** Reads what is there, cutting a torn tail. Rejects with dataDamaged when stored bytes are not what was written: nothing is dropped silently. */
  open(): Promise<readonly RecoveredGroup[]>
  /** Writes a batch whole or not at all. One call at a time. With `sync`, resolves when it is durable. After a rejection the process must end (R48). */
  write(batch: readonly GroupWrite[], options: { readonly sync: boolean }): Promise<void>
  /** Term of an entry from `start.index` to the last written one; undefined outside. Synchronous: kept in memory. */
  term(group: GroupId, index: LogIndex): Term | undefined
  /** Entries [from, to), at least one and then at most `bytesMax` of data. */
  read(group: GroupId, from: LogIndex, to: LogIndex, bytesMax: number): Promise<readonly Entry[]>
  /** Bytes held, and the groups that keep the oldest of them from being freed, with the index each must be compacted to. */
  pressure(): LogPressure
  /** Frees the files that no group needs any more. */
  reclaim(): Promise<void>
  /** Leaves a mark of a clean end. */
  close(): Promise<void>
}

export interface LogPressure {
  readonly bytes: number
  readonly holders: readonly { readonly group: GroupId; readonly compactTo: LogIndex }[]
}
