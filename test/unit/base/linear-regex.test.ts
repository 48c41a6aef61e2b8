// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { LinearRegex } from '#base/linear-regex'

const compiled = (pattern: string): LinearRegex => {
  const regex = LinearRegex.compile(pattern)
  assert.ok(regex !== undefined, pattern)
  return regex
}

test('groups hold what they matched, and a group that took no part holds nothing', () => {
  assert.deepEqual(compiled('^x/([^/]+)/(.*)$').match('x/room/a/b'), ['x/room/a/b', 'room', 'a/b'])
  assert.deepEqual(compiled('^(a)|(b)$').match('b'), ['b', undefined, 'b'])
  assert.deepEqual(compiled('(?:ab)+(\\d{2,3}?)').match('-abab1234'), ['abab12', '12'])
  assert.equal(compiled('^a$').match('ba'), undefined)
  assert.deepEqual(compiled('^(.)$').match('😀'), ['😀', '😀'])
})

test('what cannot be bounded, or is no pattern, is refused', () => {
  const bad = [
    '(',
    ')',
    'a)',
    '[',
    '[]',
    '[b-a]',
    'a**',
    '*',
    'a{2,1}',
    'a{',
    'a{1001}',
    '(?=a)',
    '(?<n>a)',
    '(a)\\1',
    '\\b',
    '\\',
    '^*',
    '{',
  ]
  for (const pattern of bad) assert.equal(LinearRegex.compile(pattern), undefined, pattern)
  assert.equal(LinearRegex.compile('((a{100}){100}){100}'), undefined, 'written out, it would be a million instructions')
  assert.equal(LinearRegex.compile('('.repeat(1000) + ')'.repeat(1000)), undefined)
})

test('patterns on which JavaScript takes forever end at once', () => {
  const text = `${'a'.repeat(1000)}!`
  for (const pattern of ['^(a+)+$', '^(a|a)*$', '^((a+)+)+$', '^a*a*a*a*a*a*a*a*$', '(.*)(.*)(.*)(.*)(.*)[^!]$'])
    assert.equal(compiled(pattern).match(text), undefined, pattern)
})

/** Patterns of the grammar. No kept group within a repetition: there JavaScript forgets what an earlier round matched. */
const repetition = fc.constantFrom('', '', '*', '+', '?', '*?', '+?', '??', '{2}', '{1,2}', '{1,}?')
const { plain } = fc.letrec<{ plain: string; item: string }>((tie) => ({
  plain: fc
    .array(fc.array(tie('item'), { maxLength: 3 }), { minLength: 1, maxLength: 2 })
    .map((options) => options.map((items) => items.join('')).join('|')),
  item: fc.oneof(
    { depthSize: 'small', maxDepth: 3 },
    fc.tuple(fc.constantFrom('a', 'b', '/', '.', '[ab]', '[^/]', '\\w', '\\D', '[a-b-]'), repetition).map(([atom, times]) => atom + times),
    fc.tuple(tie('plain'), repetition).map(([body, times]) => `(?:${body})${times}`),
  ),
}))
const pattern = fc
  .tuple(fc.constantFrom('', '^'), fc.array(fc.tuple(plain, fc.boolean()), { minLength: 1, maxLength: 3 }), fc.constantFrom('', '$'))
  .map(([head, parts, tail]) => head + parts.map(([body, kept]) => (kept ? `(${body})` : `(?:${body})`)).join('') + tail)

test('on everything else it finds what JavaScript finds', () => {
  const text = fc.string({ unit: fc.constantFrom('a', 'b', '/', '-'), maxLength: 8 })
  fc.assert(
    fc.property(pattern, text, (source, subject) => {
      // Only what is repeated although it can be empty is refused here.
      fc.pre(LinearRegex.compile(source) !== undefined)
      const expected = new RegExp(source, 'u').exec(subject)
      assert.deepEqual(compiled(source).match(subject), expected === null ? undefined : [...expected])
    }),
    { numRuns: 2000 },
  )
})
