// SPDX-License-Identifier: Apache-2.0
// The simulated disk is a disk, and fails as RELIABILITY T18 says.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { SimDisk } from '../../sim/disk.ts'
import { SECTOR_BYTES } from '../../sim/disk-inode.ts'
import { SimRandom } from '../../sim/random.ts'
import { diskSuite } from '../../suite/disk.ts'

const SEED = 99

diskSuite('simulated', async () => ({ disk: new SimDisk(), dispose: async () => {} }))

const sectors = (count: number, byte: number): Buffer => Buffer.alloc(count * SECTOR_BYTES, byte)

/** A disk with one durable file of `old`, on which `fresh` was written without a sync. */
async function written(old: Buffer, offset: number, fresh: Buffer): Promise<SimDisk> {
  const disk = new SimDisk()
  const file = await disk.open('file', 'create')
  await file.write(0, [old])
  await file.sync()
  await disk.syncDirectory('')
  await file.write(offset, [fresh])
  return disk
}

/** What `view` sees after each of many power losses. */
function outcomes(disk: SimDisk, view: (after: SimDisk) => string, rounds = 300): Set<string> {
  const random = new SimRandom(SEED)
  const seen = new Set<string>()
  for (let round = 0; round < rounds; round++) seen.add(view(disk.clone().crash(random)))
  return seen
}

describe(`a power loss (seed ${SEED})`, () => {
  it('keeps what was synced, and nothing else if it chooses so', async () => {
    const disk = await written(sectors(2, 1), SECTOR_BYTES, sectors(2, 2))
    const random = new SimRandom(SEED)
    assert.deepEqual(disk.bytes('file'), Buffer.concat([sectors(1, 1), sectors(2, 2)]))
    assert.deepEqual(disk.clone().crash(random, 'none').bytes('file'), sectors(2, 1))
    assert.deepEqual(disk.clone().crash(random, 'all').bytes('file'), disk.bytes('file'))
  })

  it('keeps, loses or tears each sector by itself', async () => {
    const disk = await written(sectors(2, 1), 0, sectors(2, 2))
    const state = (sector: Buffer): string =>
      sector.every((byte) => byte === 1) ? 'old' : sector.every((byte) => byte === 2) ? 'new' : 'torn'
    const seen = outcomes(disk, (after) => {
      const bytes = after.bytes('file')
      return `${state(bytes.subarray(0, SECTOR_BYTES))} ${state(bytes.subarray(SECTOR_BYTES))}`
    })
    assert.equal(seen.size, 9, `every combination of two sectors: ${[...seen]}`)
  })

  it('can grow a file without its data: the tail is zeros or garbage', async () => {
    const disk = await written(sectors(1, 1), SECTOR_BYTES, sectors(1, 2))
    const seen = outcomes(disk, (after) => {
      const bytes = after.bytes('file')
      assert.deepEqual(bytes.subarray(0, SECTOR_BYTES), sectors(1, 1), 'what was synced stays')
      const tail = bytes.subarray(SECTOR_BYTES)
      if (tail.length === 0) return 'not grown'
      if (tail.length < SECTOR_BYTES) return 'grown in part'
      if (tail.every((byte) => byte === 0)) return 'zeros'
      if (tail.every((byte) => byte === 2)) return 'data'
      return tail.some((byte) => byte !== 0 && byte !== 2) ? 'garbage' : 'torn'
    })
    assert.deepEqual([...seen].sort(), ['data', 'garbage', 'grown in part', 'not grown', 'torn', 'zeros'])
  })

  it('may or may not have shrunk a file whose truncation was not synced', async () => {
    const disk = await written(sectors(4, 1), 0, Buffer.alloc(0))
    await (await disk.open('file', 'open')).truncate(SECTOR_BYTES)
    const sizes = outcomes(disk, (after) => String(after.bytes('file').length))
    assert.ok(sizes.has(String(SECTOR_BYTES)) && sizes.has(String(4 * SECTOR_BYTES)))
  })

  it('forgets names until their directory is synced, and a rename happens whole or not', async () => {
    const disk = new SimDisk()
    await disk.makeDirectory('d')
    for (const name of ['d/kept', 'd/from', 'd/gone']) await (await disk.open(name, 'create')).close()
    await disk.syncDirectory('d')
    await (await disk.open('d/new', 'create')).close()
    await disk.rename('d/from', 'd/to')
    await disk.remove('d/gone')
    const random = new SimRandom(SEED)
    assert.deepEqual(disk.clone().crash(random, 'none').paths(), ['d/from', 'd/gone', 'd/kept'])
    assert.deepEqual(disk.clone().crash(random, 'all').paths(), ['d/kept', 'd/new', 'd/to'])
    const seen = outcomes(disk, (after) => after.paths().join(' '))
    assert.equal(seen.size, 8, 'each of three changes by itself')
    for (const paths of seen) assert.ok(paths.includes('d/from') !== paths.includes('d/to'))
    await disk.syncDirectory('d')
    assert.deepEqual(disk.crash(random, 'none').paths(), ['d/kept', 'd/new', 'd/to'])
  })

  it('is the same for the same random numbers', async () => {
    const disk = await written(sectors(9, 1), SECTOR_BYTES, sectors(40, 2))
    const once = disk.clone().crash(new SimRandom(SEED)).bytes('file')
    assert.deepEqual(disk.clone().crash(new SimRandom(SEED)).bytes('file'), once)
    assert.notDeepEqual(
      disk
        .clone()
        .crash(new SimRandom(SEED + 1))
        .bytes('file'),
      once,
    )
  })

  it('a sync covers what was written before it began, not what was written while it ran', async () => {
    const gate: { open: () => void; wait: Promise<void> | undefined } = { open: () => {}, wait: undefined }
    const disk = new SimDisk({ delay: (operation) => (operation === 'sync' ? gate.wait : undefined) })
    const file = await disk.open('file', 'create')
    await disk.syncDirectory('')
    await file.write(0, [Buffer.alloc(100, 1)])
    gate.wait = new Promise((resolve) => {
      gate.open = resolve
    })
    const syncing = file.sync()
    await file.write(100, [Buffer.alloc(100, 2)])
    gate.open()
    await syncing
    const after = disk.crash(new SimRandom(SEED), 'none').bytes('file')
    assert.deepEqual(after, Buffer.alloc(100, 1))
  })
})

