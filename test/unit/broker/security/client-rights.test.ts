// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { matches } from '#base/topic-filter'
import { Access } from '../../../../src/broker/security/access.ts'
import { AccessList } from '../../../../src/broker/security/access-list.ts'
import type { Principal, RuleSettings } from '../../../../src/broker/security/access-rule.ts'

const PRINCIPAL: Principal = { clientId: 'c1', userName: 'ann', address: '192.0.2.7' }

const accessOf = (acl: readonly RuleSettings[], aclDefault: 'allow' | 'deny' = 'deny', principal = PRINCIPAL): Access =>
  new Access(new AccessList({ acl, aclDefault }), principal, undefined)

const rule = (permission: 'allow' | 'deny', action: RuleSettings['action'], ...topics: readonly string[]): RuleSettings => ({
  permission,
  action,
  ...(topics.length > 0 ? { topics } : {}),
})

test('the first rule that matches decides, and the default where none does', () => {
  const acl = [rule('deny', 'publish', 'a/secret'), rule('allow', 'publish', 'a/#')]
  assert.equal(accessOf(acl).mayPublish('a/b', 1, false), true)
  assert.equal(accessOf(acl).mayPublish('a/secret', 1, false), false)
  assert.equal(accessOf(acl).mayPublish('b', 1, false), false)
  assert.equal(accessOf(acl, 'allow').mayPublish('b', 1, false), true)
  assert.equal(accessOf([...acl].reverse()).mayPublish('a/secret', 1, false), true)
})

test('a rule about publishing says nothing about subscribing, and one about both says something about either', () => {
  assert.equal(accessOf([rule('allow', 'publish', 'a')]).maySubscribe('a', 0), false)
  assert.equal(accessOf([rule('allow', 'subscribe', 'a')]).mayPublish('a', 0, false), false)
  const both = accessOf([rule('allow', 'all', 'a')])
  assert.deepEqual([both.mayPublish('a', 0, false), both.maySubscribe('a', 0)], [true, true])
})

test('a rule without topics is about every topic, those of the server too', () => {
  assert.equal(accessOf([rule('deny', 'subscribe')], 'allow').maySubscribe('$SYS/#', 0), false)
  assert.equal(accessOf([rule('deny', 'subscribe', '#')], 'allow').maySubscribe('$SYS/#', 0), true)
})

test('QoS and retain of a rule leave what they do not name to the rules after it', () => {
  const access = accessOf([
    { ...rule('deny', 'publish', '#'), qos: [2] },
    { ...rule('deny', 'publish', 'a'), retain: true },
    rule('allow', 'publish'),
  ])
  const allowed = [0, 1, 2].map((qos) => [access.mayPublish('a', qos, false), access.mayPublish('a', qos, true)])
  assert.deepEqual(allowed, [
    [true, false],
    [true, false],
    [false, false],
  ])
  assert.equal(access.mayPublish('b', 1, true), true)
})

test('QoS of a rule counts for the QoS that a subscription asks for', () => {
  const access = accessOf([{ ...rule('allow', 'subscribe', 'a/#'), qos: [0, 1] }])
  assert.deepEqual(
    [0, 1, 2].map((qos) => access.maySubscribe('a/+', qos)),
    [true, true, false],
  )
})

test('CVE-2017-7650 a client id or user name with a wildcard or a slash in it fills no placeholder', () => {
  const acl = [rule('allow', 'all', 'users/%u/#', 'clients/%c')]
  const mine = accessOf(acl)
  assert.deepEqual([mine.mayPublish('users/ann/x', 0, false), mine.maySubscribe('clients/c1', 0)], [true, true])
  assert.deepEqual([mine.mayPublish('users/bob/x', 0, false), mine.maySubscribe('clients/+', 0)], [false, false])
  for (const name of ['+', '#', 'a/b', '']) {
    const other = accessOf(acl, 'deny', { clientId: name, userName: name, address: '192.0.2.7' })
    assert.equal(other.mayPublish('users/bob/x', 0, false), false, name)
    assert.equal(other.mayPublish(`users/${name}/x`, 0, false), false, name)
    assert.equal(other.maySubscribe(`clients/${name}`, 0), false, name)
  }
})

test('a client id that begins with $ does not reach the topics of the server', () => {
  const access = accessOf([rule('allow', 'all', '%c/#')], 'deny', { ...PRINCIPAL, clientId: '$SYS' })
  assert.equal(access.maySubscribe('$SYS/#', 0), false)
})

test('an anonymous client has no user name: rules for users are not about it', () => {
  const anonymous = { ...PRINCIPAL, userName: undefined }
  assert.equal(accessOf([{ ...rule('allow', 'all'), users: ['ann'] }], 'deny', anonymous).mayPublish('a', 0, false), false)
  assert.equal(accessOf([rule('allow', 'all', 'u/%u')], 'deny', anonymous).mayPublish('u/undefined', 0, false), false)
})

