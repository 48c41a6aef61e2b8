// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RateLimit } from '../../../../src/broker/network/rate-limit.ts'
import { HandClock } from '../hand-clock.ts'

test("one second's worth is free, the rest is waited for", () => {
  const clock = new HandClock()
  const limit = new RateLimit(clock)
  assert.equal(limit.take(100, 100), 0)
  assert.equal(limit.take(50, 100), 500)
  clock.pass(500)
  assert.equal(limit.take(1, 100), 10)
})

test('over any time no more is taken than the rate and one second of it', () => {
  const clock = new HandClock()
  const limit = new RateLimit(clock)
  let taken = 0
  while (clock.nowMs < 60_000) {
    taken += 37
    clock.pass(limit.take(37, 100))
  }
  assert.ok(taken >= 6000 && taken <= 6137, `${taken}`)
})

test('a pause saves up one second and no more', () => {
  const clock = new HandClock()
  const limit = new RateLimit(clock)
  limit.take(100, 100)
  clock.pass(3_600_000)
  assert.equal(limit.take(100, 100), 0)
  assert.equal(limit.take(1, 100), 10)
})

test('a rate of 0 is no limit, and another rate begins anew', () => {
  const limit = new RateLimit(new HandClock())
  assert.equal(limit.take(1_000_000, 100), 9_999_000)
  assert.equal(limit.take(1_000_000, 0), 0)
  assert.equal(limit.take(10, 10), 0)
  assert.equal(limit.take(20, 20), 0)
})
