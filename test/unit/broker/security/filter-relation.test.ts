// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isValidFilter, matches } from '#base/topic-filter'
import { covers, filterLevels, overlaps } from '../../../../src/broker/security/filter-relation.ts'

const isCovered = (outer: string, inner: string): boolean => covers(filterLevels(outer), filterLevels(inner))
const meet = (a: string, b: string): boolean => overlaps(filterLevels(a), filterLevels(b))

/** Every name of up to four levels out of an alphabet that has each letter of the filters, one more, '$' and the empty level. */
const LEVELS = ['a', 'b', 'z', '', '$a'] as const
const TOPICS: readonly string[] = (() => {
  let last: readonly string[] = LEVELS
  const all: string[] = [...LEVELS]
  for (let depth = 2; depth <= 5; depth++) {
    last = last.flatMap((prefix) => LEVELS.map((level) => `${prefix}/${level}`))
    all.push(...last)
  }
  return all.filter((topic) => topic !== '')
})()

const FILTERS = fc
  .array(fc.constantFrom('a', 'b', '', '$a', '+', '+'), { minLength: 0, maxLength: 4 })
  .chain((levels) => fc.boolean().map((open) => [...levels, ...(open || levels.length === 0 ? ['#'] : [])].join('/')))
  .filter(isValidFilter)

test('covers and overlaps agree with every topic there is, tried one by one', () => {
  fc.assert(
    fc.property(FILTERS, FILTERS, (a, b) => {
      const ofA = TOPICS.filter((topic) => matches(a, topic))
      const ofB = new Set(TOPICS.filter((topic) => matches(b, topic)))
      assert.equal(
        isCovered(b, a),
        ofA.every((topic) => ofB.has(topic)),
        `whether '${b}' covers '${a}'`,
      )
      assert.equal(
        meet(a, b),
        ofA.some((topic) => ofB.has(topic)),
        `whether '${a}' and '${b}' have a topic in common`,
      )
      assert.equal(meet(b, a), meet(a, b))
    }),
    { numRuns: 3000 },
  )
})

test('MQTT-4.7.2-1 a leading wildcard has nothing to do with topics of the server', () => {
  assert.equal(isCovered('#', '$SYS/#'), false)
  assert.equal(meet('#', '$SYS/#'), false)
  assert.equal(meet('+/broker', '$SYS/broker'), false)
  assert.equal(isCovered('$SYS/#', '$SYS/+/clients'), true)
})

test('a filter of all topics can be written in two ways, and each covers the other', () => {
  assert.equal(isCovered('+/#', '#'), true)
  assert.equal(isCovered('#', '+/#'), true)
  assert.equal(isCovered('a/+/#', 'a/#'), false)
})
