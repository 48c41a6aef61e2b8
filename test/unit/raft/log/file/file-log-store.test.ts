// SPDX-License-Identifier: Apache-2.0
// The file log store is a log store, on a simulated disk and on a real one.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FileLogStore } from '#raft'
import { NodeClock, NodeDisk } from '#runtime'
import { SimDisk } from '../../../../sim/disk.ts'
import { logStoreSuite } from '../../../../suite/log-store.ts'
import { ManualClock } from '../manual-clock.ts'

const OPTIONS = { directory: 'wal', segmentBytes: 1000 }

logStoreSuite('files on the simulated disk', { survives: true }, async () => {
  const disk = new SimDisk()
  return { create: () => new FileLogStore(disk, new ManualClock(), OPTIONS), dispose: async () => {} }
})

logStoreSuite('files on the file system', { survives: true }, async () => {
  const parent = await mkdtemp(join(tmpdir(), 'robustmq-log-'))
  const disk = await NodeDisk.open(join(parent, 'data'))
  return { create: () => new FileLogStore(disk, new NodeClock(), OPTIONS), dispose: () => rm(parent, { recursive: true }) }
})
