// SPDX-License-Identifier: Apache-2.0
// The index of a segment that is written no more: which entries of each group are in it, and where. It takes the place of reading the segment at a
// start, and of keeping its entries in memory. It is a cache of the segment (L27): checked against it, and made again from it when anything is wrong.
//
//   index  := head, page*
//   head   := magic u32 | version u32 | base u64 | size u64 | header crc u32 | chain u32 | groups u32 | length u32 | group* | crc u32
//   group  := id u32 | terms u32 | confs u32 | count u32 | last u64 | first u64 | pages u64 | (index u64, term u64)* | conf index u64*
//   page   := row{1,256} | crc u32                                                    all but the last of a group are full
//   row    := offset u32 | length u32 | crc u32 | kind u8, 3 zeros                    data of one entry, in the order of their indexes
//
// `base`, `size` and `header crc` say which segment it is of, and `chain` is the crc of its last frame, which the next segment repeats. `last` is the last
// index of the group when the segment ended, whether or not that entry is in it: entries above, of earlier segments, are void. `pages` is the offset of the group's first page.
import { must } from '#base/assert'
import { readUint64, writeUint64 } from '#base/bytes'
import { crc32c } from '#base/crc32c'
import type { GroupId, LogIndex, Term } from '../../core/message.ts'
import type { LogPosition } from './frame.ts'

export const ROW_BYTES = 16
export const PAGE_ROWS = 256
const PAGE_CRC_BYTES = 4

const MAGIC = 0x524d5149 // 'RMQI'
const VERSION = 1
const HEAD_BYTES = 40
const GROUP_BYTES = 40
const CRC_BYTES = 4
/** Pages that are encoded in one turn: about a millisecond of work. */
const TURN_PAGES = 64

/** The segment that an index is of. */
export interface IndexedSegment {
  readonly base: LogPosition
  readonly size: number
  readonly headerCrc: number
  readonly chain: number
}

/** Where a term begins. */
export interface TermStart {
  readonly index: LogIndex
  readonly term: Term
}

/** What a segment has of one group. */
export interface IndexedGroup {
  readonly group: GroupId
  readonly last: LogIndex
  /** Index of the first entry in the segment. Meaningless when there is none. */
  readonly first: LogIndex
  readonly count: number
  readonly terms: readonly TermStart[]
  readonly confs: readonly LogIndex[]
}

/** The same, with the rows of its entries. */
export interface IndexSource extends IndexedGroup {
  /** Writes the rows of `count` entries, from number `row` on. */
  writeRows(into: Buffer, at: number, row: number, count: number): void
}

/** As it is found in an index file. */
export interface StoredGroup extends IndexedGroup {
  /** Offset of its first page. */
  readonly pagesAt: number
}

/** The term of an entry that is at or after the first of `terms`. */
export function termAt(terms: readonly TermStart[], index: LogIndex): Term {
  let at = terms.length - 1
  while (at > 0 && (terms[at] as TermStart).index > index) at--
  return must(terms[at], 'entries have terms').term
}

const pageRows = (page: number, count: number): number => Math.min(PAGE_ROWS, count - page * PAGE_ROWS)

const pagesBytes = (count: number): number => count * ROW_BYTES + Math.ceil(count / PAGE_ROWS) * PAGE_CRC_BYTES

export interface PagePlace {
  readonly offset: number
  readonly bytes: number
  /** Rows before those of the page. */
  readonly rowsBefore: number
}

/** Where the page is that has a row. */
export function pageOf({ pagesAt, count }: Pick<StoredGroup, 'pagesAt' | 'count'>, row: number): PagePlace {
  const page = Math.floor(row / PAGE_ROWS)
  const rowsBefore = page * PAGE_ROWS
  const bytes = pageRows(page, count) * ROW_BYTES + PAGE_CRC_BYTES
  return { offset: pagesAt + rowsBefore * ROW_BYTES + page * PAGE_CRC_BYTES, bytes, rowsBefore }
}

/** Whether a page is what was written at `offset` of the index of the segment at `base`: the place is part of the sum, so that a page from elsewhere is none. */
export function isPageSound(page: Buffer, base: LogPosition, offset: number): boolean {
  const end = page.length - PAGE_CRC_BYTES
  return end > 0 && crc32c(page, placeCrc(base, offset), 0, end) === page.readUInt32BE(end)
}

function placeCrc(base: LogPosition, offset: number): number {
  const place = Buffer.allocUnsafe(16)
  writeUint64(place, base, 0)
  writeUint64(place, offset, 8)
  return crc32c(place)
}

