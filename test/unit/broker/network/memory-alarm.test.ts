// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Logger } from '#base/port/logger'
import { MemoryAlarm } from '../../../../src/broker/network/memory-alarm.ts'
import { HandClock } from '../hand-clock.ts'

const SILENT: Logger = { log: () => undefined, scope: () => SILENT }

function setUp(highBytes: number, heapBytesMax = 900) {
  const clock = new HandClock()
  let residentBytes = 0
  const alarm = new MemoryAlarm(clock, { residentBytes: () => residentBytes, machineBytes: 1000, heapBytesMax }, SILENT, highBytes)
  alarm.start()
  const residentIs = (bytes: number): boolean => {
    residentBytes = bytes
    clock.pass(1000)
    return alarm.raised
  }
  return { clock, alarm, residentIs }
}

test('it is raised above the watermark, ends well below it, and tells those who wait once', () => {
  const { alarm, residentIs } = setUp(600)
  let resumed = 0
  assert.deepEqual([residentIs(600), residentIs(601)], [false, true])
  alarm.wait({ resumeReading: () => resumed++ })
  const gone = { resumeReading: () => assert.fail('it has left') }
  alarm.wait(gone)
  alarm.forget(gone)
  assert.deepEqual([residentIs(571), resumed], [true, 0])
  assert.deepEqual([residentIs(569), resumed], [false, 1])
  assert.deepEqual([residentIs(601), residentIs(569), resumed], [true, false, 1])
})

test('without a setting the watermark is a share of the machine, and never more than the heap may have', () => {
  assert.equal(setUp(Number.POSITIVE_INFINITY).alarm.watermarkBytes, 800)
  assert.equal(setUp(Number.POSITIVE_INFINITY, 500).alarm.watermarkBytes, 500)
})

test('it ends when it is turned off, and nothing is left running when it stops', () => {
  const { clock, alarm, residentIs } = setUp(600)
  assert.equal(residentIs(700), true)
  alarm.highBytes = 0
  assert.equal(residentIs(700), false)
  alarm.stop()
  assert.equal(clock.timerCount, 0)
})
