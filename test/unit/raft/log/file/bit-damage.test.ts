// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { crc32c } from '#base/crc32c'
import { isSingleBitFlip } from '../../../../../src/raft/log/file/bit-damage.ts'
import { SimRandom } from '../../../../sim/random.ts'

describe('isSingleBitFlip', () => {
  it('finds every single bit, of the message and of the checksum, at every length', () => {
    const random = new SimRandom(7)
    for (const length of [1, 2, 7, 8, 9, 64, 300]) {
      const bytes = random.bytes(length)
      const stored = crc32c(bytes)
      for (let bit = 0; bit < length * 8; bit++) {
        bytes[bit >>> 3]! ^= 1 << (bit & 7)
        assert.ok(isSingleBitFlip(crc32c(bytes), stored, length), `bit ${bit} of ${length} bytes`)
        bytes[bit >>> 3]! ^= 1 << (bit & 7)
      }
      for (let bit = 0; bit < 32; bit++)
        assert.ok(isSingleBitFlip(stored, (stored ^ (1 << bit)) >>> 0, length), `bit ${bit} of the checksum`)
      assert.ok(!isSingleBitFlip(stored, stored, length), 'a right checksum needs no flip')
    }
  })

  it('does not excuse what tears leave: zeros, missing sectors, two bits', () => {
    const random = new SimRandom(8)
    for (let round = 0; round < 200; round++) {
      const bytes = random.bytes(2048)
      const stored = crc32c(bytes)
      const torn = Buffer.from(bytes)
      torn.fill(0, random.range(0, 3) * 512, 2048)
      assert.ok(!isSingleBitFlip(crc32c(torn), stored, torn.length), `a tear in round ${round}`)
      const two = Buffer.from(bytes)
      two[random.range(0, 1023)]! ^= 1
      two[random.range(1024, 2047)]! ^= 1 << random.range(0, 7)
      assert.ok(!isSingleBitFlip(crc32c(two), stored, two.length), `two bits in round ${round}`)
    }
    for (const length of [20, 40])
      assert.ok(!isSingleBitFlip(crc32c(Buffer.alloc(length)), 0, length), 'zeros are no header with a flipped bit')
  })
})
