// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Clock } from '#base/port/clock'
import { DeadlineWheel } from '../../../../src/broker/network/deadline-wheel.ts'

/** A clock that is moved by hand. */
class HandClock implements Clock {
  nowMs = 0
  #timers: { atMs: number; fire: () => void }[] = []
  monotonic = (): number => this.nowMs
  realtime = (): number => this.nowMs
  endOfTurn(): void {
    throw new Error('not used')
  }
  after(delayMs: number, fire: () => void): { cancel(): void } {
    const timer = { atMs: this.nowMs + delayMs, fire }
    this.#timers.push(timer)
    return { cancel: () => this.#timers.splice(this.#timers.indexOf(timer), 1) }
  }
  /** Timers fire late when the loop was blocked: all at `atMs`. */
  stallUntil(atMs: number): void {
    this.nowMs = atMs
    for (const timer of this.#timers.splice(0)) timer.fire()
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
