// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BrokerEvents, type EventSettings } from '../../../../src/broker/message/events.ts'
import { formatTime } from '../../../../src/broker/message/system-values.ts'
import { LoadAverage } from '../../../../src/broker/metric/load-average.ts'
import { HandClock } from '../hand-clock.ts'

const SETTINGS: EventSettings = {
  clientConnected: true,
  clientDisconnected: true,
  sessionSubscribed: false,
  sessionUnsubscribed: false,
  messageDropped: false,
  sessionExpired: false,
  sessionTakenOver: false,
  rateMax: 2,
}

test('beyond the rate of its kind an event is counted, and the next one says how many there were', () => {
  const clock = new HandClock(5000)
  const published: string[] = []
  let suppressed = 0
  const events = new BrokerEvents(
    clock,
    { publish: (topic, payload) => published.push(`${topic} ${payload}`) },
    7,
    { add: (count) => (suppressed += count) },
    SETTINGS,
  )
  for (const name of ['a', 'b', 'c', 'd']) events.tell('clientConnected', name, { remote: undefined })
  events.tell('clientDisconnected', 'a', { reason: 'lost' })
  events.tell('sessionExpired', 'a', {})
  clock.pass(1000)
  events.tell('clientConnected', 'e', {})
  events.tell('clientConnected', 'f', {})
  assert.deepEqual(published, [
    '$SYS/events/client_connected {"node":7,"timeMs":5000,"clientId":"a"}',
    '$SYS/events/client_connected {"node":7,"timeMs":5000,"clientId":"b"}',
    '$SYS/events/client_disconnected {"node":7,"timeMs":5000,"clientId":"a","reason":"lost"}',
    '$SYS/events/client_connected {"node":7,"timeMs":6000,"clientId":"e","suppressed":2}',
    '$SYS/events/client_connected {"node":7,"timeMs":6000,"clientId":"f"}',
  ])
  assert.equal(suppressed, 2)
})

test('times are written as RFC 3339, over leap days and centuries', () => {
  let timeMs = Date.UTC(1970, 0, 1)
  while (timeMs < Date.UTC(2101, 0, 1)) {
    assert.equal(formatTime(timeMs + 999), `${new Date(timeMs).toISOString().slice(0, 19)}Z`)
    timeMs += 86_400_000 - 1000
  }
})

test('a load average comes to what happens in a minute, the shorter ones sooner', () => {
  let count = 1000
  const load = new LoadAverage(() => count)
  for (let sample = 0; sample < 12; sample++) {
    count += 50
    load.sample(5000)
  }
  const [one, five, fifteen] = [load.perMinute(0), load.perMinute(1), load.perMinute(2)]
  assert.ok(Math.abs(one - 600 * (1 - Math.exp(-1))) < 0.01)
  assert.ok(one > five && five > fifteen && fifteen > 0)
  for (let sample = 0; sample < 1200; sample++) {
    count += 50
    load.sample(5000)
  }
  assert.ok(Math.abs(load.perMinute(2) - 600) < 1)
})
