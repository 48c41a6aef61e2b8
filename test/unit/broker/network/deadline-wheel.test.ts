// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '#base/port/clock'
import { DeadlineWheel } from '../../../../src/broker/network/deadline-wheel.ts'

/** A clock that is moved by hand. */
class HandClock implements Clock {
  nowMs = 0
  #timers: { atMs: number; fire: () => void }[] = []
  readonly #turnEnd: (() => void)[] = []
  monotonic = (): number => this.nowMs
  realtime = (): number => this.nowMs
  endOfTurn(fire: () => void): void {
    this.#turnEnd.push(fire)
  }
  after(delayMs: number, fire: () => void): { cancel(): void } {
    const timer = { atMs: this.nowMs + delayMs, fire }
    this.#timers.push(timer)
    return { cancel: () => this.#timers.splice(this.#timers.indexOf(timer), 1) }
  }
  get armed(): number {
    return this.#timers.length
  }
  /** Timers fire late when the loop was blocked: all at `atMs`, and before the input that has come meanwhile. */
  stallUntil(atMs: number, input = () => {}): void {
    this.nowMs = atMs
    for (const timer of this.#timers.splice(0)) timer.fire()
    input()
    for (const fire of this.#turnEnd.splice(0)) fire()
  }
  runUntil(atMs: number): void {
    while (this.nowMs < atMs) this.stallUntil(this.nowMs + 1000)
  }
}

test('a deadline is called after it has passed, within two seconds', () => {
  const clock = new HandClock()
  const wheel = new DeadlineWheel(clock)
  const calledMs = new Map<number, number>()
  for (const deadlineMs of [500, 1000, 15_000, 90_000, 600_000, 98_000_000]) {
    wheel.add({ deadlineMs, onDeadline: () => calledMs.set(deadlineMs, clock.nowMs) })
  }
  clock.runUntil(98_100_000)
  assert.equal(calledMs.size, 6)
  for (const [deadlineMs, atMs] of calledMs) assert.ok(atMs >= deadlineMs && atMs <= deadlineMs + 2000, `${deadlineMs} at ${atMs}`)
})

test('a deadline that was moved on is not called at its old time', () => {
  const clock = new HandClock()
  const wheel = new DeadlineWheel(clock)
  let called = 0
  const item = { deadlineMs: 3000, onDeadline: () => called++ }
  wheel.add(item)
  clock.runUntil(2000)
  item.deadlineMs = 10_000
  clock.runUntil(9000)
  assert.equal(called, 0)
  clock.runUntil(13_000)
  assert.equal(called, 1)
})

test('a removed deadline is not called, and a stall of the loop loses none', () => {
  const clock = new HandClock()
  const wheel = new DeadlineWheel(clock)
  let removed = 0
  let kept = 0
  const gone = { deadlineMs: 5000, onDeadline: () => removed++ }
  wheel.add(gone)
  wheel.add({ deadlineMs: 6000, onDeadline: () => kept++ })
  wheel.remove(gone)
  clock.stallUntil(3_000_000)
  clock.runUntil(3_002_000)
  assert.equal(removed, 0)
  assert.equal(kept, 1)
})

test('M7: what has arrived during a stall of the loop is read before deadlines are looked at', () => {
  const clock = new HandClock()
  const wheel = new DeadlineWheel(clock)
  const expired: string[] = []
  const silent = { deadlineMs: 5000, onDeadline: () => expired.push('silent') }
  const heard = { deadlineMs: 5000, onDeadline: () => expired.push('heard') }
  const gone = { deadlineMs: 5000, onDeadline: () => expired.push('gone') }
  for (const item of [silent, heard, gone]) wheel.add(item)
  clock.stallUntil(9000, () => {
    heard.deadlineMs = 14_000
    wheel.remove(gone)
  })
  assert.deepEqual(expired, ['silent'])
  clock.runUntil(16_000)
  assert.deepEqual(expired, ['silent', 'heard'])
})

test('however often the last deadline goes and another comes, there is one timer, and none for nothing', () => {
  const clock = new HandClock()
  const wheel = new DeadlineWheel(clock)
  for (let at = 0; at < 5; at++) {
    const item = { deadlineMs: clock.nowMs + 10_000, onDeadline: () => {} }
    wheel.add(item)
    wheel.remove(item)
  }
  assert.equal(clock.armed, 1)
  clock.runUntil(3000)
  assert.equal(clock.armed, 0)
})
