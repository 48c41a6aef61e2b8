// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Logger } from '#base/port/logger'
import { DiskAlarm } from '../../../../src/broker/network/disk-alarm.ts'
import { HandClock } from '../hand-clock.ts'

const SILENT: Logger = { log: () => undefined, scope: () => SILENT }

class Stage {
  readonly clock = new HandClock()
  free: number | Error = 1000
  readonly alarm = new DiskAlarm(this.clock, { free: async () => this.#measure() }, SILENT, 100)

  async freeIs(free: number | Error): Promise<void> {
    this.free = free
    this.clock.pass(1000)
    await nextTurn()
  }

  #measure(): number {
    if (typeof this.free === 'number') return this.free
    throw this.free
  }
}

test('it is raised below the minimum, ends a tenth above it, and tells those who wait once', async () => {
  const stage = new Stage()
  await stage.alarm.start()
  let resumed = 0
  const publisher = { resumeReading: () => resumed++ }
  const gone = { resumeReading: () => assert.fail('it has left') }
  await stage.freeIs(100)
  assert.equal(stage.alarm.raised, false)
  await stage.freeIs(99)
  assert.equal(stage.alarm.raised, true)
  stage.alarm.wait(publisher)
  stage.alarm.wait(gone)
  stage.alarm.forget(gone)
  await stage.freeIs(109)
  assert.deepEqual([stage.alarm.raised, resumed], [true, 0])
  await stage.freeIs(110)
  await stage.freeIs(1000)
  assert.deepEqual([stage.alarm.raised, resumed], [false, 1])
})

test('a disk that cannot be measured changes nothing, and is measured again', async () => {
  const stage = new Stage()
  await stage.alarm.start()
  await stage.freeIs(10)
  await stage.freeIs(new PlatformError(ERROR_CODES.diskFailed, 'statfs failed'))
  assert.equal(stage.alarm.raised, true)
  await stage.freeIs(500)
  assert.equal(stage.alarm.raised, false)
})

test('it ends when it is turned off, and nothing is left running when it stops', async () => {
  const stage = new Stage()
  await stage.alarm.start()
  await stage.freeIs(10)
  stage.alarm.freeMinBytes = 0
  await stage.freeIs(10)
  assert.equal(stage.alarm.raised, false)
  stage.alarm.stop()
  assert.equal(stage.clock.timerCount, 0)
})
