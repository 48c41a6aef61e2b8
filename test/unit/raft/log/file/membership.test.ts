// SPDX-License-Identifier: Apache-2.0
// What the log keeps of who belongs to a group: the configuration at its start, and the changes after it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FileLogStore } from '#raft'
import type { ConfState } from '../../../../../src/raft/core/message.ts'
import { SimDisk } from '../../../../sim/disk.ts'
import { entry } from '../log-model.ts'
import { ManualClock } from '../manual-clock.ts'

const SYNC = { sync: true }
const JOINT: ConfState = { voters: [1, 2, 4], learners: [6], outgoing: [1, 2, 3], learnersNext: [3] }

const newStore = (disk: SimDisk): FileLogStore => new FileLogStore(disk, new ManualClock(), { directory: 'wal', segmentBytes: 200 })

test('the changes of the membership in the log are told when it is opened, those that were replaced or dropped are not', async () => {
  const disk = new SimDisk()
  const store = newStore(disk)
  await store.open()
  const change = (index: number, term: number) => entry(index, term, `change ${index} of term ${term}`, 'conf')
  await store.write([{ group: 1, entries: [change(1, 1), entry(2, 1), change(3, 1), change(4, 1), entry(5, 1)] }], SYNC)
  await store.write([{ group: 1, entries: [entry(4, 2), change(5, 2), entry(6, 2), change(7, 2)] }], SYNC)
  await store.write([{ group: 1, entries: [], start: { index: 1, term: 1, conf: JOINT } }], SYNC)
  await store.close()
  const [recovered] = await newStore(disk).open()
  assert.deepEqual(recovered?.confEntries, [change(3, 1), change(5, 2), change(7, 2)])
})

test('a configuration in the middle of a change is the same after a restart (R36)', async () => {
  const disk = new SimDisk()
  const store = newStore(disk)
  await store.open()
  await store.write([{ group: 1, entries: [entry(1, 1)], start: { index: 0, term: 0, conf: JOINT } }], SYNC)
  await store.close()
  const [recovered] = await newStore(disk).open()
  assert.deepEqual(recovered?.start.conf, JOINT)
  assert.deepEqual(recovered?.confEntries, [])
})
