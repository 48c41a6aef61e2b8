// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32c } from '#base/crc32c'

test('CRC-32C of the vectors of RFC 3720 B.4', () => {
  assert.equal(crc32c(Buffer.alloc(32)), 0x8a9136aa)
  assert.equal(crc32c(Buffer.alloc(32, 0xff)), 0x62a8ab43)
  assert.equal(crc32c(Buffer.from(Array.from({ length: 32 }, (_, at) => at))), 0x46dd794e)
  assert.equal(crc32c(Buffer.from('123456789')), 0xe3069283)
})

test('CRC-32C continues over pieces of any length', () => {
  const bytes = Buffer.from(Array.from({ length: 100 }, (_, at) => (at * 31) & 0xff))
  for (let cut = 0; cut <= bytes.length; cut++) {
    assert.equal(crc32c(bytes.subarray(cut), crc32c(bytes.subarray(0, cut))), crc32c(bytes))
    assert.equal(crc32c(bytes, crc32c(bytes, 0, 0, cut), cut), crc32c(bytes))
  }
})
