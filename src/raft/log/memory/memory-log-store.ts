// SPDX-License-Identifier: Apache-2.0
// A log store of which nothing survives: for groups whose data may be lost with the node, and for tests.
import { assert, must } from '#base/assert'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { type Entry, type GroupId, INDEX_NONE, type LogIndex, type LogStart, type Term } from '../../core/message.ts'
import type { EntryPiece, GroupWrite, LogPressure, LogStore, RecoveredGroup } from '../../log-store.ts'

/** What an entry costs beside its bytes: its objects, and those of its buffer. An estimate, without which many small entries would go far over any bound. */
const ENTRY_OVERHEAD_BYTES = 320

const costOf = ({ data }: Entry): number => data.length + ENTRY_OVERHEAD_BYTES

class MemoryLog {
  /** Entries (start.index, last], after `head` slots that are no longer used. */
  #slots: (Entry | undefined)[] = []
  #head = 0
  #startIndex: LogIndex = INDEX_NONE
  #startTerm: Term = 0
  bytes = 0

  get startIndex(): LogIndex {
    return this.#startIndex
  }

  get last(): LogIndex {
    return this.#startIndex + this.#slots.length - this.#head
  }

  entry(index: LogIndex): Entry | undefined {
    return index > this.#startIndex ? this.#slots[this.#head + index - this.#startIndex - 1] : undefined
  }

  term(index: LogIndex): Term | undefined {
    return index === this.#startIndex ? this.#startTerm : this.entry(index)?.term
  }

  /** Discards the entry's index and all after it, then adds the entry (R4). */
  append(entry: Entry): void {
    assert(entry.index > this.#startIndex && entry.index <= this.last + 1, 'entries follow on the log without a gap')
    while (this.last >= entry.index) this.bytes -= costOf(this.#slots.pop()!)
    this.#slots.push(entry)
    this.bytes += costOf(entry)
  }

  /** A start inside the log, of the same term there, drops the entries up to it; any other replaces the log. */
  setStart(start: LogStart): void {
    assert(start.index >= this.#startIndex, 'the start of a log never goes back')
    const dropped = this.term(start.index) === start.term ? start.index - this.#startIndex : this.#slots.length - this.#head
    for (let count = 0; count < dropped; count++) {
      this.bytes -= costOf(this.#slots[this.#head]!)
      this.#slots[this.#head++] = undefined
    }
    this.#startIndex = start.index
    this.#startTerm = start.term
    if (this.#head * 2 > this.#slots.length) {
      this.#slots = this.#slots.slice(this.#head)
      this.#head = 0
    }
  }
}

export class MemoryLogStore implements LogStore {
  readonly #logs = new Map<GroupId, MemoryLog>()

  async open(): Promise<readonly RecoveredGroup[]> {
    return []
  }

  async write(batch: readonly GroupWrite[]): Promise<void> {
    for (const { group, entries, start, dropped } of batch) {
      if (dropped) {
        this.#logs.delete(group)
        continue
      }
      let log = this.#logs.get(group)
      if (log === undefined) {
        log = new MemoryLog()
        this.#logs.set(group, log)
      }
      if (start !== undefined) log.setStart(start)
      for (const entry of entries) log.append(entry)
    }
  }

  term(group: GroupId, index: LogIndex): Term | undefined {
    return this.#logs.get(group)?.term(index)
  }

  async read(group: GroupId, from: LogIndex, to: LogIndex, bytesMax: number): Promise<readonly Entry[]> {
    assert(from < to, 'a read names at least one entry')
    const log = this.#held(group, from, to)
    const entries: Entry[] = []
    let bytes = 0
    for (let index = from; index < to; index++) {
      const entry = log.entry(index)!
      bytes += entry.data.length
      if (index > from && bytes > bytesMax) break
      entries.push(entry)
    }
    return entries
  }

  async readPieces(group: GroupId, pieces: readonly EntryPiece[]): Promise<readonly Buffer[]> {
    const first = must(pieces[0], 'a read names at least one piece').index
    const log = this.#held(group, first, (pieces.at(-1) as EntryPiece).index + 1)
    return pieces.map(({ index, offset, length }) => {
      const { data } = must(log.entry(index), 'a log has no gap')
      if (offset + length > data.length)
        throw new PlatformError(ERROR_CODES.dataDamaged, `entry ${index} of group ${group} is too short for what is looked for in it`)
      return data.subarray(offset, offset + length)
    })
  }

  /** The log of a group that holds entries [from, to). */
  #held(group: GroupId, from: LogIndex, to: LogIndex): MemoryLog {
    const log = this.#logs.get(group)
    if (log !== undefined && from > log.startIndex && to <= log.last + 1) return log
    const held = log === undefined ? 'nothing' : `(${log.startIndex}, ${log.last}]`
    throw new PlatformError(ERROR_CODES.offsetOutOfRange, `read entries [${from}, ${to}) of group ${group}: the log holds ${held}`)
  }

  /** Everything after a start is held, so every group with entries holds something. */
  pressure(): LogPressure {
    let bytes = 0
    const holders: { group: GroupId; compactTo: LogIndex }[] = []
    for (const [group, log] of this.#logs) {
      bytes += log.bytes
      if (log.last > log.startIndex) holders.push({ group, compactTo: log.last })
    }
    return { bytes, holders: holders.sort((a, b) => a.group - b.group) }
  }

  /** Entries are freed when the start moves. */
  async reclaim(): Promise<void> {}

  async close(): Promise<void> {}
}
