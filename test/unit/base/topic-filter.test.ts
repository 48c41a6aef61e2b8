// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isValidFilter, literalPrefix, matches } from '#base/topic-filter'

test('[MQTT-4.7.1-1] [MQTT-4.7.1-2] wildcards stand alone in their level, and "#" is last', () => {
  for (const filter of ['#', '+', '+/+', 'a/#', 'a/+/b', '/+', '/', '+/#', 'a b/ü']) assert.ok(isValidFilter(filter), filter)
  for (const filter of ['', 'a#', 'a/#/b', 'a+', '+a', 'a/b#', '##', '#/']) assert.ok(!isValidFilter(filter), filter)
})

test('filters match topics level by level', () => {
  const yes = [
    ['a/b', 'a/b'],
    ['a/+', 'a/b'],
    ['a/+', 'a/'],
    ['a/#', 'a'],
    ['a/#', 'a/b/c'],
    ['#', 'a/b'],
    ['+', 'a'],
    ['/+', '/a'],
    ['+/+', '/a'],
    ['+/b/#', 'a/b'],
    ['+', ''],
  ]
  const no = [
    ['a/b', 'a/c'],
    ['a/+', 'a'],
    ['a/+', 'a/b/c'],
    ['+', '/a'],
    ['a', 'a/'],
    ['a/', 'a'],
    ['A', 'a'],
    ['a/b', 'a/b/c'],
    ['a/b/c', 'a/b'],
    ['a/+/c', 'a/b/d'],
  ]
  for (const [filter, topic] of yes) assert.ok(matches(filter as string, topic as string), `${filter} ~ ${topic}`)
  for (const [filter, topic] of no) assert.ok(!matches(filter as string, topic as string), `${filter} !~ ${topic}`)
})

test('[MQTT-4.7.2-1] a leading wildcard does not match a topic that begins with "$"', () => {
  assert.ok(!matches('#', '$SYS/a'))
  assert.ok(!matches('+/a', '$SYS/a'))
  assert.ok(matches('$SYS/#', '$SYS/a'))
  assert.ok(matches('$SYS/+', '$SYS/a'))
})

test('the literal prefix is what every matching topic begins with', () => {
  assert.equal(literalPrefix('a/b'), 'a/b')
  assert.equal(literalPrefix('a/b/#'), 'a/b/')
  assert.equal(literalPrefix('a/+/c'), 'a/')
  assert.equal(literalPrefix('#'), '')
})