describe('faults of the simulated disk', () => {
  it('the death of the process keeps the page cache, and its calls never settle', async () => {
    const disk = await written(sectors(1, 1), 0, sectors(1, 2))
    const file = await disk.open('file', 'open')
    const restarted = disk.kill()
    assert.deepEqual(restarted.bytes('file'), sectors(1, 2))
    let settled = false
    const late = (): void => {
      settled = true
    }
    file.write(0, [sectors(1, 3)]).then(late, late)
    disk.list('').then(late, late)
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(settled, false)
    assert.deepEqual(restarted.bytes('file'), sectors(1, 2))
  })

  it('a failed sync drops dirty pages that go on being read, and the next sync does not bring them back', async () => {
    const disk = await written(sectors(1, 1), 0, sectors(1, 2))
    const file = await disk.open('file', 'open')
    disk.fail('sync')
    await assert.rejects(file.sync(), (error: unknown) => isPlatformError(error, ERROR_CODES.diskFailed))
    await file.sync()
    assert.deepEqual(await file.read(0, SECTOR_BYTES), sectors(1, 2))
    const random = new SimRandom(SEED)
    assert.deepEqual(disk.clone().crash(random, 'all').bytes('file'), sectors(1, 1))
    await file.write(0, [sectors(1, 2)])
    await file.sync()
    assert.deepEqual(disk.crash(random, 'none').bytes('file'), sectors(1, 2), 'writing again makes it durable')
  })

  it('what was injected and has not struck is taken back; that something else has struck is not forgotten by that', async () => {
    const disk = new SimDisk()
    const file = await disk.open('file', 'create')
    disk.fail('sync')
    assert.equal(disk.heal(), true)
    await file.sync()
    disk.fail('sync')
    await assert.rejects(file.sync(), (error) => isPlatformError(error, ERROR_CODES.diskFailed))
    disk.fail('sync')
    assert.equal(disk.heal(), false)
  })

  it('a full disk takes the part that fits and says so', async () => {
    const disk = new SimDisk({ capacityBytes: 1000 })
    const file = await disk.open('file', 'create')
    await file.write(0, [Buffer.alloc(900, 1)])
    await assert.rejects(file.write(900, [Buffer.alloc(60, 2), Buffer.alloc(60, 3)]), (error: unknown) =>
      isPlatformError(error, ERROR_CODES.diskFull),
    )
    assert.equal(await file.size(), 1000)
    assert.equal(await disk.free(), 0)
    await file.write(0, [Buffer.alloc(500, 4)])
    await disk.remove('file')
    assert.equal(await disk.free(), 1000)
  })

  it('damage outlives a sync and a power loss', async () => {
    const disk = await written(sectors(1, 1), 0, Buffer.alloc(0))
    disk.damage('file', 3, 0x80)
    await (await disk.open('file', 'open')).sync()
    assert.equal(disk.crash(new SimRandom(SEED), 'none').bytes('file')[3], 0x81)
  })

  it('a clone lives by itself', async () => {
    const disk = await written(sectors(1, 1), 0, sectors(1, 2))
    const copy = disk.clone()
    await (await copy.open('file', 'open')).write(0, [sectors(1, 3)])
    await copy.remove('file')
    assert.deepEqual(disk.bytes('file'), sectors(1, 2))
  })
})
