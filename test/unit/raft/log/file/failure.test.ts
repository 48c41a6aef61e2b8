// SPDX-License-Identifier: Apache-2.0
// What the file log store does when the disk fails it, and what it leaves for the next start.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isPlatformError } from '#base/error'
import { ERROR_CODES, type ErrorCode } from '#base/error-code'
import { type FileLogOptions, FileLogStore, type LogStore } from '#raft'
import { type DiskOperation, SimDisk } from '../../../../sim/disk.ts'
import { SimRandom } from '../../../../sim/random.ts'
import { dumpStore, entries, entry, LogModel, start } from '../log-model.ts'
import { ManualClock } from '../manual-clock.ts'

const OPTIONS: FileLogOptions = { directory: 'wal', segmentBytes: 2000, idleMs: 10, freeBytesMin: 0 }
const SYNC = { sync: true }

const batchOf = (index: number, bytes = 100) => [{ group: 1, entries: [entry(index, 1, Buffer.alloc(bytes, index))] }]

async function opened(disk: SimDisk, options = OPTIONS, clock = new ManualClock()): Promise<LogStore> {
  const store = new FileLogStore(disk, clock, options)
  await store.open()
  return store
}

async function dump(disk: SimDisk): Promise<string> {
  const store = new FileLogStore(disk, new ManualClock(), OPTIONS)
  return dumpStore(store, await store.open())
}

function modelOf(lastIndex: number): string {
  const model = new LogModel()
  for (let index = 1; index <= lastIndex; index++) model.write(batchOf(index))
  return model.dump()
}

const failsWith = (code: ErrorCode) => (error: unknown) => isPlatformError(error, code)

describe('a log whose disk fails', () => {
  for (const operation of ['write', 'sync'] as const) {
    it(`accepts nothing after a failed ${operation} (R48)`, async () => {
      const disk = new SimDisk()
      const store = await opened(disk)
      await store.write(batchOf(1), SYNC)
      disk.fail(operation)
      await assert.rejects(store.write(batchOf(2), SYNC), failsWith(ERROR_CODES.diskFailed))
      await assert.rejects(store.write(batchOf(2), SYNC), /failed earlier/)
      await assert.rejects(store.write([], SYNC), /failed earlier/)
      await assert.rejects(store.read(1, 1, 2, 100), /failed earlier/)
      await assert.rejects(store.reclaim(), /failed earlier/)
      await assert.rejects(store.close(), /failed earlier/)
      assert.equal(store.term(1, 2), undefined, 'what failed is not shown')
    })
  }

  it('a mark that fails makes the next write fail, which ends the process', async () => {
    const disk = new SimDisk()
    const clock = new ManualClock()
    const store = await opened(disk, OPTIONS, clock)
    await store.write(batchOf(1), SYNC)
    disk.fail('sync')
    clock.advance(10)
    await assert.rejects(store.write(batchOf(2), SYNC), /failed earlier/)
  })

  it('a restart makes durable what the page cache still showed after a failed sync (R48)', async () => {
    const disk = new SimDisk()
    const store = await opened(disk)
    await store.write(batchOf(1), SYNC)
    await store.write(batchOf(2, 700), { sync: false })
    disk.fail('sync')
    await assert.rejects(store.write(batchOf(3, 700), SYNC))
    const restarted = disk.kill()
    const shown = await dump(restarted)
    assert.match(shown, /; 3@1 normal/, 'the cache shows the writes that were never synced')
    const random = new SimRandom(1)
    assert.equal(await dump(restarted.crash(random, 'none')), shown, 'what a recovery showed survives the power')
  })

  it('bytes that rot while the node runs are found when they are read (E6)', async () => {
    const disk = new SimDisk()
    const store = await opened(disk)
    await store.write(batchOf(1), SYNC)
    await store.write(batchOf(2), SYNC)
    const path = 'wal/00000000000000000000.log'
    disk.damage(path, disk.bytes(path).length - 1, 4)
    assert.equal((await store.read(1, 1, 2, 1000)).length, 1)
    await assert.rejects(store.read(1, 1, 3, 1000), failsWith(ERROR_CODES.dataDamaged))
  })
})

