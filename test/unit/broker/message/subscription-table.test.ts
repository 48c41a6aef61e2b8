// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { isValidFilter, matches } from '#base/topic-filter'
import type { Subscription } from '#contract/record/session'
import { type Subscriber, SubscriptionTable } from '../../../../src/broker/message/subscription-table.ts'

const subscriber = (uid: number): Subscriber => ({ uid, deliver: () => undefined })
const subscription = (filter: string, options: Partial<Subscription> = {}): Subscription => ({
  filter,
  qos: 0,
  noLocal: false,
  retainAsPublished: false,
  identifier: 0,
  since: [],
  ...options,
})

test('a topic finds exactly the subscribers whose filters match it', () => {
  const level = fc.constantFrom('a', 'b', '', '$x', '+')
  const filterOf = fc
    .tuple(fc.array(level, { minLength: 1, maxLength: 4 }), fc.boolean())
    .map(([levels, rest]) => (rest ? [...levels, '#'] : levels).join('/'))
    .filter(isValidFilter)
  const topicOf = fc.array(fc.constantFrom('a', 'b', '', '$x', 'c'), { minLength: 1, maxLength: 5 }).map((levels) => levels.join('/'))
  fc.assert(
    fc.property(
      fc.array(filterOf, { maxLength: 12 }),
      fc.array(fc.nat(11), { maxLength: 6 }),
      fc.array(topicOf, { maxLength: 8 }),
      (filters, removed, topics) => {
        const table = new SubscriptionTable()
        const live = new Map(filters.map((filter, at) => [subscriber(at), filter]))
        for (const [who, filter] of live) table.add(who, subscription(filter))
        for (const at of removed) {
          const who = [...live.keys()].find(({ uid }) => uid === at)
          if (who === undefined) continue
          table.remove(who, live.get(who) as string)
          live.delete(who)
        }
        assert.equal(table.size, live.size)
        for (const topic of topics) {
          const expected = [...live].filter(([, filter]) => matches(filter, topic)).map(([{ uid }]) => uid)
          const found = table.route(topic).map(({ subscriber: { uid } }) => uid)
          assert.deepEqual(found.sort(), expected.sort(), topic)
        }
      },
    ),
  )
})

test('[MQTT-3.3.4-2] overlapping subscriptions of one client are one claim, at the highest QoS, with all identifiers', () => {
  const table = new SubscriptionTable()
  const one = subscriber(1)
  table.add(one, subscription('a/#', { qos: 1, identifier: 5 }))
  table.add(one, subscription('a/+', { qos: 2, identifier: 6, noLocal: true }))
  table.add(one, subscription('a/b', { qos: 0 }))
  const own = { qos: 1, retainAsPublished: false, identifiers: [5] }
  assert.deepEqual(table.route('a/b'), [{ subscriber: one, qos: 2, retainAsPublished: false, identifiers: [5, 6], own }])
})

test('a change of subscriptions is seen by the next message', () => {
  const table = new SubscriptionTable()
  const one = subscriber(1)
  assert.equal(table.route('a').length, 0)
  table.add(one, subscription('a'))
  assert.equal(table.route('a').length, 1)
  table.add(one, subscription('a', { qos: 2 }))
  assert.equal(table.route('a')[0]?.qos, 2)
  table.remove(one, 'a')
  assert.equal(table.route('a').length, 0)
  assert.equal(table.size, 0)
})
