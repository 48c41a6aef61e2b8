// SPDX-License-Identifier: Apache-2.0
// A scan of retained messages leaps over what cannot match, and over nothing else.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { matches } from '#base/topic-filter'
import { nextCandidate } from '../../../../src/meta/service/retained-scan.ts'

const LEVELS = ['', '$', 'a', 'a\u0001', 'b', 'é']

const combined = (levels: readonly string[], depth: number): readonly string[][] =>
  depth === 0 ? [[]] : combined(levels, depth - 1).flatMap((above) => levels.map((level) => [...above, level]))

const keyOf = (levels: readonly string[]): Buffer => Buffer.from(levels.join('\0'))

const TOPICS = [1, 2, 3].flatMap((depth) => combined(LEVELS, depth)).filter((levels) => levels.join('/') !== '')
const FILTERS = [1, 2, 3].flatMap((depth) => combined(['a', 'b', '+'], depth)).flatMap((levels) => [levels, [...levels, '#']])

it('over all filters and topics of up to three levels: a leap goes forward, and never past a match', () => {
  const keys = TOPICS.map((levels) => ({ levels, topic: levels.join('/'), key: keyOf(levels) })).sort((a, b) =>
    Buffer.compare(a.key, b.key),
  )
  for (const filter of FILTERS) {
    const text = filter.join('/')
    const matching = keys.filter(({ topic }) => matches(text, topic))
    for (const { levels, topic, key } of keys) {
      if (matches(text, topic)) continue
      const next = nextCandidate(filter, levels)
      const leap = next === undefined ? undefined : Buffer.concat([keyOf(next.levels), Buffer.from(next.pastChildren ? [1] : [])])
      if (leap !== undefined) assert.ok(Buffer.compare(leap, key) > 0, `${text} at ${topic} goes forward`)
      // Without a literal prefix the range of the scan holds all topics; with one, those before it are not looked at.
      if (filter[0] !== '+' && Buffer.compare(key, keyOf(filter.slice(0, 1))) < 0) continue
      const following = matching.find((other) => Buffer.compare(other.key, key) > 0)
      if (following === undefined) continue
      assert.ok(leap !== undefined && Buffer.compare(leap, following.key) <= 0, `${text} at ${topic} reaches ${following.topic}`)
    }
  }
})

it('an inner wildcard costs two leaps for each first level, whatever lies below', () => {
  const filter = ['+', 'x', '#']
  assert.deepEqual(nextCandidate(filter, ['site1', 'a', 'deep']), { levels: ['site1', 'x'], pastChildren: false })
  assert.deepEqual(nextCandidate(filter, ['site1', 'z']), { levels: ['site1'], pastChildren: true })
})
