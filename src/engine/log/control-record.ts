// SPDX-License-Identifier: Apache-2.0
// Entries of a log that are not record batches: they change which sequences the log remembers (D14).
//
//   control := magic u32 | version u8 | kind u8 | count u32 | item *
//   item    := publisher u64 sequence u32       kind 1, release
//            | publisher u64                    kind 2, forget
//
// A record batch begins with a magic of its own, so an entry tells by its first four bytes what it is, and a batch needs no envelope.
import { readUint64, writeUint64 } from '#base/bytes'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { BATCH_MAGIC } from '#contract/record/record-batch'

const CONTROL_MAGIC = 0x524d5143 // 'RMQC'
const CONTROL_VERSION = 1
const HEADER_BYTES = 10
const KIND = { release: 1, forget: 2 } as const

export interface Release {
  readonly publisher: number
  readonly sequence: number
}

export type ControlRecord =
  | { readonly kind: 'release'; readonly releases: readonly Release[] }
  | { readonly kind: 'forget'; readonly publishers: readonly number[] }

/** Whether an entry carries a record batch. */
export const isBatch = (data: Buffer): boolean => data.length >= 4 && data.readUInt32BE(0) === BATCH_MAGIC

export function encodeRelease(releases: readonly Release[]): Buffer {
  const bytes = header(KIND.release, releases.length, 12)
  let at = HEADER_BYTES
  for (const release of releases) {
    writeUint64(bytes, release.publisher, at)
    bytes.writeUInt32BE(release.sequence, at + 8)
    at += 12
  }
  return bytes
}

export function encodeForget(publishers: readonly number[]): Buffer {
  const bytes = header(KIND.forget, publishers.length, 8)
  let at = HEADER_BYTES
  for (const publisher of publishers) {
    writeUint64(bytes, publisher, at)
    at += 8
  }
  return bytes
}

function header(kind: number, count: number, itemBytes: number): Buffer {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + count * itemBytes)
  bytes.writeUInt32BE(CONTROL_MAGIC, 0)
  bytes[4] = CONTROL_VERSION
  bytes[5] = kind
  bytes.writeUInt32BE(count, 6)
  return bytes
}

/** Throws dataDamaged or dataVersion. */
export function decodeControl(bytes: Buffer): ControlRecord {
  if (bytes.length < HEADER_BYTES || bytes.readUInt32BE(0) !== CONTROL_MAGIC) throw damaged('neither a record batch nor a control record')
  if (bytes[4] !== CONTROL_VERSION)
    throw new PlatformError(
      ERROR_CODES.dataVersion,
      `log entry: control record of format ${bytes[4]}; this version reads ${CONTROL_VERSION}`,
    )
  const count = bytes.readUInt32BE(6)
  const kind = bytes[5]
  if (kind === KIND.release) {
    expectLength(bytes, count * 12)
    const releases: Release[] = []
    for (let at = HEADER_BYTES; at < bytes.length; at += 12)
      releases.push({ publisher: readUint64(bytes, at), sequence: bytes.readUInt32BE(at + 8) })
    return { kind: 'release', releases }
  }
  if (kind === KIND.forget) {
    expectLength(bytes, count * 8)
    const publishers: number[] = []
    for (let at = HEADER_BYTES; at < bytes.length; at += 8) publishers.push(readUint64(bytes, at))
    return { kind: 'forget', publishers }
  }
  throw damaged(`a control record of kind ${kind}`)
}

function expectLength(bytes: Buffer, items: number): void {
  if (bytes.length !== HEADER_BYTES + items) throw damaged('a control record whose count is not that of its items')
}

const damaged = (what: string): PlatformError => new PlatformError(ERROR_CODES.dataDamaged, `log entry: ${what}`)