/** `pause` ends the turn: a segment of tiny entries has millions of rows. The groups do not change meanwhile. */
export async function encodeIndex(segment: IndexedSegment, groups: readonly IndexSource[], pause: () => Promise<void>): Promise<Buffer> {
  const headBytes = groups.reduce(
    (sum, { terms, confs }) => sum + GROUP_BYTES + 16 * terms.length + 8 * confs.length,
    HEAD_BYTES + CRC_BYTES,
  )
  const bytes = Buffer.alloc(groups.reduce((sum, { count }) => sum + pagesBytes(count), headBytes))
  bytes.writeUInt32BE(MAGIC, 0)
  bytes.writeUInt32BE(VERSION, 4)
  writeUint64(bytes, segment.base, 8)
  writeUint64(bytes, segment.size, 16)
  bytes.writeUInt32BE(segment.headerCrc, 24)
  bytes.writeUInt32BE(segment.chain, 28)
  bytes.writeUInt32BE(groups.length, 32)
  bytes.writeUInt32BE(headBytes, 36)
  let at = HEAD_BYTES
  let pagesAt = headBytes
  let pages = 0
  for (const group of groups) {
    at = encodeGroup(bytes, at, group, pagesAt)
    for (let row = 0; row < group.count; row += PAGE_ROWS) {
      encodePage(bytes, pagesAt, segment.base, group, row)
      if (++pages % TURN_PAGES === 0) await pause()
    }
    pagesAt += pagesBytes(group.count)
  }
  bytes.writeUInt32BE(crc32c(bytes, 0, 0, at), at)
  return bytes
}

function encodeGroup(bytes: Buffer, from: number, { group, last, first, count, terms, confs }: IndexSource, pagesAt: number): number {
  bytes.writeUInt32BE(group, from)
  bytes.writeUInt32BE(terms.length, from + 4)
  bytes.writeUInt32BE(confs.length, from + 8)
  bytes.writeUInt32BE(count, from + 12)
  writeUint64(bytes, last, from + 16)
  writeUint64(bytes, first, from + 24)
  writeUint64(bytes, pagesAt, from + 32)
  let at = from + GROUP_BYTES
  for (const { index, term } of terms) {
    writeUint64(bytes, index, at)
    writeUint64(bytes, term, at + 8)
    at += 16
  }
  for (const index of confs) {
    writeUint64(bytes, index, at)
    at += 8
  }
  return at
}

function encodePage(bytes: Buffer, pagesAt: number, base: LogPosition, group: IndexSource, row: number): void {
  const { offset, bytes: length } = pageOf({ pagesAt, count: group.count }, row)
  const end = offset + length - PAGE_CRC_BYTES
  group.writeRows(bytes, offset, row, (end - offset) / ROW_BYTES)
  bytes.writeUInt32BE(crc32c(bytes, placeCrc(base, offset), offset, end), end)
}

/** The groups of an index, every byte of which has been verified; undefined when it is not one of this segment. */
export function decodeIndex(bytes: Buffer, segment: IndexedSegment): readonly StoredGroup[] | undefined {
  const groups = decodeIndexHead(bytes, segment)
  return groups?.every((group) => arePagesSound(bytes, segment.base, group)) ? groups : undefined
}

/** The same, but of the pages only the place is verified. */
export function decodeIndexHead(bytes: Buffer, segment: IndexedSegment): readonly StoredGroup[] | undefined {
  if (bytes.length < HEAD_BYTES + CRC_BYTES || bytes.readUInt32BE(0) !== MAGIC || bytes.readUInt32BE(4) !== VERSION) return undefined
  const headBytes = bytes.readUInt32BE(36)
  if (headBytes < HEAD_BYTES + CRC_BYTES || headBytes > bytes.length) return undefined
  const crcAt = headBytes - CRC_BYTES
  if (crc32c(bytes, 0, 0, crcAt) !== bytes.readUInt32BE(crcAt) || !isOf(bytes, segment)) return undefined
  const groups: StoredGroup[] = []
  let at = HEAD_BYTES
  let end = headBytes
  for (let left = bytes.readUInt32BE(32); left > 0; left--) {
    const group = decodeGroup(bytes, at)
    at += GROUP_BYTES + 16 * group.terms.length + 8 * group.confs.length
    end = group.pagesAt + pagesBytes(group.count)
    if (end > bytes.length) return undefined
    groups.push(group)
  }
  return end === bytes.length ? groups : undefined
}

const isOf = (bytes: Buffer, { base, size, headerCrc, chain }: IndexedSegment): boolean =>
  readUint64(bytes, 8) === base &&
  readUint64(bytes, 16) === size &&
  bytes.readUInt32BE(24) === headerCrc &&
  bytes.readUInt32BE(28) === chain

function decodeGroup(bytes: Buffer, from: number): StoredGroup {
  const terms: TermStart[] = []
  const confs: LogIndex[] = []
  const termsAt = from + GROUP_BYTES
  const confsAt = termsAt + 16 * bytes.readUInt32BE(from + 4)
  for (let at = termsAt; at < confsAt; at += 16) terms.push({ index: readUint64(bytes, at), term: readUint64(bytes, at + 8) })
  for (let left = bytes.readUInt32BE(from + 8), at = confsAt; left > 0; left--, at += 8) confs.push(readUint64(bytes, at))
  return {
    group: bytes.readUInt32BE(from),
    count: bytes.readUInt32BE(from + 12),
    last: readUint64(bytes, from + 16),
    first: readUint64(bytes, from + 24),
    pagesAt: readUint64(bytes, from + 32),
    terms,
    confs,
  }
}

function arePagesSound(bytes: Buffer, base: LogPosition, group: StoredGroup): boolean {
  for (let row = 0; row < group.count; row += PAGE_ROWS) {
    const { offset, bytes: length } = pageOf(group, row)
    if (!isPageSound(bytes.subarray(offset, offset + length), base, offset)) return false
  }
  return true
}
