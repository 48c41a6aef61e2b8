// SPDX-License-Identifier: Apache-2.0
// The real random source. It has no seed, so only what holds for every draw is checked.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { AssertionError } from '#base/assert'
import { CryptoRandom } from '#runtime'

describe('CryptoRandom', () => {
  const random = new CryptoRandom()

  it('draws are 32 bits wide, over more draws than are fetched at once', () => {
    const draws = Array.from({ length: 5000 }, () => random.uint32())
    assert.ok(draws.every((draw) => Number.isInteger(draw) && draw >= 0 && draw < 2 ** 32))
    assert.ok(new Set(draws).size > 4900, 'no pool is handed out twice')
  })

  it('a range includes both ends and nothing else', () => {
    const seen = new Set(Array.from({ length: 1000 }, () => random.range(-1, 1)))
    assert.deepEqual([...seen].sort(), [-1, 0, 1])
    assert.equal(random.range(7, 7), 7)
    assert.ok(Number.isSafeInteger(random.range(0, Number.MAX_SAFE_INTEGER)))
    assert.throws(() => random.range(2, 1), AssertionError)
    assert.throws(() => random.range(0, 0.5), AssertionError)
  })

  it('a chance of 0 never happens and one of 1 always', () => {
    for (let draw = 0; draw < 1000; draw++) {
      assert.equal(random.chance(0), false)
      assert.equal(random.chance(1), true)
    }
  })

  it('bytes are as many as asked for, and differ', () => {
    assert.equal(random.bytes(16).length, 16)
    assert.notDeepEqual(random.bytes(16), random.stream('ids').bytes(16))
  })
})
