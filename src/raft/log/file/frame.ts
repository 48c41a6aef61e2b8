// SPDX-License-Identifier: Apache-2.0
// The bytes of the log: segments of frames of records. One write is one frame, so it is there whole or not at all.
//
//   segment := segment header, opening frame, frame*
//   segment header := magic u32 | version u32 | base u64 | previous u32 | crc u32                                            24 bytes
//   frame   := header, table, data
//   header  := magic u32 | length u32 | position u64 | durable u64 | previous u32 | kind u8, 3 zeros | records u32 | table crc u32 | crc u32
//   table   := record*                                                                                                        44 bytes
//   record  := kind u8, 3 zeros | group u32 | term u64 | index u64 | length u32 | crc u32                                     32 bytes
//   data    := the bytes of each record, in the order of the table
//   conf    := members, members?        the second only while a change is under way: outgoing voters, and which of them become learners
//   members := voters u32 | learners u32 | node id u64*
//
// A position is a byte's place in the endless stream that the segments cut into files, headers included. `crc` covers the header before it,
// `table crc` the table, and the crc of a record its data: a chain of checksums in which each byte is summed once, and which lets one record be verified
// alone. `previous` is the crc of the header before (R44), so no frame can be missing, repeated or from elsewhere. `durable` is the position up to which the log
// was known to be synced when the frame was written: what tells a torn write, which lies above it, from damage, which lies below (R45).
// Integers are big-endian. Zeros parse as nothing: a magic is not zero, and neither is the checksum of zeros.
import { readUint64, writeUint64 } from '#base/bytes'
import { crc32c } from '#base/crc32c'
import type { EntryKind } from '../../core/message.ts'

export const SEGMENT_MAGIC = 0x524d514c // 'RMQL'
export const SEGMENT_VERSION = 1
export const SEGMENT_HEADER_BYTES = 24

/** What a half of a conf has before its node ids: the lengths of its two lists. */
export const CONF_FIXED_BYTES = 8

export const FRAME_MAGIC = 0x524d5146 // 'RMQF'
export const FRAME_HEADER_BYTES = 44
export const RECORD_BYTES = 32

/** Byte position in the stream of all segments. */
export type LogPosition = number

export const FRAME = {
  /** What one call of `write` added. */
  batch: 1,
  /** First frame of a segment: the start and hard state of every group, so that older segments are not needed for them. A group that it does not name is gone. */
  opening: 2,
  /** No records: says that what is before it is durable. */
  mark: 3,
} as const

export type FrameKind = (typeof FRAME)[keyof typeof FRAME]

export const RECORD = {
  entryEmpty: 1,
  entryNormal: 2,
  entryConf: 3,
  /** term, index = commit, data = vote u64. */
  hardState: 4,
  /** term, index, data = conf. The entries after the index stay. */
  startKeeping: 5,
  /** The same, and no entry stays: the log was replaced by a snapshot. */
  startClearing: 6,
  /** index = position of the first segment that is still needed. */
  first: 7,
  /** The group is gone: nothing before this record is of any use to it. */
  dropped: 8,
} as const

export const ENTRY_RECORD: Readonly<Record<EntryKind, number>> = {
  empty: RECORD.entryEmpty,
  normal: RECORD.entryNormal,
  conf: RECORD.entryConf,
}

/** The kind of entry that a record is; undefined for the other records. */
export function entryKindOf(record: number): EntryKind | undefined {
  if (record === RECORD.entryNormal) return 'normal'
  if (record === RECORD.entryEmpty) return 'empty'
  return record === RECORD.entryConf ? 'conf' : undefined
}

export const FRAME_AT = {
  magic: 0,
  length: 4,
  position: 8,
  durable: 16,
  previous: 24,
  kind: 28,
  records: 32,
  tableCrc: 36,
  crc: 40,
} as const

export const RECORD_AT = { kind: 0, group: 4, term: 8, index: 16, length: 24, crc: 28 } as const

export interface FrameHeader {
  /** Bytes of the whole frame. */
  readonly length: number
  readonly position: LogPosition
  readonly durable: LogPosition
  readonly previous: number
  readonly kind: number
  readonly records: number
  readonly tableCrc: number
  readonly crc: number
}

/** The header at the beginning of `bytes`, or undefined when there is none that its checksum vouches for. */
export function decodeFrameHeader(bytes: Buffer): FrameHeader | undefined {
  if (bytes.length < FRAME_HEADER_BYTES || bytes.readUInt32BE(FRAME_AT.magic) !== FRAME_MAGIC) return undefined
  const crc = bytes.readUInt32BE(FRAME_AT.crc)
  if (crc32c(bytes, 0, 0, FRAME_AT.crc) !== crc) return undefined
  return {
    length: bytes.readUInt32BE(FRAME_AT.length),
    position: readUint64(bytes, FRAME_AT.position),
    durable: readUint64(bytes, FRAME_AT.durable),
    previous: bytes.readUInt32BE(FRAME_AT.previous),
    kind: bytes.readUInt8(FRAME_AT.kind),
    records: bytes.readUInt32BE(FRAME_AT.records),
    tableCrc: bytes.readUInt32BE(FRAME_AT.tableCrc),
    crc,
  }
}

export interface SegmentHeader {
  readonly version: number
  readonly base: LogPosition
  readonly previous: number
  readonly crc: number
}

export function encodeSegmentHeader(base: LogPosition, previous: number): Buffer {
  const bytes = Buffer.alloc(SEGMENT_HEADER_BYTES)
  bytes.writeUInt32BE(SEGMENT_MAGIC, 0)
  bytes.writeUInt32BE(SEGMENT_VERSION, 4)
  writeUint64(bytes, base, 8)
  bytes.writeUInt32BE(previous, 16)
  bytes.writeUInt32BE(crc32c(bytes, 0, 0, 20), 20)
  return bytes
}

/** Undefined when the bytes are no segment header that its checksum vouches for. */
export function decodeSegmentHeader(bytes: Buffer): SegmentHeader | undefined {
  if (bytes.length < SEGMENT_HEADER_BYTES || bytes.readUInt32BE(0) !== SEGMENT_MAGIC) return undefined
  const crc = bytes.readUInt32BE(20)
  if (crc32c(bytes, 0, 0, 20) !== crc) return undefined
  return { version: bytes.readUInt32BE(4), base: readUint64(bytes, 8), previous: bytes.readUInt32BE(16), crc }
}

const SEGMENT_NAME = /^\d{20}\.log$/

/** The name says the position of the first byte, in digits that sort. */
export const segmentName = (base: LogPosition): string => `${String(base).padStart(20, '0')}.log`

/** The base that a file name says; undefined for files that are no segments. */
export const segmentBase = (name: string): LogPosition | undefined => (SEGMENT_NAME.test(name) ? Number(name.slice(0, 20)) : undefined)
