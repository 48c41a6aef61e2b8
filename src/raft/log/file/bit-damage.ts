// SPDX-License-Identifier: Apache-2.0
// Whether one flipped bit explains a wrong checksum.
//
// A torn write and a flipped bit both end in a checksum that does not match, and only the first may be cut off (R45). CRC is linear: flipping a bit
// of the message changes the checksum by an amount that depends on nothing but the bit's distance from the end. So the difference of the two
// checksums either is that amount for some bit, or the bit is innocent. n bits cost n shifts, and a torn piece of n bits is
// taken for a flipped one with probability n / 2^32: an error towards stopping, never towards forgetting.

/** Castagnoli's polynomial, bits reversed, as in #base/crc32c. */
const POLYNOMIAL = 0x82f63b78

/** Whether flipping one bit of `length` bytes, or of the stored checksum itself, makes the checksum right. Both checksums are CRC-32C. */
export function isSingleBitFlip(computed: number, stored: number, length: number): boolean {
  const difference = (computed ^ stored) | 0
  if (difference === 0) return false
  if ((difference & (difference - 1)) === 0) return true
  let change = POLYNOMIAL | 0
  for (let bits = length * 8; bits > 0; bits--) {
    if (change === difference) return true
    change = (change >>> 1) ^ (change & 1 ? POLYNOMIAL : 0)
  }
  return false
}
