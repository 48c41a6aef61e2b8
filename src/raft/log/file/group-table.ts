// SPDX-License-Identifier: Apache-2.0
// What the log says, in memory: every group with its hard state, its start and where its entries are. Frames are applied to it from their encoded
// table, the same way when they are written and when they are recovered, so the two cannot differ.
import { assert, must } from '#base/assert'
import { readUint64 } from '#base/bytes'
import { type ConfState, type GroupId, HARD_STATE_NONE, type LogIndex, type LogStart, START_NONE, type Term } from '../../core/message.ts'
import type { GroupWrite, LogDamage, LogPressure, LogScrub, RecoveredGroup } from '../../log-store.ts'
import {
  CONF_FIXED_BYTES,
  entryKindOf,
  FRAME,
  FRAME_AT,
  FRAME_HEADER_BYTES,
  type LogPosition,
  RECORD,
  RECORD_AT,
  RECORD_BYTES,
} from './frame.ts'
import { GroupEntries } from './group-entries.ts'
import type { Segment } from './segment.ts'
import { decodeIndex, decodeIndexHead, encodeIndex, type StoredGroup } from './segment-index.ts'

/** A group without what only the files have. */
export type RecoveredLog = Omit<RecoveredGroup, 'confEntries'>

export class GroupLog {
  readonly group: GroupId
  readonly entries = new GroupEntries()
  hardState = HARD_STATE_NONE
  start = START_NONE
  /** A frame has named it. Before, its first write is under way and may never be there. */
  isWritten = false
  /** The write that last named this group: a batch names it once. */
  turn = 0

  constructor(group: GroupId) {
    this.group = group
  }

  term(index: LogIndex): Term | undefined {
    if (index === this.start.index) return this.start.term
    return this.entries.has(index) ? this.entries.term(index) : undefined
  }

  /** A start inside the log, of the same term there, is a compaction; any other replaces the log (Raft section 7). */
  keepsEntries(start: LogStart): boolean {
    return this.term(start.index) === start.term
  }
}

export class GroupTable {
  readonly #groups = new Map<GroupId, GroupLog>()
  #turn = 0
  /** Position of the first segment that is needed. */
  #first: LogPosition = 0

  get first(): LogPosition {
    return this.#first
  }

  get(group: GroupId): GroupLog | undefined {
    return this.#groups.get(group)
  }

  /** Whether the entries after the start of this write stay. */
  readonly keeps = ({ group, start }: GroupWrite): boolean => start !== undefined && this.#groups.get(group)?.keepsEntries(start) === true

  /** Asserts what every caller owes: dense entries that join the log, each group once. */
  check(writes: readonly GroupWrite[]): void {
    const turn = ++this.#turn
    for (const { group, entries, hardState, start, dropped } of writes) {
      assert(!dropped || (entries.length === 0 && hardState === undefined && start === undefined), 'a group is dropped and nothing else')
      const log = this.#obtain(group)
      assert(log.turn !== turn, 'a batch names each group once')
      log.turn = turn
      let low = log.start.index
      let last = log.entries.last
      if (start !== undefined) {
        assert(start.index >= low, 'the start of a log never goes back')
        low = start.index
        if (last < low || !log.keepsEntries(start)) last = low
      }
      for (const { index } of entries) {
        assert(index > low && index <= last + 1, `entries of group ${group} follow on the log without a gap`)
        low = index
        last = index
      }
    }
  }

  /** Takes over a frame, of which `head` is the header, the table and the data of all records but entries. */
  apply(head: Buffer): void {
    const records = head.readUInt32BE(FRAME_AT.records)
    const position = readUint64(head, FRAME_AT.position)
    let dataAt = FRAME_HEADER_BYTES + records * RECORD_BYTES
    for (let record = 0, at = FRAME_HEADER_BYTES; record < records; record++, at += RECORD_BYTES) {
      this.#applyRecord(head, at, position, dataAt)
      dataAt += head.readUInt32BE(at + RECORD_AT.length)
    }
    if (head.readUInt8(FRAME_AT.kind) === FRAME.opening) this.#dropUnnamed(head, records)
  }

  /** Indexes of files before this one may tell of groups that were dropped since. */
  #dropUnnamed(opening: Buffer, records: number): void {
    const named = new Set<GroupId>()
    for (let record = 0, at = FRAME_HEADER_BYTES; record < records; record++, at += RECORD_BYTES)
      named.add(opening.readUInt32BE(at + RECORD_AT.group))
    for (const group of this.#groups.keys()) if (!named.has(group)) this.#groups.delete(group)
  }

  /** Writes that repeat the hard state and start of every group, by group id. Not of one whose first write comes after them: if that is lost, there is no such group. */
  state(): readonly GroupWrite[] {
    const written = this.#sorted().filter(({ isWritten }) => isWritten)
    return written.map(({ group, hardState, start }) => ({ group, entries: [], hardState, start }))
  }

  /** The index of the segment that is written to, which is to be closed and whose last frame has the crc `chain`. */
  encodeIndex({ base, size, headerCrc }: Segment, chain: number, pause: () => Promise<void>): Promise<Buffer> {
    return encodeIndex(
      { base, size, headerCrc, chain },
      this.#sorted()
        .filter(({ entries }) => entries.last > 0)
        .map(({ group, entries }) => ({ group, ...entries.describe(base) })),
      pause,
    )
  }