test('users, client ids and addresses must all match', () => {
  const settings: RuleSettings = { ...rule('allow', 'all'), users: ['ann'], clientIds: ['c1', 'c2'], ip: ['192.0.2.0/24', '2001:db8::/32'] }
  const may = (principal: Partial<Principal>): boolean =>
    accessOf([settings], 'deny', { ...PRINCIPAL, ...principal }).mayPublish('a', 0, false)
  assert.equal(may({}), true)
  assert.equal(may({ address: '2001:db8::1' }), true)
  assert.equal(may({ address: '::ffff:192.0.2.9' }), true)
  assert.equal(may({ userName: 'bob' }), false)
  assert.equal(may({ clientId: 'c3' }), false)
  assert.equal(may({ address: '198.51.100.1' }), false)
  assert.equal(may({ address: 'unknown' }), false)
})

test('nobody publishes to $SYS, not even a superuser', () => {
  const list = new AccessList({ acl: [rule('allow', 'all')], aclDefault: 'allow' })
  const superuser = { userName: 'root', source: 'users' as const, superuser: true, revision: '', stored: undefined }
  const access = new Access(list, PRINCIPAL, superuser)
  assert.deepEqual(
    ['$SYS', '$SYS/', '$SYS/x/y', '$SYSTEM', 'SYS/x'].map((topic) => access.mayPublish(topic, 0, false)),
    [false, false, false, true, true],
  )
})

test('no rule is about a superuser', () => {
  const list = new AccessList({ acl: [rule('deny', 'all')], aclDefault: 'deny' })
  const access = new Access(list, PRINCIPAL, {
    userName: 'root',
    source: 'users' as const,
    superuser: true,
    revision: '',
    stored: undefined,
  })
  assert.deepEqual([access.mayPublish('a', 2, true), access.maySubscribe('#', 2)], [true, true])
})

test('of a shared or exclusive subscription, the filter inside counts', () => {
  const access = accessOf([rule('allow', 'subscribe', 'a/#')])
  assert.deepEqual(
    ['$share/g/a/b', '$share/g/b', '$exclusive/a/b', '$exclusive/b', '$share/a'].map((filter) => access.maySubscribe(filter, 0)),
    [true, false, true, false, false],
  )
})

test('Q22 what was decided under other rules counts no more', () => {
  const list = new AccessList({ acl: [], aclDefault: 'allow' })
  const access = new Access(list, PRINCIPAL, undefined)
  assert.deepEqual([access.mayPublish('a', 0, false), access.maySubscribe('a', 0)], [true, true])
  list.replace({ acl: [rule('deny', 'all', 'a')], aclDefault: 'allow' })
  assert.deepEqual([access.mayPublish('a', 0, false), access.maySubscribe('a', 0)], [false, false])
})

test('what is remembered for a client is bounded, and forgetting changes no decision', () => {
  const access = accessOf([rule('deny', 'publish', 'n/+/odd'), rule('allow', 'publish', 'n/#')])
  for (let round = 0; round < 2; round++) {
    for (let at = 0; at < 1000; at++) {
      assert.equal(access.mayPublish(`n/${at}/odd`, 0, false), false)
      assert.equal(access.mayPublish(`n/${at}/even`, 0, false), true)
    }
  }
})

const FILTER = fc
  .array(fc.constantFrom('a', 'b', '+'), { minLength: 1, maxLength: 3 })
  .chain((levels) => fc.boolean().map((open) => (open ? [...levels, '#'] : levels).join('/')))
const RULE = fc.record({
  permission: fc.constantFrom('allow' as const, 'deny' as const),
  topics: fc.uniqueArray(FILTER, { minLength: 1, maxLength: 2 }),
})
const TOPICS = ['a', 'b', 'z'].flatMap((x) => [
  x,
  ...['a', 'b', 'z'].flatMap((y) => [`${x}/${y}`, ...['a', 'b', 'z'].map((z) => `${x}/${y}/${z}`)]),
])

test('a subscription that is granted has no topic that would be refused by itself', () => {
  let granted = 0
  fc.assert(
    fc.property(
      fc.array(RULE, { maxLength: 5 }),
      FILTER,
      fc.constantFrom('allow' as const, 'deny' as const),
      (rules, filter, aclDefault) => {
        const acl = rules.map(({ permission, topics }) => rule(permission, 'subscribe', ...topics))
        const access = accessOf(acl, aclDefault)
        if (!access.maySubscribe(filter, 0)) return
        granted++
        for (const topic of TOPICS.filter((candidate) => matches(filter, candidate))) {
          const first = acl.find(({ topics = [] }) => topics.some((own) => matches(own, topic)))
          assert.equal(first?.permission ?? aclDefault, 'allow', `'${filter}' is granted, though '${topic}' is not allowed`)
        }
      },
    ),
    { numRuns: 3000 },
  )
  assert.ok(granted > 300, `only ${granted} subscriptions were granted: the property says little`)
})
