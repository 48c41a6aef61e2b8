// SPDX-License-Identifier: Apache-2.0
// Where the records of one topic in one chunk of a segment log are: in which entries, and, when they are few among others, at which bytes of them.
//
//   reference := crc u32 | kind u8 | records | bytes | first entry | whole or pieces      of the topic, in the chunk
//   whole     := entry*                                            kind 1      the entries after the first
//   pieces    := append time | term | sum u32 | piece*             kind 2      `sum` is the CRC-32C of the bytes of all pieces, one after the other
//   piece     := entry | base? | gap | length                                  consecutive records
//
// Where no width is given, integers are LEB128. `entry` is the distance to the entry before, which is 0 for the first piece and for one of the same entry. `base` is the distance of the base
// position of the entry to that of the entry before, or to that of the chunk; a piece that goes on in the same entry has none. `gap` counts from the end of the
// piece before, or from the end of the header of the batch. Both checksums begin with the key, so that a reference and records of another place are neither.

import { crc32c } from '#base/crc32c'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Position } from '#contract/client/engine-client'
import { BATCH_HEADER_BYTES } from '#contract/record/record-batch'
import { damaged, runBaseOf } from './key-layout.ts'

const KIND = { whole: 1, pieces: 2 } as const
const HEAD_BYTES = 5
/** Of a safe integer. */
const INTEGER_BYTES_MAX = 8
/** A piece, and what is before the first. */
const ROOM_BYTES = 64

/** Consecutive records in the batch that an entry holds. */
export interface Piece {
  /** Index of the entry. */
  readonly index: number
  /** Base position of its batch. */
  readonly base: Position
  /** Of the first byte, in the data of the entry. */
  readonly offset: number
  readonly length: number
}

export interface Pieces {
  /** Of the first batch of the chunk, ms since 1970. */
  readonly appendTimeMs: number
  readonly term: number
  /** CRC-32C of the bytes of all pieces, seeded with `keySum` of the reference. */
  readonly sum: number
  /** In the order of the log. */
  readonly list: readonly Piece[]
}

/** The records of one topic in one chunk. */
export interface Reference {
  /** Of the chunk. */
  readonly base: Position
  readonly recordCount: number
  /** Bytes of the records as they are in their batches. */
  readonly recordBytes: number
  /** Indexes of the entries that have them, ascending. */
  readonly entries: readonly number[]
  /** Undefined when the topic has so much of the chunk that its entries are better read whole. */
  readonly pieces: Pieces | undefined
}

/** What checksums that belong to a key begin with. */
export const keySum = (key: Buffer): number => crc32c(key)

/** Encodes references one after the other. */
export class ReferenceWriter {
  #bytes = Buffer.allocUnsafe(1024)
  #at = 0
  #sumAt = 0
  #sum = 0
  #entry = 0
  #base: Position = 0
  #end = 0

  /** Begins a reference to whole entries. */
  beginWhole(recordCount: number, recordBytes: number, firstEntry: number): void {
    this.#begin(KIND.whole, recordCount, recordBytes, firstEntry)
  }

  /** Begins one to pieces, which follow by `piece`. */
  beginPieces(
    key: Buffer,
    base: Position,
    recordCount: number,
    recordBytes: number,
    firstEntry: number,
    appendTimeMs: number,
    term: number,
  ): void {
    this.#begin(KIND.pieces, recordCount, recordBytes, firstEntry)
    this.#integer(appendTimeMs)
    this.#integer(term)
    this.#sumAt = this.#at
    this.#at += 4
    this.#sum = keySum(key)
    this.#base = base
    this.#end = -1
  }

