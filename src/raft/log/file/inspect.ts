// SPDX-License-Identifier: Apache-2.0
// Whether the bytes at a place of a segment are the frame that belongs there, and if not, whether an interrupted write can have left them (R45).
import { crc32c } from '#base/crc32c'
import type { DiskFile } from '#base/port/disk'
import { flippedByte, isSingleBitFlip } from './bit-damage.ts'
import {
  decodeFrameHeader,
  decodeSegmentHeader,
  entryKindOf,
  FRAME,
  FRAME_AT,
  FRAME_HEADER_BYTES,
  FRAME_MAGIC,
  type FrameHeader,
  type LogPosition,
  RECORD_AT,
  RECORD_BYTES,
  SEGMENT_HEADER_BYTES,
  type SegmentHeader,
} from './frame.ts'

const WINDOW_BYTES = 1024 * 1024
/** The smallest piece that a disk writes whole or not. */
const SECTOR_BYTES = 512
const MAGIC_BYTES = Buffer.from([FRAME_MAGIC >>> 24, (FRAME_MAGIC >>> 16) & 0xff, (FRAME_MAGIC >>> 8) & 0xff, FRAME_MAGIC & 0xff])

/** Reads a file from front to back in large pieces. */
export class Window {
  readonly size: number
  readonly #file: DiskFile
  #offset = 0
  #bytes: Buffer = Buffer.alloc(0)

  constructor(file: DiskFile, size: number) {
    this.#file = file
    this.size = size
  }

  /** `length` bytes at `offset`, fewer only at the end of the file. The caller bounds `length`. */
  async bytes(offset: number, length: number): Promise<Buffer> {
    const end = Math.min(offset + length, this.size)
    if (offset < this.#offset || end > this.#offset + this.#bytes.length) {
      this.#bytes = await this.#file.read(offset, Math.min(Math.max(length, WINDOW_BYTES), this.size - offset))
      this.#offset = offset
    }
    return this.#bytes.subarray(offset - this.#offset, end - this.#offset)
  }
}

/** Why the bytes are not what belongs there. */
export interface Flaw {
  /** An interrupted write can have left this. Otherwise it is damage for certain. */
  readonly torn: boolean
  readonly text: string
  /** Offset from which frames that were written later could be found. */
  readonly searchFrom: number
}

export interface Frame {
  readonly header: FrameHeader
  /** What GroupTable.apply takes. */
  readonly head: Buffer
}

/** What the frame at an offset must say. */
export interface Expected {
  readonly base: LogPosition
  readonly previous: number
}

const torn = (text: string, searchFrom: number): Flaw => ({ torn: true, text, searchFrom })
const wrong = (text: string): Flaw => ({ torn: false, text, searchFrom: 0 })

export const isFlaw = <T extends object>(result: T | Flaw): result is Flaw => 'torn' in result

/** The header of a segment, if it has one. Whether it is the right one is for the caller to judge. */
export async function inspectSegmentHeader(window: Window): Promise<SegmentHeader | Flaw> {
  const bytes = await window.bytes(0, SEGMENT_HEADER_BYTES)
  if (bytes.length < SEGMENT_HEADER_BYTES) return torn('the file ends inside its header', 0)
  const crcAt = SEGMENT_HEADER_BYTES - 4
  const crc = crc32c(bytes, 0, 0, crcAt)
  if (isSingleBitFlip(crc, bytes.readUInt32BE(crcAt), crcAt)) return wrong('one bit of the file header is flipped')
  return decodeSegmentHeader(bytes) ?? torn('there is no file header', 0)
}

/** The frame at `offset`, verified to its last byte. */
export async function inspectFrame(window: Window, offset: number, expected: Expected): Promise<Frame | Flaw> {
  const header = await inspectHeader(window, offset, expected)
  if (isFlaw(header)) return header
  const end = offset + header.length
  if (end > window.size) return torn(`the file ends inside a frame of ${header.length} bytes`, window.size)
  const tableBytes = header.records * RECORD_BYTES
  const table = await window.bytes(offset + FRAME_HEADER_BYTES, tableBytes)
  const crc = crc32c(table)
  if (crc !== header.tableCrc) {
    const flippedAt = flippedByte(crc, header.tableCrc, tableBytes)
    return flippedAt === undefined || (await mayBeLost(window, offset + FRAME_HEADER_BYTES + flippedAt, offset, end))
      ? torn('the record table does not match its checksum', end)
      : wrong('one bit of the record table is flipped')
  }
  const headBytes = measureHead(header, table)
  if (typeof headBytes === 'string') return wrong(headBytes)
  // Copied, because the window moves on while the data is summed.
  const head = Buffer.from(await window.bytes(offset, headBytes))
  return (await inspectData(window, offset, header, head)) ?? { header, head }
}

