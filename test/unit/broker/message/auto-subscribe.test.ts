// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AutoSubscriber } from '../../../../src/broker/message/auto-subscribe.ts'

test('templates are filled for each client, and what is left out of a rule is as in a plain SUBSCRIBE', () => {
  const subscriber = new AutoSubscriber([
    { filter: 'inbox/%c/#', qos: 1 },
    { filter: 'user/%u', qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 2 },
  ])
  assert.deepEqual(subscriber.subscriptions({ clientId: 'c', userName: 'ann' }), [
    { filter: 'inbox/c/#', qos: 1, noLocal: false, retainAsPublished: false, retainHandling: 0 },
    { filter: 'user/ann', qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 2 },
  ])
})

test('a client without the name, or with a wildcard in it, does not get the subscription', () => {
  const subscriber = new AutoSubscriber([
    { filter: 'inbox/%c', qos: 1 },
    { filter: 'user/%u', qos: 1 },
  ])
  const filters = (clientId: string, userName?: string) => subscriber.subscriptions({ clientId, userName }).map(({ filter }) => filter)
  assert.deepEqual(filters('c'), ['inbox/c'])
  assert.deepEqual(filters('#', 'ann'), ['user/ann'])
  subscriber.setRules([])
  assert.deepEqual(filters('c'), [])
})
