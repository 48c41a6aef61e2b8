// SPDX-License-Identifier: Apache-2.0
// Where the entries of one group are: those of the segment that is written to one by one in memory, those of closed segments as one stretch for each
// segment, whose rows are in the index file. So memory grows with segments, not with entries, and terms still never cost a read.
import { assert, must } from '#base/assert'
import type { LogIndex, Term } from '../../core/message.ts'
import { EntryIndex } from './entry-index.ts'
import { type LogPosition, RECORD } from './frame.ts'
import type { Segment } from './segment.ts'
import { type IndexSource, ROW_BYTES, type StoredGroup, termAt } from './segment-index.ts'

/** What a stretch takes in memory, about. */
const STRETCH_BYTES = 200

/** The entries [first, last] of a group in a closed segment. The index of the segment may have more. */
export interface Stretch {
  readonly segment: Segment
  readonly stored: StoredGroup
  first: LogIndex
  last: LogIndex
}

export class GroupEntries {
  /** Entries of closed segments: ascending, dense, and followed by those of `recent`. */
  #stretches: Stretch[] = []
  /** Entries of the segment that is written to. */
  readonly recent = new EntryIndex()
  #base: LogIndex = 0

  /** The index before the first entry. */
  get base(): LogIndex {
    return this.#base
  }

  /** Index of the last entry; equal to `base` when there is none. */
  get last(): LogIndex {
    return this.recent.last
  }

  has(index: LogIndex): boolean {
    return index > this.#base && index <= this.last
  }

  term(index: LogIndex): Term {
    assert(this.has(index), 'only entries that are held are looked up')
    if (index > this.recent.base) return this.recent.term(index)
    return termAt(must(this.#stretches[this.#stretchAt(index)], 'an entry that is not recent is in a stretch').stored.terms, index)
  }

  /** Forgets everything and goes on after `base`. */
  reset(base: LogIndex): void {
    this.#stretches = []
    this.recent.reset(base)
    this.#base = base
  }

  append(kind: number, term: Term, position: LogPosition, length: number, crc: number): void {
    this.recent.append(kind, term, position, length, crc)
  }

  /** Discards `index` and all after it. */
  truncateFrom(index: LogIndex): void {
    if (index <= this.#base) this.reset(index - 1)
    else if (index > this.recent.base) this.recent.truncateFrom(index)
    else {
      while (this.#stretches.length > 0 && (this.#stretches.at(-1) as Stretch).first >= index) this.#stretches.pop()
      const end = this.#stretches.at(-1)
      if (end !== undefined) end.last = index - 1
      this.recent.reset(index - 1)
    }
  }

  /** Discards `index` and all before it. */
  dropThrough(index: LogIndex): void {
    if (index <= this.#base) return
    if (index >= this.last) {
      this.reset(index)
      return
    }
    this.#base = index
    this.#stretches = this.#stretches.filter(({ last }) => last > index)
    const begin = this.#stretches[0]
    if (begin !== undefined) begin.first = Math.max(begin.first, index + 1)
    this.recent.dropThrough(index)
  }

  /** The membership changes among the entries, ascending. */
  confs(): readonly LogIndex[] {
    const closed = this.#stretches.flatMap(({ stored, first, last }) => stored.confs.filter((index) => index >= first && index <= last))
    return [...closed, ...this.recent.indexesOf(RECORD.entryConf)]
  }

  /** Position in the segment of the first entry, or before; undefined when there is no entry. */
  firstPosition(): LogPosition | undefined {
    const begin = this.#stretches[0]
    if (begin !== undefined) return begin.segment.base
    return this.recent.last > this.recent.base ? this.recent.position(this.recent.base + 1) : undefined
  }

  /** Index of the last entry that begins before `position`, where a segment begins; `base` when none does. */
  lastBefore(position: LogPosition): LogIndex {
    const recent = this.recent.lastBefore(position)
    if (recent > this.recent.base) return recent
    for (let at = this.#stretches.length - 1; at >= 0; at--) {
      const { segment, last } = this.#stretches[at] as Stretch
      if (segment.base < position) return last
    }
    return this.#base
  }

  /** The stretches that have any of [from, to). */
  stretches(from: LogIndex, to: LogIndex): readonly Stretch[] {
    if (from > this.recent.base || this.#stretches.length === 0) return []
    const found: Stretch[] = []
    for (let at = this.#stretchAt(from); at < this.#stretches.length; at++) {
      const stretch = this.#stretches[at] as Stretch
      if (stretch.first >= to) break
      found.push(stretch)
    }
    return found
  }

  get memoryBytes(): number {
    return this.recent.memoryBytes + STRETCH_BYTES * this.#stretches.length
  }

  /** What is held of the entries in a closed segment. */
  stretchIn(segment: Segment): Stretch | undefined {
    return this.#stretches.find((stretch) => stretch.segment === segment)
  }

  /** What the index of the segment at `base` says of the recent entries, which are all in it. */
  describe(base: LogPosition): Omit<IndexSource, 'group'> {
    const { recent } = this
    const first = recent.base + 1
    return {
      last: recent.last,
      first,
      count: recent.last - recent.base,
      terms: recent.termStarts(),
      confs: recent.indexesOf(RECORD.entryConf),
      writeRows: (into, from, row, count) => {
        for (let index = first + row, at = from; index < first + row + count; index++, at += ROW_BYTES) {
          into.writeUInt32BE(recent.position(index) - base, at)
          into.writeUInt32BE(recent.length(index), at + 4)
          into.writeUInt32BE(recent.crc(index), at + 8)
          into.writeUInt32BE(recent.kind(index) * 0x100_0000, at + 12)
        }
      },
    }
  }

  /** Takes over what a closed segment has of the group: at a start in place of its frames, else in place of the recent entries. */
  adopt(segment: Segment, stored: StoredGroup): void {
    const { first, count, last } = stored
    if (count > 0) {
      if (first > this.last + 1) this.reset(first - 1)
      else this.truncateFrom(first)
      this.#stretches.push({ segment, stored, first, last: first + count - 1 })
      this.recent.reset(first + count - 1)
    }
    if (last < this.last) this.truncateFrom(last + 1)
    else if (last > this.last) this.reset(last)
  }

  /** Place of the stretch that holds an index. */
  #stretchAt(index: LogIndex): number {
    let low = 0
    let high = this.#stretches.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if ((this.#stretches[middle] as Stretch).first <= index) low = middle
      else high = middle - 1
    }
    return low
  }
}
