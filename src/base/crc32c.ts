// SPDX-License-Identifier: Apache-2.0
// CRC-32C (Castagnoli, RFC 3720 appendix B.4), eight bytes a step.
import { must } from './assert.ts'

const POLYNOMIAL = 0x82f63b78
const TABLE = buildTables()

function buildTables(): Int32Array {
  const tables = new Int32Array(8 * 256)
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1
    tables[byte] = crc
  }
  for (let slice = 1; slice < 8; slice++) {
    for (let byte = 0; byte < 256; byte++) {
      const previous = must(tables[(slice - 1) * 256 + byte], 'the table is built slice by slice')
      tables[slice * 256 + byte] = (previous >>> 8) ^ must(tables[previous & 0xff], 'the first slice is complete')
    }
  }
  return tables
}

/** CRC-32C of `bytes[start, end)`, continuing from `seed` (0 to begin): crc32c(b, crc32c(a)) equals crc32c(a + b). Unsigned. */
export function crc32c(bytes: Uint8Array, seed = 0, start = 0, end = bytes.length): number {
  const table = TABLE as unknown as { readonly [index: number]: number } // indexes below are all < 2048
  const input = bytes as unknown as { readonly [index: number]: number } // and here all < end
  let crc = ~seed
  let at = start
  for (const last = end - 7; at < last; at += 8) {
    crc ^= input[at]! | (input[at + 1]! << 8) | (input[at + 2]! << 16) | (input[at + 3]! << 24)
    crc =
      table[1792 + (crc & 0xff)]! ^
      table[1536 + ((crc >>> 8) & 0xff)]! ^
      table[1280 + ((crc >>> 16) & 0xff)]! ^
      table[1024 + (crc >>> 24)]! ^
      table[768 + input[at + 4]!]! ^
      table[512 + input[at + 5]!]! ^
      table[256 + input[at + 6]!]! ^
      table[input[at + 7]!]!
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ table[(crc ^ input[at]!) & 0xff]!
  return ~crc >>> 0
}
