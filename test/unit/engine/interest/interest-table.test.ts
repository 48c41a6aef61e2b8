// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { matches } from '#base/topic-filter'
import { InterestTable } from '../../../../src/engine/interest/interest-table.ts'

const level = fc.constantFrom('a', 'b', '', '$s', 'c')
const filterLevel = fc.oneof({ weight: 3, arbitrary: level }, { weight: 2, arbitrary: fc.constant('+') })
const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'))
const filter = fc
  .tuple(fc.array(filterLevel, { minLength: 1, maxLength: 4 }), fc.boolean())
  .map(([levels, rest]) => (rest ? [...levels.slice(1), '#'] : levels).join('/'))
  .filter((text) => text.length > 0)

test('D4: a topic is wanted exactly while a matching filter is registered, each as often as it was', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 3 }), filter, topic), { maxLength: 60 }), (steps) => {
      const table = new InterestTable()
      const registered: string[] = []
      for (const [choice, one, asked] of steps) {
        if (choice < 2) {
          table.add(one)
          registered.push(one)
        } else {
          const target = choice === 2 && registered.length > 0 ? (registered[one.length % registered.length] as string) : one
          const at = registered.indexOf(target)
          assert.equal(table.remove(target), at >= 0)
          if (at >= 0) registered.splice(at, 1)
        }
        assert.equal(table.size, new Set(registered).size)
        assert.equal(
          table.wantsAny([asked]),
          registered.some((other) => matches(other, asked)),
          `${asked} with ${registered}`,
        )
      }
    }),
    { numRuns: 400, seed: 20_260_103 },
  )
})

test('a batch is wanted when any of its topics is', () => {
  const table = new InterestTable()
  table.add('x/+')
  assert.equal(table.wantsAny(['a', 'b', 'x/1']), true)
  assert.equal(table.wantsAny(['a', 'b']), false)
  assert.equal(table.wantsAny([]), false)
})
