// SPDX-License-Identifier: Apache-2.0
// Where things lie in the store: order, ranges, and no two things under one key.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isValidFilter, matches } from '#base/topic-filter'
import { compareSuffix, dueOf, GroupKeys, rangeOf, sessionKeyOf, topicOfKey, uidOfHolder } from '../../../../src/meta/codec/key.ts'
import { client } from '../meta-node.ts'

const keys = new GroupKeys(7)
const TENANT = 'default'
const within = (key: Buffer, range: { gte: Buffer; lt: Buffer }): boolean => key.compare(range.gte) >= 0 && key.compare(range.lt) < 0
const level = fc.string({ unit: fc.constantFrom('a', 'b', '!', '\u0001', 'ü'), maxLength: 2 })
const topic = fc.array(level, { minLength: 1, maxLength: 4 }).map((levels) => levels.join('/'))
const filter = fc
  .array(fc.oneof(level, fc.constantFrom('+', '#')), { minLength: 1, maxLength: 4 })
  .map((levels) => levels.join('/'))
  .filter(isValidFilter)

describe('the heads that a filter scans', () => {
  it('hold every topic that matches', () => {
    fc.assert(
      fc.property(filter, topic, (f, t) => {
        if (matches(f, t)) assert.ok(within(keys.retainedHead(TENANT, t), keys.retainedHeads(TENANT, f)), `${f} ${t}`)
      }),
      { numRuns: 5000 },
    )
  })

  it('hold nothing outside of the literal prefix, and nothing of another tenant or table', () => {
    const range = keys.retainedHeads(TENANT, 'a/b/#')
    for (const inside of ['a/b', 'a/b/', 'a/b/c', 'a/b/c/d']) assert.ok(within(keys.retainedHead(TENANT, inside), range), inside)
    for (const outside of ['a', 'a/', 'a/a', 'a/bb', 'a/b\u0001', 'a/b!', 'a/c', 'b']) {
      assert.ok(!within(keys.retainedHead(TENANT, outside), range), outside)
    }
    assert.ok(!within(keys.retainedHead('default2', 'a/b'), keys.retainedHeads(TENANT, '#')))
    assert.ok(!within(keys.retainedBody(TENANT, 'a/b'), keys.retainedHeads(TENANT, '#')))
    assert.ok(!within(new GroupKeys(8).retainedHead(TENANT, 'a/b'), keys.retainedHeads(TENANT, '#')))
  })

  it('of a filter without wildcards are one', () => {
    const range = keys.retainedHeads(TENANT, 'a/b')
    assert.ok(within(keys.retainedHead(TENANT, 'a/b'), range))
    assert.ok(!within(keys.retainedHead(TENANT, 'a/b/'), range))
  })
})

describe('keys', () => {
  it('give back what they were made of', () => {
    fc.assert(
      fc.property(topic, fc.maxSafeNat(), (name, number) => {
        assert.equal(topicOfKey(keys.retainedHead(TENANT, name), TENANT.length), name)
        assert.deepEqual(dueOf(keys.retainedDue(number, TENANT, name)), { dueMs: number, tenant: TENANT, topic: name })
        assert.deepEqual(sessionKeyOf(keys.session(client(name))), client(name))
        assert.equal(uidOfHolder(keys.cursorHolder(number)), number)
      }),
    )
  })

  it('of a session never begin with what the subscriptions of another one begin with', () => {
    const prefix = rangeOf(keys.subscriptions(client('c')))
    assert.ok(within(Buffer.concat([keys.subscriptions(client('c')), Buffer.from('a/#')]), prefix))
    assert.ok(!within(Buffer.concat([keys.subscriptions(client('c1')), Buffer.from('a/#')]), prefix))
    assert.ok(!within(Buffer.concat([keys.subscriptions({ tenant: 'defaul', clientId: 't\u0001c' }), Buffer.from('a')]), prefix))
  })

  it('of dues sort by time', () => {
    const range = keys.retainedDues(1000)
    assert.ok(within(keys.retainedDue(1000, TENANT, 'zzz'), range))
    assert.ok(!within(keys.retainedDue(1001, TENANT, 'a'), range))
    assert.ok(!within(keys.retainedDue(2 ** 40, TENANT, 'a'), range))
  })

  it('of different groups are compared without the group', () => {
    const other = new GroupKeys(8)
    assert.ok(compareSuffix(other.session(client('a')), keys.session(client('b'))) < 0)
    assert.equal(compareSuffix(other.session(client('a')), keys.session(client('a'))), 0)
  })
})