describe('a log whose disk is full', () => {
  it('half a frame is cut at the next start, which needs no room (R49)', async () => {
    const disk = new SimDisk()
    const store = await opened(disk)
    await store.write(batchOf(1), SYNC)
    disk.setCapacity(disk.bytes('wal/00000000000000000000.log').length + 150)
    await assert.rejects(store.write(batchOf(2, 400), SYNC), failsWith(ERROR_CODES.diskFull))
    await assert.rejects(store.write(batchOf(2), SYNC), failsWith(ERROR_CODES.diskFull))
    const restarted = disk.kill()
    assert.equal(await dump(restarted), modelOf(1))
    restarted.setCapacity(1_000_000)
    const again = await opened(restarted.kill({ capacityBytes: 1_000_000 }))
    await again.write(batchOf(2), SYNC)
    await again.close()
  })

  it('R45: a frame whose last sector is missing is torn, also when nothing but one bit was in there', async () => {
    const disk = new SimDisk()
    const store = await opened(disk)
    const path = disk.paths()[0] as string
    const opening = disk.bytes(path).length
    await store.write(batchOf(1), SYNC)
    const { length } = disk.bytes(path)
    const data = Buffer.alloc(1032 - length - (length - opening - 100))
    data[data.length - 1] = 1
    await store.write([{ group: 1, entries: [entry(2, 1, data)] }], SYNC)
    assert.equal(disk.bytes(path).length, 1032)
    const next = disk.kill()
    next.damage(path, 1031, 1)
    assert.equal(await dump(next), modelOf(1))
  })

  it('R45: the same holds when the last sector begins in the table of records', async () => {
    const disk = new SimDisk()
    const store = await opened(disk)
    const path = disk.paths()[0] as string
    const frameBytes = 76
    const first = batchOf(1, 960 - frameBytes - disk.bytes(path).length)
    await store.write(first, SYNC)
    await store.write(batchOf(2, 0), SYNC)
    const bytes = disk.bytes(path)
    assert.equal(bytes.length, 960 + frameBytes)
    const lost = [...bytes.subarray(1024)].flatMap((byte, at) => (byte === 0 ? [] : [[1024 + at, byte]]))
    assert.deepEqual(lost, [[1027, 2]], 'the last byte of the index is all there is of that sector')
    const next = disk.kill()
    next.damage(path, 1027, 2)
    const model = new LogModel()
    model.write(first)
    assert.equal(await dump(next), model.dump())
  })

  it('no file is begun that may not be finished: nothing is half-written', async () => {
    const disk = new SimDisk({ capacityBytes: 10_000 })
    const options = { ...OPTIONS, freeBytesMin: 8500 }
    const store = await opened(disk, options)
    await store.write(batchOf(1, 1700), SYNC)
    const before = disk.paths().map((path) => [path, disk.bytes(path)])
    await assert.rejects(store.write(batchOf(2, 1700), SYNC), failsWith(ERROR_CODES.diskFull))
    assert.deepEqual(
      disk.paths().map((path) => [path, disk.bytes(path)]),
      before,
    )
    const again = await opened(disk.kill({ capacityBytes: 100_000 }), options)
    await again.write(batchOf(2, 1700), SYNC)
    assert.equal((await again.read(1, 1, 3, 10_000)).length, 2)
    await again.close()
  })
})

