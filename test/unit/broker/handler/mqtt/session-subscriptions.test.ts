// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Subscription } from '#contract/record/session'
import { SessionSubscriptions } from '../../../../../src/broker/handler/mqtt/session-subscriptions.ts'
import { type Subscriber, SubscriptionTable, type Target } from '../../../../../src/broker/message/subscription-table.ts'

const LOG = 4
const subscriber: Subscriber = { uid: 7, deliver: () => assert.fail('nothing is delivered here') }

/** The order of identifiers has no meaning. */
const sorted = (target: Target | undefined): unknown =>
  target && {
    ...target,
    identifiers: target.identifiers.toSorted(),
    own: target.own && { ...target.own, identifiers: target.own.identifiers.toSorted() },
  }

const subscription = (filter: string, options: Partial<Subscription> = {}): Subscription => ({
  filter,
  qos: 1,
  noLocal: false,
  retainAsPublished: false,
  identifier: 0,
  since: [],
  ...options,
})

function withAll(...all: readonly Subscription[]): SessionSubscriptions {
  const subscriptions = new SessionSubscriptions(subscriber)
  for (const one of all) subscriptions.set(one.filter, one)
  return subscriptions
}

test('[MQTT-3.3.4-2] the claim is that of the live route: the highest QoS and all identifiers of what matches', () => {
  const all = [
    subscription('a/#', { identifier: 1 }),
    subscription('a/+', { qos: 2, identifier: 2, noLocal: true }),
    subscription('a/b/c', { qos: 0, retainAsPublished: true }),
    subscription('#', { identifier: 3 }),
  ]
  const subscriptions = withAll(...all)
  const table = new SubscriptionTable()
  for (const one of all) table.add(subscriber, one)
  for (const topic of ['a', 'a/b', 'a/b/c', 'a/b/c/d', '$sys/a', 'b', 'a/b'])
    assert.deepEqual(sorted(subscriptions.claim(topic, LOG, 0)), sorted(table.route(topic)[0]), topic)
})

test('a record from before a subscription began is not claimed by it, whatever was asked first', () => {
  const subscriptions = withAll(
    subscription('a', { qos: 2, since: [{ log: LOG, position: 10 }] }),
    subscription('+', { since: [{ log: LOG, position: 5 }] }),
  )
  const qosAt = (position: number, log = LOG): number | undefined => subscriptions.claim('a', log, position)?.qos
  assert.deepEqual(
    [20, 10, 9, 5, 4, 9, 10].map((position) => qosAt(position)),
    [2, 2, 1, 1, undefined, 1, 2],
  )
  // In a log that came later they have missed nothing.
  assert.equal(qosAt(0, LOG + 1), 2)
})

test('a change of the subscriptions changes the claims on topics that were asked for before', () => {
  const subscriptions = withAll()
  const qos = (): number | undefined => subscriptions.claim('a', LOG, 0)?.qos
  assert.equal(qos(), undefined)
  subscriptions.set('#', subscription('#', { qos: 0 }))
  assert.equal(qos(), 0)
  subscriptions.set('#', subscription('#', { qos: 2 }))
  assert.equal(qos(), 2)
  subscriptions.set('a', subscription('a'))
  subscriptions.delete('#')
  assert.equal(qos(), 1)
  subscriptions.clear()
  assert.equal(qos(), undefined)
})

test('any number of topics can be claimed', () => {
  const subscriptions = withAll(subscription('many/#'))
  for (let at = 0; at < 5000; at++) assert.equal(subscriptions.claim(`many/${at % 3000}`, LOG, at)?.qos, 1)
})
