// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LoginThrottle } from '../../../../src/broker/security/login-throttle.ts'

function newThrottle(attemptsMax = 3): { throttle: LoginThrottle; pass: (ms: number) => void } {
  let nowMs = 1000
  const clock = { monotonic: () => nowMs, realtime: () => nowMs, after: () => ({ cancel: () => undefined }), endOfTurn: () => undefined }
  const pass = (ms: number): void => {
    nowMs += ms
  }
  return { throttle: new LoginThrottle(clock, { attemptsMax, backoffMaxMs: 10_000 }), pass }
}

test('wrong passwords are free at first, then cost a wait that doubles up to its maximum', () => {
  const { throttle, pass } = newThrottle()
  const waits: number[] = []
  for (let attempt = 0; attempt < 8; attempt++) {
    const waitMs = throttle.failed('192.0.2.1', 'ann')
    waits.push(waitMs)
    assert.equal(throttle.isBlocked('192.0.2.1', 'ann'), waitMs > 0)
    pass(waitMs)
    assert.equal(throttle.isBlocked('192.0.2.1', 'ann'), false)
  }
  assert.deepEqual(waits, [0, 0, 1000, 2000, 4000, 8000, 10_000, 10_000])
})

test('a wait is for one user name from one address', () => {
  const { throttle } = newThrottle(1)
  throttle.failed('192.0.2.1', 'ann')
  assert.equal(throttle.isBlocked('192.0.2.1', 'ann'), true)
  assert.equal(throttle.isBlocked('192.0.2.1', 'bob'), false)
  assert.equal(throttle.isBlocked('192.0.2.2', 'ann'), false)
})

test('a right password ends the count, and so does a long time without a wrong one', () => {
  const { throttle, pass } = newThrottle()
  throttle.failed('192.0.2.1', 'ann')
  throttle.failed('192.0.2.1', 'ann')
  throttle.succeeded('192.0.2.1', 'ann')
  assert.equal(throttle.size, 0)
  assert.equal(throttle.failed('192.0.2.1', 'ann'), 0)
  throttle.failed('192.0.2.1', 'ann')
  pass(60_000)
  assert.equal(throttle.failed('192.0.2.1', 'ann'), 0)
})

test('what is remembered is bounded: who failed longest ago makes room', () => {
  const { throttle } = newThrottle(1)
  for (let at = 0; at < 12_000; at++) throttle.failed('192.0.2.1', `user ${at}`)
  assert.equal(throttle.size, 10_000)
  assert.equal(throttle.isBlocked('192.0.2.1', 'user 0'), false)
  assert.equal(throttle.isBlocked('192.0.2.1', 'user 11999'), true)
})

test('0 attempts turns it off', () => {
  const { throttle } = newThrottle(0)
  for (let at = 0; at < 100; at++) assert.equal(throttle.failed('192.0.2.1', 'ann'), 0)
  assert.equal(throttle.size, 0)
})
