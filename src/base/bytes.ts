// SPDX-License-Identifier: Apache-2.0
// Integers of more than 32 bits in bytes: u64 on disk and wire, safe integers in memory.
import { assert } from './assert.ts'

const HIGH = 0x1_0000_0000

/** Writes a safe, non-negative integer as u64, big-endian. */
export function writeUint64(into: Buffer, value: number, at: number): void {
  assert(Number.isSafeInteger(value) && value >= 0, 'a u64 written from memory is a safe, non-negative integer')
  into.writeUInt32BE(Math.floor(value / HIGH), at)
  into.writeUInt32BE(value % HIGH, at + 4)
}

/** Reads a u64, big-endian; NaN when it is beyond the safe integers, which no honest writer produces. */
export function readUint64(from: Buffer, at: number): number {
  const value = from.readUInt32BE(at) * HIGH + from.readUInt32BE(at + 4)
  return Number.isSafeInteger(value) ? value : Number.NaN
}

/** A key component of fixed width that sorts as the number does. */
export function uint64Bytes(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(8)
  writeUint64(bytes, value, 0)
  return bytes
}

/** The smallest key greater than every key that starts with `prefix`. */
export function prefixEnd(prefix: Buffer): Buffer {
  const end = Buffer.from(prefix)
  for (let at = end.length - 1; at >= 0; at--) {
    const byte = end[at] as number
    if (byte < 0xff) {
      end[at] = byte + 1
      return end.subarray(0, at + 1)
    }
  }
  throw new RangeError('a prefix of only 0xff bytes has no end')
}