describe('what a write costs and leaves', () => {
  it('a batch of many groups is one write and one sync (D7)', async () => {
    const operations: DiskOperation[] = []
    const disk = new SimDisk({
      delay: (operation) => {
        operations.push(operation)
        return undefined
      },
    })
    const store = await opened(disk, { ...OPTIONS, segmentBytes: 100_000 })
    operations.length = 0
    await store.write(
      [1, 2, 3, 4, 5].map((group) => ({ group, entries: entries(1, 20, 1) })),
      SYNC,
    )
    assert.deepEqual(operations, ['write', 'sync'])
    await store.write([{ group: 1, entries: entries(21, 21, 1) }], { sync: false })
    assert.deepEqual(operations, ['write', 'sync', 'write'])
    await store.write([], SYNC)
    assert.deepEqual(operations, ['write', 'sync', 'write', 'sync'])
    await store.write([], SYNC)
    assert.equal(operations.length, 4, 'nothing is synced twice')
  })

  it('after a quiet time, and not before, a mark vouches for what was written', async () => {
    const disk = new SimDisk()
    const clock = new ManualClock()
    const store = await opened(disk, OPTIONS, clock)
    const path = 'wal/00000000000000000000.log'
    const settle = () => store.write([], SYNC)
    await store.write(batchOf(1), SYNC)
    clock.advance(6)
    await store.write(batchOf(2), SYNC)
    const written = disk.bytes(path).length
    clock.advance(6)
    await settle()
    assert.equal(disk.bytes(path).length, written, 'six quiet milliseconds are not ten')
    clock.advance(10)
    await settle()
    const marked = disk.bytes(path).length
    assert.ok(marked > written && marked < written + 100, 'a mark is small')
    clock.advance(1000)
    await settle()
    assert.equal(disk.bytes(path).length, marked, 'silence is marked once')
  })

  it('an unsynced write that is lost under a later one is no damage: neither was promised', async () => {
    const disk = new SimDisk()
    const store = await opened(disk, { ...OPTIONS, segmentBytes: 100_000 })
    await store.write(batchOf(1), SYNC)
    const path = 'wal/00000000000000000000.log'
    const synced = disk.bytes(path).length
    await store.write(batchOf(2), { sync: false })
    await store.write(batchOf(3), { sync: false })
    const restarted = disk.kill()
    for (let offset = synced; offset < synced + 40; offset++) restarted.damage(path, offset, 0x5a)
    assert.equal(await dump(restarted), modelOf(1))
    // Of the same length as the lost one: what was behind it must not join on to it.
    const again = await opened(restarted)
    await again.write(batchOf(2), SYNC)
    assert.equal(await dump(restarted.kill()), modelOf(2))
  })

  it('the clean end goes, durably, before the first write after it', async () => {
    const disk = new SimDisk()
    const store = await opened(disk)
    await store.write(batchOf(1), SYNC)
    await store.close()
    assert.equal(await disk.exists('wal/clean'), true)
    const again = await opened(disk)
    assert.equal(await disk.exists('wal/clean'), true, 'opening alone does not remove it')
    await again.write(batchOf(2), SYNC)
    const after = disk.clone().crash(new SimRandom(1), 'none')
    assert.equal(await after.exists('wal/clean'), false)
    assert.equal(await dump(after), modelOf(2))
  })

  it('a log of a later format is not touched', async () => {
    const disk = new SimDisk()
    await (await opened(disk)).close()
    const file = await disk.open('wal/00000000000000000000.log', 'open')
    const { crc32c } = await import('#base/crc32c')
    const header = await file.read(0, 24)
    header.writeUInt32BE(2, 4)
    header.writeUInt32BE(crc32c(header, 0, 0, 20), 20)
    await file.write(0, [header])
    await assert.rejects(opened(disk), failsWith(ERROR_CODES.dataVersion))
  })
})

describe('files', () => {
  it('a batch larger than a file has a file to itself, and leaves no empty one', async () => {
    const disk = new SimDisk()
    const store = await opened(disk)
    for (const [at, bytes] of [100, 5000, 5000, 100, 100].entries()) await store.write(batchOf(at + 1, bytes), SYNC)
    const logs = disk.paths().filter((path) => path.endsWith('.log'))
    assert.deepEqual(
      logs.map((path) => Math.floor(disk.bytes(path).length / 1000)),
      [0, 5, 5, 0],
    )
    assert.equal((await store.read(1, 1, 6, 100_000)).length, 5)
    await store.close()
  })
})

describe('freed files', () => {
  it('a read that began before its file was freed still gets its entries', async () => {
    const gate: { open: () => void; wait: Promise<void> | undefined } = { open: () => {}, wait: undefined }
    const disk = new SimDisk({ delay: (operation) => (operation === 'read' ? gate.wait : undefined) })
    const store = await opened(disk)
    for (let index = 1; index <= 40; index++) await store.write(batchOf(index), SYNC)
    gate.wait = new Promise((resolve) => {
      gate.open = resolve
    })
    const reading = store.read(1, 1, 41, 1_000_000)
    await store.write([{ group: 1, entries: [], start: start(40, 1) }], SYNC)
    await store.reclaim()
    assert.equal(disk.paths().filter((path) => path.endsWith('.log')).length, 1, 'all but the active file are gone')
    gate.open()
    assert.deepEqual(
      (await reading).map(({ index }) => index),
      Array.from({ length: 40 }, (_, at) => at + 1),
    )
    await store.close()
  })

  it('remains of files that were being freed do not matter, whichever they are', async () => {
    const disk = new SimDisk()
    const store = await opened(disk)
    for (let index = 1; index <= 40; index++) await store.write(batchOf(index), SYNC)
    const full = disk.clone()
    await store.write([{ group: 1, entries: [], start: start(30, 1) }], SYNC)
    await store.reclaim()
    const left = disk.paths()
    const freed = full.paths().filter((path) => !left.includes(path))
    assert.ok(freed.length >= 2)
    const expected = await dump(disk.clone())
    for (const remains of freed) {
      const restarted = disk.clone().kill()
      const file = await restarted.open(remains, 'create')
      await file.write(0, [full.bytes(remains)])
      assert.equal(await dump(restarted), expected)
      assert.equal(await restarted.exists(remains), false, 'they are removed')
    }
  })
})