  /** Takes over the index of a closed segment. False, and nothing is changed, when it is not the index of that segment. */
  adopt(segment: Segment, index: Buffer, chain: number): boolean {
    const { base, size, headerCrc } = segment
    const groups = decodeIndex(index, { base, size, headerCrc, chain })
    if (groups !== undefined) this.#takeOver(segment, groups, chain)
    return groups !== undefined
  }

  /** The same for the index that was just made of the segment. */
  adoptMade(segment: Segment, index: Buffer, chain: number): void {
    const { base, size, headerCrc } = segment
    const groups = decodeIndexHead(index, { base, size, headerCrc, chain })
    this.#takeOver(segment, must(groups, 'an index that was just made is right'), chain)
  }

  #takeOver(segment: Segment, groups: readonly StoredGroup[], chain: number): void {
    segment.endCrc = chain
    for (const stored of groups) this.#obtain(stored.group).entries.adopt(segment, stored)
  }

  /** Ends a recovery. Returns what was recovered, or a sentence on entries that the log should hold and does not. */
  settle(): readonly RecoveredLog[] | string {
    const recovered: RecoveredLog[] = []
    for (const { group, hardState, start, entries } of this.#sorted()) {
      if (entries.base < start.index) entries.dropThrough(start.index)
      if (entries.base > start.index) return `entries ${start.index + 1} to ${entries.base} of group ${group} are missing`
      recovered.push({ group, hardState, start, lastIndex: entries.last })
    }
    return recovered
  }

  /** Position of the oldest entry that is needed; Infinity when there is none. */
  oldest(): LogPosition {
    let oldest = Number.POSITIVE_INFINITY
    for (const { entries } of this.#groups.values()) oldest = Math.min(oldest, entries.firstPosition() ?? oldest)
    return oldest
  }

  /** The groups with entries before `position`, and the last of those entries. */
  holders(position: LogPosition): LogPressure['holders'] {
    const holders: { group: GroupId; compactTo: LogIndex }[] = []
    for (const { group, entries } of this.#sorted()) {
      const compactTo = entries.lastBefore(position)
      if (compactTo > entries.base) holders.push({ group, compactTo })
    }
    return holders
  }

  /** What the places of entries take. An estimate. */
  get memoryBytes(): number {
    let bytes = 0
    for (const { entries } of this.#groups.values()) bytes += entries.memoryBytes
    return bytes
  }

  /** Each group, and the index before which its entries are in closed segments. */
  closed(): LogScrub['verified'] {
    return this.#sorted().map(({ group, entries }) => ({ group, before: entries.recent.base + 1 }))
  }

  /** What a closed segment holds of each group. */
  entriesIn(segment: Segment): LogDamage['entries'] {
    return this.#sorted().flatMap(({ group, entries }) => {
      const stretch = entries.stretchIn(segment)
      return stretch === undefined ? [] : [{ group, from: stretch.first, to: stretch.last + 1 }]
    })
  }

  #applyRecord(head: Buffer, at: number, framePosition: LogPosition, dataAt: number): void {
    const kind = head.readUInt8(at + RECORD_AT.kind)
    const term = readUint64(head, at + RECORD_AT.term)
    const index = readUint64(head, at + RECORD_AT.index)
    if (kind === RECORD.first) {
      this.#first = index
      return
    }
    const group = head.readUInt32BE(at + RECORD_AT.group)
    if (kind === RECORD.dropped) {
      this.#groups.delete(group)
      return
    }
    const log = this.#obtain(group)
    log.isWritten = true
    if (entryKindOf(kind) !== undefined) {
      const { entries } = log
      if (index <= entries.last) entries.truncateFrom(index)
      // Only in a recovery, where the entries before may be in a segment that is gone because nobody needs them. `settle` has the last word.
      else if (index > entries.last + 1) entries.reset(index - 1)
      entries.append(kind, term, framePosition + dataAt, head.readUInt32BE(at + RECORD_AT.length), head.readUInt32BE(at + RECORD_AT.crc))
    } else if (kind === RECORD.hardState) {
      log.hardState = { term, vote: readUint64(head, dataAt), commit: index }
    } else {
      assert(kind === RECORD.startKeeping || kind === RECORD.startClearing, 'every kind of record is known')
      log.start = { index, term, conf: decodeConf(head, dataAt, dataAt + head.readUInt32BE(at + RECORD_AT.length)) }
      if (kind === RECORD.startClearing) log.entries.reset(index)
      else log.entries.dropThrough(index)
    }
  }

  #obtain(group: GroupId): GroupLog {
    let log = this.#groups.get(group)
    if (log === undefined) {
      log = new GroupLog(group)
      this.#groups.set(group, log)
    }
    return log
  }

  #sorted(): readonly GroupLog[] {
    const groups = [...this.#groups.keys()].sort((a, b) => a - b)
    return groups.map((group) => must(this.#groups.get(group), 'a key of the map is in it'))
  }
}

function decodeConf(from: Buffer, at: number, end: number): ConfState {
  let idAt = 0
  const ids = (countAt: number): readonly number[] =>
    Array.from({ length: from.readUInt32BE(countAt) }, () => {
      idAt += 8
      return readUint64(from, idAt - 8)
    })
  idAt = at + CONF_FIXED_BYTES
  const members = { voters: ids(at), learners: ids(at + 4) }
  if (idAt === end) return { ...members, outgoing: [], learnersNext: [] }
  const jointAt = idAt
  idAt += CONF_FIXED_BYTES
  return { ...members, outgoing: ids(jointAt), learnersNext: ids(jointAt + 4) }
}
