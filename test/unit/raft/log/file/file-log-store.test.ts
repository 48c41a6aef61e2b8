// SPDX-License-Identifier: Apache-2.0
// The file log store is a log store, on a simulated disk and on a real one.
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { FileLogStore } from '#raft'
import { NodeClock, NodeDisk } from '#runtime'
import { SimDisk } from '../../../../sim/disk.ts'
import { logStoreSuite } from '../../../../suite/log-store.ts'
import { entry } from '../log-model.ts'
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

test('pressure and usage count every byte of the files and of their indexes', async () => {
  const disk = new SimDisk()
  const store = new FileLogStore(disk, new ManualClock(), { directory: 'wal', segmentBytes: 900, freeBytesMin: 0 })
  await store.open()
  for (let index = 1; index <= 20; index++) await store.write([{ group: 1, entries: [entry(index, 1, Buffer.alloc(150))] }], { sync: true })
  const files = disk.paths().filter((path) => /\.(log|index)$/.test(path))
  const bytes = files.reduce((sum, path) => sum + disk.bytes(path).length, 0)
  for (let read = 0; read < 2; read++) await store.read(1, 1, 2, 1000)
  const usage = store.usage()
  assert.equal(store.pressure().bytes, bytes)
  assert.deepEqual(
    { ...usage, memoryBytes: 0 },
    { files: files.filter((path) => path.endsWith('.log')).length, bytes, memoryBytes: 0, pageHits: 1, pageMisses: 1 },
  )
  assert.ok(usage.memoryBytes > 0)
  await store.close()
})
