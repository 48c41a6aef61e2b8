// SPDX-License-Identifier: Apache-2.0
// Stored values: the bytes of the owner, then the CRC-32C of key and value, u32 big-endian.
//
// The blocks of RocksDB have checksums of their own, but the binding opens iterators with `verify_checksums = false`, so a damaged block would be served.
// The key is summed too: a value that is found under another key is damage as well.
import { crc32c } from '#base/crc32c'

const CHECKSUM_BYTES = 4

/** Bytes of a sealed value. */
export const sealedSize = (value: Buffer): number => value.length + CHECKSUM_BYTES

export const sealValue = (key: Buffer, value: Buffer): Buffer => sealInto(Buffer.allocUnsafe(sealedSize(value)), 0, key, value)

/** Seals a value at `at` of `room`; returns that part of it. */
export function sealInto(room: Buffer, at: number, key: Buffer, value: Buffer): Buffer {
  const stored = room.subarray(at, at + sealedSize(value))
  stored.set(value)
  stored.writeUInt32BE(crc32c(value, crc32c(key)), value.length)
  return stored
}

/** The bytes that were sealed under that key, not copied, or undefined when these are others. */
export function unsealValue(key: Buffer, stored: Buffer): Buffer | undefined {
  const length = stored.length - CHECKSUM_BYTES
  if (length < 0 || stored.readUInt32BE(length) !== crc32c(stored, crc32c(key), 0, length)) return undefined
  return stored.subarray(0, length)
}
