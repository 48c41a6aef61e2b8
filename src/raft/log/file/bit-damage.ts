// SPDX-License-Identifier: Apache-2.0
// Whether one flipped bit explains a wrong checksum.
//
// A torn write and a flipped bit both end in a checksum that does not match, and only the first may be cut off (R45). CRC is linear: flipping a bit
// of the message changes the checksum by an amount that depends on nothing but the bit's distance from the end. So the difference of the two
// checksums either is that amount for some bit, or the bit is innocent. n bits cost n shifts, and a torn piece of n bits is
// taken for a flipped one with probability n / 2^32: an error towards stopping, never towards forgetting. Where the torn piece is but zeros and one bit, the place of the bit tells.

/** Castagnoli's polynomial, bits reversed, as in #base/crc32c. */
const POLYNOMIAL = 0x82f63b78

/** Whether flipping one bit of `length` bytes, or of the stored checksum itself, makes the checksum right. Both checksums are CRC-32C. */
export const isSingleBitFlip = (computed: number, stored: number, length: number): boolean =>
  flippedByte(computed, stored, length) !== undefined

/** Offset of the byte that has the bit; `length` when it is one of the checksum. Undefined when no single bit explains it. */
export function flippedByte(computed: number, stored: number, length: number): number | undefined {
  const difference = (computed ^ stored) | 0
  if (difference === 0) return undefined
  if ((difference & (difference - 1)) === 0) return length
  let change = POLYNOMIAL | 0
  for (let bits = length * 8; bits > 0; bits--) {
    if (change === difference) return (bits - 1) >> 3
    change = (change >>> 1) ^ (change & 1 ? POLYNOMIAL : 0)
  }
  return undefined
}
