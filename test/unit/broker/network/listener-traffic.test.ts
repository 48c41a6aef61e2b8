// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ListenerTraffic } from '../../../../src/broker/network/listener-traffic.ts'
import { HandClock } from '../hand-clock.ts'

function setUp(maxMessageRate: number, maxByteRate: number) {
  const counts = { messages: 0, bytes: 0, limited: 0 }
  const counter = (name: keyof typeof counts) => ({
    add: (count: number): void => {
      counts[name] += count
    },
  })
  const meters = { messages: counter('messages'), bytes: counter('bytes'), limited: counter('limited') }
  const clock = new HandClock()
  return { clock, counts, traffic: new ListenerTraffic(clock, { maxMessageRate, maxByteRate }, meters) }
}

test('all connections of a listener pay from one account, and the larger debt decides', () => {
  const { clock, counts, traffic } = setUp(10, 1000)
  assert.equal(traffic.take(10, 100), 0)
  assert.equal(traffic.take(5, 100), 500)
  clock.pass(500)
  assert.equal(traffic.take(0, 3000), 2000)
  assert.deepEqual(counts, { messages: 15, bytes: 3200, limited: 2 })
})

test('without rates nobody waits, and all is counted', () => {
  const { counts, traffic } = setUp(0, 0)
  assert.equal(traffic.take(1_000_000, 1_000_000_000), 0)
  assert.deepEqual(counts, { messages: 1_000_000, bytes: 1_000_000_000, limited: 0 })
})