  /** The next whole entry; the one before again changes nothing. */
  entry(index: number): void {
    if (index === this.#entry) return
    this.#room()
    this.#integer(index - this.#entry)
    this.#entry = index
  }

  /** The next records: `bytes[start, end)` of the batch with this base position, which is in the entry. */
  piece(index: number, base: Position, bytes: Buffer, start: number, end: number): void {
    this.#room()
    this.#integer(index - this.#entry)
    if (index !== this.#entry || this.#end < 0) {
      this.#integer(base - this.#base)
      this.#entry = index
      this.#base = base
      this.#end = BATCH_HEADER_BYTES
    }
    this.#integer(start - this.#end)
    this.#integer(end - start)
    this.#end = end
    this.#sum = crc32c(bytes, this.#sum, start, end)
  }

  /** The value for this key. */
  finish(key: Buffer): Buffer {
    const value = Buffer.allocUnsafeSlow(this.#at)
    this.#bytes.copy(value, 0, 0, this.#at)
    if (value[4] === KIND.pieces) value.writeUInt32BE(this.#sum, this.#sumAt)
    value.writeUInt32BE(crc32c(value, keySum(key), 4), 0)
    return value
  }

  #begin(kind: number, recordCount: number, recordBytes: number, firstEntry: number): void {
    this.#bytes[4] = kind
    this.#at = HEAD_BYTES
    this.#integer(recordCount)
    this.#integer(recordBytes)
    this.#integer(firstEntry)
    this.#entry = firstEntry
  }

  #room(): void {
    if (this.#at + ROOM_BYTES > this.#bytes.length) this.#bytes = Buffer.concat([this.#bytes], 2 * this.#bytes.length)
  }

  #integer(value: number): void {
    let rest = value
    while (rest >= 0x80) {
      this.#bytes[this.#at++] = (rest % 0x80) | 0x80
      rest = Math.floor(rest / 0x80)
    }
    this.#bytes[this.#at++] = rest
  }
}

/** Throws dataDamaged, and dataVersion for a kind that this version does not know. */
export function decodeReference(key: Buffer, value: Buffer): Reference {
  const base = runBaseOf(key)
  if (value.length < HEAD_BYTES || crc32c(value, keySum(key), 4) !== value.readUInt32BE(0))
    throw damaged(`a reference of chunk ${base} does not match its checksum`)
  const kind = value[4]
  if (kind !== KIND.whole && kind !== KIND.pieces)
    throw new PlatformError(ERROR_CODES.dataVersion, `engine log: a reference of kind ${kind}, which this version does not know`)
  const reader = new IntegerReader(value, HEAD_BYTES)
  const recordCount = reader.next()
  const recordBytes = reader.next()
  const first = reader.next()
  const entries = [first]
  if (kind === KIND.pieces) return { base, recordCount, recordBytes, entries, pieces: decodePieces(reader, base, entries) }
  for (let entry = first; !reader.isAtEnd; entries.push(entry)) entry += reader.next()
  return { base, recordCount, recordBytes, entries, pieces: undefined }
}

/** Adds the entries after the first to `entries`. */
function decodePieces(reader: IntegerReader, chunkBase: Position, entries: number[]): Pieces {
  const appendTimeMs = reader.next()
  const term = reader.next()
  const sum = reader.uint32()
  const list: Piece[] = []
  let index = entries[0] as number
  let base = chunkBase
  let end = 0
  while (!reader.isAtEnd) {
    const distance = reader.next()
    if (distance > 0 || list.length === 0) {
      index += distance
      base += reader.next()
      end = BATCH_HEADER_BYTES
      if (distance > 0) entries.push(index)
    }
    const offset = end + reader.next()
    const length = reader.next()
    list.push({ index, base, offset, length })
    end = offset + length
  }
  return { appendTimeMs, term, sum, list }
}

class IntegerReader {
  readonly #bytes: Buffer
  #at: number

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.#at = at
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#bytes.length
  }

  next(): number {
    let value = 0
    for (let at = 0, unit = 1; at < INTEGER_BYTES_MAX; at++, unit *= 0x80) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) break
      value += (byte & 0x7f) * unit
      if (byte < 0x80) return value
    }
    throw damaged('a reference ends within a number')
  }

  uint32(): number {
    if (this.#at + 4 > this.#bytes.length) throw damaged('a reference ends within a number')
    this.#at += 4
    return this.#bytes.readUInt32BE(this.#at - 4)
  }
}
