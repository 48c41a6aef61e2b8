// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { AssertionError } from '#base/assert'
import { EntryIndex } from '../../../../../src/raft/log/file/entry-index.ts'
import { SimRandom } from '../../../../sim/random.ts'

const SEED = 41

describe('EntryIndex', () => {
  it(`agrees with a plain list through appends, truncations and compactions (seed ${SEED})`, () => {
    const random = new SimRandom(SEED)
    const index = new EntryIndex()
    let base = 0
    let list: { term: number; position: number; length: number; crc: number; kind: number }[] = []
    let position = 0
    for (let round = 0; round < 20_000; round++) {
      const choice = random.range(0, 99)
      if (choice < 90) {
        position += random.range(1, 2 ** 33)
        const item = { term: round, position, length: random.uint32(), crc: random.uint32(), kind: random.range(1, 3) }
        list.push(item)
        index.append(item.kind, item.term, item.position, item.length, item.crc)
      } else if (choice < 95) {
        const from = random.range(base, base + list.length + 1)
        index.truncateFrom(from)
        if (from <= base) [base, list] = [from - 1, []]
        else list = list.slice(0, from - 1 - base)
      } else if (choice < 99) {
        const through = random.range(Math.max(0, base - 1), base + list.length + 2)
        index.dropThrough(through)
        if (through > base) [base, list] = [through, list.slice(through - base)]
      } else {
        index.reset(round)
        ;[base, list] = [round, []]
      }
      if (base < 0) {
        index.reset(0)
        base = 0
      }
      assert.deepEqual([index.base, index.last], [base, base + list.length])
      if (list.length === 0) continue
      const at = random.range(0, list.length - 1)
      const item = list[at]!
      const held = base + 1 + at
      assert.deepEqual(
        [index.term(held), index.position(held), index.length(held), index.crc(held), index.kind(held)],
        [item.term, item.position, item.length, item.crc, item.kind],
      )
      assert.equal(index.lastBefore(item.position), held - 1)
      assert.equal(index.lastBefore(item.position + 1), held)
    }
  })

  it('an entry that is not held is not looked up', () => {
    const index = new EntryIndex()
    index.append(1, 1, 0, 0, 0)
    assert.throws(() => index.term(0), AssertionError)
    assert.throws(() => index.term(2), AssertionError)
  })
})
