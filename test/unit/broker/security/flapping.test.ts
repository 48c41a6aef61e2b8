// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Flapping, type FlappingSettings } from '../../../../src/broker/security/flapping.ts'
import { HandClock } from '../hand-clock.ts'

const SETTINGS: FlappingSettings = { enable: true, maxConnects: 3, maxConnectsPerIp: 0, window: 60_000, banTime: 300_000 }

function newFlapping(changes: Partial<FlappingSettings> = {}): { flapping: Flapping; clock: HandClock } {
  const clock = new HandClock(1000)
  return { flapping: new Flapping(clock, { ...SETTINGS, ...changes }), clock }
}

const times = (count: number, admit: () => boolean): readonly boolean[] => Array.from({ length: count }, admit)

test('a client id is banned with the first connection that is too many, for the time of a ban', () => {
  const { flapping, clock } = newFlapping()
  assert.deepEqual(
    times(5, () => flapping.admit('c', '192.0.2.1')),
    [true, true, true, false, false],
  )
  assert.equal(flapping.admit('d', '192.0.2.1'), true)
  assert.equal(flapping.banned, 1)
  clock.pass(299_999)
  assert.equal(flapping.admit('c', '192.0.2.2'), false)
  clock.pass(1)
  assert.equal(flapping.banned, 0)
  assert.equal(flapping.admit('c', '192.0.2.1'), true)
})

test('connections of different windows are not added up', () => {
  const { flapping, clock } = newFlapping()
  for (let round = 0; round < 10; round++) {
    assert.deepEqual(
      times(3, () => flapping.admit('c', '192.0.2.1')),
      [true, true, true],
    )
    clock.pass(60_000)
  }
})

test('an address is banned only where it is asked for, and clients without an id count for their address', () => {
  const { flapping } = newFlapping({ maxConnectsPerIp: 4 })
  assert.deepEqual(
    times(6, () => flapping.admit('', '192.0.2.1')),
    [true, true, true, true, false, false],
  )
  assert.equal(flapping.admit('', '192.0.2.2'), true)
  const { flapping: plain } = newFlapping()
  assert.ok(times(100, () => plain.admit('', '192.0.2.1')).every((isAdmitted) => isAdmitted))
})

test('a client id cannot pass for an address', () => {
  const { flapping } = newFlapping({ maxConnects: 1, maxConnectsPerIp: 100 })
  times(2, () => flapping.admit('192.0.2.9', '192.0.2.1'))
  assert.equal(flapping.admit('x', '192.0.2.9'), true)
})

test('what is remembered is bounded, and forgotten when it is turned off', () => {
  const { flapping } = newFlapping()
  for (let at = 0; at < 60_000; at++) flapping.admit(`c${at}`, '192.0.2.1')
  assert.equal(flapping.counted, 50_000)
  times(4, () => flapping.admit('c', '192.0.2.1'))
  flapping.settings = { ...SETTINGS, enable: false }
  assert.deepEqual([flapping.counted, flapping.banned, flapping.admit('c', '192.0.2.1')], [0, 0, true])
})
