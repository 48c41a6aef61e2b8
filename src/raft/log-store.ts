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
  /** The group is gone, and with it everything the log has of it. Comes alone: without entries, hard state and start. */
  readonly dropped?: true
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

/** Some bytes of the data of an entry. */
export interface EntryPiece {
  readonly index: LogIndex
  readonly offset: number
  readonly length: number
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
  /**
   * Some bytes of entries that ascend, as they are stored: not verified, so the caller has a checksum of them. Rejects with offsetOutOfRange when an entry is not
   * held, and with dataDamaged when it is shorter than that.
   */
  readPieces(group: GroupId, pieces: readonly EntryPiece[]): Promise<readonly Buffer[]>
  /** Bytes held, and the groups that keep the oldest of them from being freed, with the index each must be compacted to. */
  pressure(): LogPressure
  /** What it has, for those who look after it. Absent when there are no files. */
  usage?(): LogUsage
  /** Frees the files that no group needs any more. */
  reclaim(): Promise<void>
  /**
   * Reads all files that are written no more, and says what is damaged. `pace` is told of the bytes read and holds up the reading; when it rejects, the scrub does.
   * May run beside everything else. Absent when there are no files.
   */
  scrub?(pace: Pace): Promise<LogScrub>
  /** Leaves a mark of a clean end. */
  close(): Promise<void>
}

export interface LogUsage {
  readonly files: number
  /** Of the files and their indexes. */
  readonly bytes: number
  /** Where the entries are, in memory. An estimate. */
  readonly memoryBytes: number
  /** Pages of indexes that readers needed: found in memory, and read. */
  readonly pageHits: number
  readonly pageMisses: number
}

/** Called with the bytes that were read since the last call; reading goes on when it resolves. */
export type Pace = (bytes: number) => Promise<void>

export interface LogScrub {
  readonly damaged: readonly LogDamage[]
  /** Each group with entries, and the index before which all of them were read. */
  readonly verified: readonly { readonly group: GroupId; readonly before: LogIndex }[]
}

/** Bytes that are not what was written. */
export interface LogDamage {
  /** The full path, for the operator. */
  readonly path: string
  /** In the file; of an index, 0. */
  readonly offset: number
  readonly text: string
  /** Entries [from, to) of each group that the file holds: some of them may be what is damaged. */
  readonly entries: readonly { readonly group: GroupId; readonly from: LogIndex; readonly to: LogIndex }[]
}

export interface LogPressure {
  readonly bytes: number
  readonly holders: readonly { readonly group: GroupId; readonly compactTo: LogIndex }[]
}
