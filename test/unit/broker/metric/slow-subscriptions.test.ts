// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RecordCursor } from '#contract/record/record-batch'
import { DeliverySample } from '../../../../src/broker/metric/delivery-sample.ts'
import { SlowSubscriptions } from '../../../../src/broker/metric/slow-subscriptions.ts'
import { HandClock } from '../hand-clock.ts'
import { batchOf } from '../message/shard-store-fake.ts'

const SETTINGS = { threshold: 100, countMax: 2, expiry: 10_000 }

function setUp() {
  const clock = new HandClock(1_000_000)
  const seconds: number[] = []
  const none = { add: () => undefined }
  const metrics = {
    counter: () => none,
    gauge: () => undefined,
    histogram: () => ({ observe: (value: number) => void seconds.push(value) }),
  }
  const slow = new SlowSubscriptions(clock, metrics, SETTINGS)
  const names = (): readonly string[] => slow.list().map(({ clientId, topic, delayMs }) => `${clientId} ${topic} ${delayMs}`)
  const took = (clientId: string, topic: string, delayMs: number): void => slow.observe(clientId, topic, 1, clock.nowMs - delayMs)
  return { clock, slow, seconds, names, took }
}

test('the slowest pairs of client and topic are remembered, by their last delay above the threshold', () => {
  const { seconds, names, took } = setUp()
  took('a', 't', 99)
  took('a', 'u', 100)
  took('b', 't', 300)
  took('c', 't', 200)
  assert.deepEqual(names(), ['b t 300', 'c t 200'])
  took('b', 't', 250)
  assert.deepEqual(names(), ['b t 250', 'c t 200'])
  assert.deepEqual(seconds, [0.099, 0.1, 0.3, 0.2, 0.25])
})

test('a delay is forgotten when it is old, and at once what a new setting has no room for', () => {
  const { clock, slow, names, took } = setUp()
  took('a', 't', 400)
  clock.pass(9_999)
  took('b', 't', 300)
  assert.equal(names().length, 2)
  clock.pass(1)
  assert.deepEqual(names(), ['b t 300'])
  slow.settings = { ...SETTINGS, countMax: 0 }
  assert.deepEqual(names(), [])
  took('b', 't', 300)
  assert.deepEqual(names(), [])
})

test('a clock that was set back makes no negative delay', () => {
  const { seconds, took } = setUp()
  took('a', 't', -5_000)
  assert.deepEqual(seconds, [0])
})

/** A batch of one record on topic 't', stored at that time. */
function recordAt(appendTimeMs: number) {
  const batch = batchOf('t', ['x'])
  batch.stamp(0, appendTimeMs, 1)
  const cursor = new RecordCursor()
  cursor.reset(batch)
  cursor.next()
  return [batch, cursor] as const
}

test('one message at a time is followed to its acknowledgement, and none for longer than the client was there', () => {
  const seen: string[] = []
  const observer = {
    observe: (clientId: string, topic: string, qos: number, publishedMs: number) =>
      void seen.push(`${clientId} ${topic} ${qos} ${publishedMs}`),
  }
  const sample = new DeliverySample(observer, 'c', 500)
  sample.sent(7, 1, ...recordAt(600))
  sample.sent(8, 2, ...recordAt(601))
  sample.acknowledged(8)
  assert.deepEqual(seen, [])
  sample.acknowledged(7)
  sample.acknowledged(7)
  assert.deepEqual(seen, ['c t 1 600'])
  sample.sent(9, 2, ...recordAt(1))
  sample.acknowledged(9)
  assert.deepEqual(seen, ['c t 1 600', 'c t 2 500'])
  sample.sent(10, 1, ...recordAt(700))
  sample.forget(10)
  sample.acknowledged(10)
  assert.equal(seen.length, 2)
})
