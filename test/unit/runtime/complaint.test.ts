// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { performance } from 'node:perf_hooks'
import { it } from 'node:test'
import type { LogFields, Logger } from '#base/port/logger'
import { Complaint } from '../../../src/runtime/complaint.ts'

it('says one line in a period, and with the next how many were left out', (context) => {
  let nowMs = 5
  context.mock.method(performance, 'now', () => nowMs)
  const said: LogFields[] = []
  const logger: Logger = { log: (_level, _message, fields = {}) => said.push(fields), scope: () => logger }
  const complaint = new Complaint(logger, 'info', 'trouble', 1000)
  for (const at of [5, 6, 1004, 1005, 1006, 9000]) {
    nowMs = at
    complaint.say({ at })
  }
  assert.deepEqual(said, [
    { at: 5, unsaid: undefined },
    { at: 1005, unsaid: 2 },
    { at: 9000, unsaid: 1 },
  ])
})