async function inspectHeader(window: Window, offset: number, { base, previous }: Expected): Promise<FrameHeader | Flaw> {
  const bytes = await window.bytes(offset, FRAME_HEADER_BYTES)
  if (bytes.length < FRAME_HEADER_BYTES) return torn('the file ends inside a frame header', window.size)
  const header = decodeFrameHeader(bytes)
  if (header === undefined) {
    const crc = crc32c(bytes, 0, 0, FRAME_AT.crc)
    const flipped = isSingleBitFlip(crc, bytes.readUInt32BE(FRAME_AT.crc), FRAME_AT.crc)
    return flipped ? wrong('one bit of the frame header is flipped') : torn('there is no frame header', offset + 1)
  }
  if (header.position !== base + offset) return wrong(`a frame of position ${header.position} is where ${base + offset} belongs`)
  if (header.previous !== previous) return wrong('the frame does not follow on the frame before it')
  const kindKnown = header.kind === FRAME.batch || header.kind === FRAME.mark || header.kind === FRAME.opening
  if (!kindKnown || (header.kind === FRAME.opening) !== (offset === SEGMENT_HEADER_BYTES))
    return wrong(`a frame of kind ${header.kind} cannot be here`)
  if (!(header.durable <= header.position) || header.length < FRAME_HEADER_BYTES + header.records * RECORD_BYTES)
    return wrong('the frame header contradicts itself')
  return header
}

/** Bytes of the header, the table and the data of the records that are no entries; or what contradicts the format. */
function measureHead(header: FrameHeader, table: Buffer): number | string {
  let end = FRAME_HEADER_BYTES + table.length
  let headEnd = end
  for (let at = 0; at < table.length; at += RECORD_BYTES) {
    const isEntry = entryKindOf(table.readUInt8(at + RECORD_AT.kind)) !== undefined
    if (!isEntry && headEnd !== end) return 'the records are out of order'
    end += table.readUInt32BE(at + RECORD_AT.length)
    if (!isEntry) headEnd = end
  }
  return end === header.length ? headEnd : 'the records are not as long as their frame'
}

async function inspectData(window: Window, offset: number, header: FrameHeader, head: Buffer): Promise<Flaw | undefined> {
  const tableEnd = FRAME_HEADER_BYTES + header.records * RECORD_BYTES
  let dataAt = offset + tableEnd
  const end = offset + header.length
  let bad = 0
  let flippedAt: number | undefined
  for (let at = FRAME_HEADER_BYTES; at < tableEnd; at += RECORD_BYTES) {
    const length = head.readUInt32BE(at + RECORD_AT.length)
    const crc = await checksum(window, dataAt, length)
    const stored = head.readUInt32BE(at + RECORD_AT.crc)
    if (crc !== stored) {
      bad++
      const byte = flippedByte(crc, stored, length)
      flippedAt = bad === 1 && byte !== undefined ? dataAt + byte : undefined
    }
    dataAt += length
  }
  if (bad === 0) return undefined
  if (flippedAt === undefined || (await mayBeLost(window, flippedAt, offset, end)))
    return torn(`${bad} of ${header.records} records do not match their checksum`, dataAt)
  return wrong('one bit of a record is flipped')
}

/** Whether the byte at `at` of the frame [from, to) may never have been written: it is zero, and so is its sector from there on, or up to there. */
async function mayBeLost(window: Window, at: number, from: number, to: number): Promise<boolean> {
  const start = Math.max(from, at - (at % SECTOR_BYTES))
  const bytes = await window.bytes(start, Math.min(to, at - (at % SECTOR_BYTES) + SECTOR_BYTES) - start)
  const isZero = (byte: number): boolean => byte === 0
  return bytes.subarray(at - start).every(isZero) || bytes.subarray(0, at - start + 1).every(isZero)
}

async function checksum(window: Window, start: number, length: number): Promise<number> {
  let crc = 0
  for (let at = start; at < start + length; ) {
    const bytes = await window.bytes(at, Math.min(WINDOW_BYTES, start + length - at))
    if (bytes.length === 0) break
    crc = crc32c(bytes, crc)
    at += bytes.length
  }
  return crc
}

/**
 * Offset of a frame from `from` on that was written after the log was durable beyond `position`: proof that what is broken there had been synced.
 * The header alone is believed, because a torn frame proves the same. -1 when there is none.
 */
export async function findWitness(window: Window, from: number, base: LogPosition, position: LogPosition): Promise<number> {
  for (let at = from; at + FRAME_HEADER_BYTES <= window.size; ) {
    const bytes = await window.bytes(at, WINDOW_BYTES)
    for (let found = bytes.indexOf(MAGIC_BYTES); found !== -1; found = bytes.indexOf(MAGIC_BYTES, found + 1)) {
      const header = decodeFrameHeader(bytes.subarray(found, found + FRAME_HEADER_BYTES))
      if (header !== undefined && header.position === base + at + found && header.durable > position) return at + found
    }
    // A header may straddle two windows.
    at += Math.max(1, bytes.length - FRAME_HEADER_BYTES + 1)
  }
  return -1
}
