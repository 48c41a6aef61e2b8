// SPDX-License-Identifier: Apache-2.0
// Every byte of a small log is damaged, every file is cut at every length (RELIABILITY T20): the log refuses to open, or cuts what an interrupted
// write can have left. It never shows wrong data and never forgets a synced write that something on the disk vouches for.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { FileLogStore, type GroupWrite } from '#raft'
import { SimDisk } from '../../../../sim/disk.ts'
import { dumpStore, entries, entry, hardState, LogModel, start } from '../log-model.ts'
import { ManualClock } from '../manual-clock.ts'

const IDLE_MS = 10
const OPTIONS = { directory: 'wal', segmentBytes: 450, freeBytesMin: 0, idleMs: IDLE_MS }

const BATCHES: readonly (readonly GroupWrite[])[] = [
  [{ group: 1, entries: entries(1, 2, 1), hardState: hardState(1, 2, 0), start: start(0, 0) }],
  [{ group: 2, entries: [entry(1, 1, Buffer.alloc(150))] }],
  [{ group: 1, entries: entries(2, 3, 2), hardState: hardState(2, 0, 1) }],
  [{ group: 2, entries: [entry(2, 1, 'x'), entry(3, 1, '', 'empty')], start: start(1, 1) }],
  [{ group: 1, entries: [entry(4, 2, Buffer.alloc(40, 0xff))] }],
  [{ group: 3, entries: entries(1, 1, 1) }],
]

/** How the last process ended: which decides what vouches for the last frame. */
type Ending = 'killed' | 'marked' | 'closed'

interface Sample {
  readonly disk: SimDisk
  readonly files: readonly string[]
  /** Bytes of the last file after each write that went into it, and what the log held then; all writes of earlier files make the first. */
  readonly steps: readonly { readonly size: number; readonly dump: string }[]
  readonly full: string
}

async function sample(ending: Ending): Promise<Sample> {
  const disk = new SimDisk()
  const clock = new ManualClock()
  const store = new FileLogStore(disk, clock, OPTIONS)
  await store.open()
  const model = new LogModel()
  let steps: { size: number; dump: string }[] = []
  let last = ''
  for (const batch of BATCHES) {
    const before = model.dump()
    await store.write(batch, { sync: true })
    model.write(batch)
    const path = segments(disk).at(-1)!
    if (path !== last) steps = [{ size: 0, dump: before }]
    last = path
    steps.push({ size: disk.bytes(path).length, dump: model.dump() })
  }
  if (ending === 'marked') {
    clock.advance(IDLE_MS)
    await store.write([], { sync: true })
  }
  if (ending === 'closed') await store.close()
  assert.ok(segments(disk).length === 3 && steps.length > 2, 'the sample has files before the last, and frames before the last')
  return { disk: disk.kill(), files: segments(disk), steps, full: model.dump() }
}

const segments = (disk: SimDisk): readonly string[] => disk.paths().filter((path) => path.endsWith('.log'))
const indexes = (disk: SimDisk): readonly string[] => disk.paths().filter((path) => path.endsWith('.index'))

/** What the log shows, or 'refused' when it says that it is damaged. */
async function outcome(disk: SimDisk): Promise<string> {
  const store = new FileLogStore(disk, new ManualClock(), OPTIONS)
  try {
    return await dumpStore(store, await store.open())
  } catch (error) {
    if (!isPlatformError(error, ERROR_CODES.dataDamaged)) throw error
    return 'refused'
  }
}

type Judge = (outcome: string, where: string, last: boolean, offset: number, sample: Sample) => void

/** Without the indexes every byte of the log is read at a start. */
async function removeIndexes(disk: SimDisk): Promise<void> {
  for (const path of indexes(disk)) await disk.remove(path)
}

/** Damages each byte of each file with each mask in turn, in a log that has lost its indexes. */
async function sweep(ending: Ending, masks: (offset: number) => readonly number[], judge: Judge): Promise<void> {
  const logs = await sample(ending)
  await removeIndexes(logs.disk)
  let disk = logs.disk.clone()
  for (const path of logs.disk.paths()) {
    const { length } = logs.disk.bytes(path)
    for (let offset = 0; offset < length; offset++) {
      for (const mask of masks(offset)) {
        disk.damage(path, offset, mask)
        const result = await outcome(disk)
        judge(result, `${path} byte ${offset} mask ${mask}`, path === logs.files.at(-1), offset, logs)
        // A log that refuses to open has changed nothing, so that undoing the damage makes it whole again.
        if (result === 'refused') disk.damage(path, offset, mask)
        else disk = logs.disk.clone()
      }
    }
    assert.deepEqual(disk.paths(), logs.disk.paths())
    for (const file of disk.paths())
      assert.deepEqual(disk.bytes(file), logs.disk.bytes(file), `${file} was changed though the log refused to open`)
  }
}

const everyBit = (): readonly number[] => [1, 2, 4, 8, 16, 32, 64, 128]
const oneBit = (offset: number): readonly number[] => [1 << (offset % 8)]
const oneByte = (offset: number): readonly number[] => [[0xff, 0x81, 0x18][offset % 3]!]

describe('damage to the log', () => {
  it('one flipped bit anywhere is refused, also in the last frame, which nothing follows', async () => {
    await sweep('killed', everyBit, (outcome, where) => assert.equal(outcome, 'refused', where))
  })

  for (const ending of ['marked', 'closed'] as const) {
    it(`one flipped bit is refused when the log was ${ending}`, async () => {
      await sweep(ending, oneBit, (outcome, where) => assert.equal(outcome, 'refused', where))
    })
  }

  it('a damaged byte is refused when the log was closed', async () => {
    await sweep('closed', oneByte, (outcome, where) => assert.equal(outcome, 'refused', where))
  })

  it('a damaged byte is refused, or was in the mark, when the log was marked', async () => {
    await sweep('marked', oneByte, (outcome, where, last, offset, { full, steps }) => {
      if (last && offset >= steps.at(-1)!.size) assert.ok(outcome === 'refused' || outcome === full, where)
      else assert.equal(outcome, 'refused', where)
    })
  })

  it('a damaged byte costs at most the last frame when nothing vouches for it', async () => {
    await sweep('killed', oneByte, (outcome, where, last, offset, { steps }) => {
      const before = steps.at(-2)!
      if (last && offset >= before.size) assert.ok(outcome === 'refused' || outcome === before.dump, where)
      else assert.equal(outcome, 'refused', where)
    })
  })
})

describe('damage to a log with indexes', () => {
  it('L27: a flipped bit of an index costs nothing: the index is made again, the same to the last byte', async () => {
    const logs = await sample('killed')
    assert.equal(indexes(logs.disk).length, 2)
    for (const path of indexes(logs.disk)) {
      const { length } = logs.disk.bytes(path)
      for (let offset = 0; offset < length; offset++) {
        const disk = logs.disk.clone()
        disk.damage(path, offset, 1 << (offset % 8))
        assert.equal(await outcome(disk), logs.full, `${path} byte ${offset}`)
        assert.deepEqual(disk.bytes(path), logs.disk.bytes(path), `${path} byte ${offset}`)
      }
    }
  })

  it('T20: a flipped bit of a closed segment is never served, and the scrub finds it wherever it is', async () => {
    const logs = await sample('closed')
    for (const path of logs.files.slice(0, -1)) {
      const { length } = logs.disk.bytes(path)
      for (let offset = 0; offset < length; offset++) {
        const disk = logs.disk.clone()
        disk.damage(path, offset, 1 << (offset % 8))
        const { paths, dump } = await scrubbed(disk)
        assert.deepEqual(paths, [disk.fullPath(path)], `${path} byte ${offset}`)
        assert.ok(dump === 'refused' || dump === logs.full, `${path} byte ${offset}`)
      }
    }
  })

  it('L29: a scrub says which entries a damaged file has, and up to where it has read those of each group', async () => {
    const logs = await sample('closed')
    const store = new FileLogStore(logs.disk, new ManualClock(), OPTIONS)
    await store.open()
    const [first] = logs.files as [string]
    logs.disk.damage(first, logs.disk.bytes(first).length - 1, 1)
    let paced = 0
    const { damaged, verified } = await store.scrub(async (bytes) => {
      paced += bytes
    })
    assert.deepEqual(
      damaged.map(({ path, entries }) => ({ path, entries })),
      [{ path: logs.disk.fullPath(first), entries: [{ group: 1, from: 1, to: 2 }] }],
    )
    assert.deepEqual(verified, [
      { group: 1, before: 4 },
      { group: 2, before: 2 },
      { group: 3, before: 1 },
    ])
    assert.ok(paced > 0)
    await assert.rejects(
      store.scrub(() => Promise.reject(new Error('enough'))),
      /enough/,
    )
    await store.close()
  })

  it('L29: the scrub finds a bit that flips in an index while the log is open, and nothing in a log that is whole', async () => {
    const logs = await sample('closed')
    assert.deepEqual((await scrubbed(logs.disk.clone())).paths, [])
    const [index] = indexes(logs.disk) as [string]
    for (let offset = 0; offset < logs.disk.bytes(index).length; offset++) {
      const disk = logs.disk.clone()
      const { paths } = await scrubbed(disk, () => disk.damage(index, offset, 1 << (offset % 8)))
      assert.deepEqual(paths, [disk.fullPath(index)], `byte ${offset}`)
    }
  })
})

/** What a start refuses, or else a scrub reports, and what the log shows. */
async function scrubbed(disk: SimDisk, opened = (): void => {}): Promise<{ paths: readonly unknown[]; dump: string }> {
  const store = new FileLogStore(disk, new ManualClock(), OPTIONS)
  let paths: readonly unknown[] = []
  try {
    const recovered = await store.open()
    opened()
    paths = (await store.scrub(async () => {})).damaged.map(({ path }) => path)
    return { paths, dump: await dumpStore(store, recovered) }
  } catch (error) {
    if (!isPlatformError(error, ERROR_CODES.dataDamaged)) throw error
    return { paths: paths.length > 0 ? paths : [error.detail['path']], dump: 'refused' }
  }
}

describe('a log that was cut', () => {
  for (const ending of ['killed', 'marked', 'closed'] as const) {
    it(`is refused but for a torn tail (log ${ending})`, async () => {
      const logs = await sample(ending)
      for (const path of logs.files) {
        const { length } = logs.disk.bytes(path)
        for (let size = 0; size < length; size++) {
          const disk = logs.disk.clone()
          disk.resize(path, size)
          const whole = logs.steps.filter((step) => step.size <= size).at(-1)!.dump
          const expected = path === logs.files.at(-1) && ending !== 'closed' ? whole : 'refused'
          assert.equal(await outcome(disk), expected, `${path} cut to ${size} bytes`)
        }
      }
    })

    it(`is refused when a file is missing, unless it is the last and nothing vouches for it (log ${ending})`, async () => {
      const logs = await sample(ending)
      for (const path of logs.files) {
        const disk = logs.disk.clone()
        await disk.remove(path)
        const expected = path === logs.files.at(-1) && ending !== 'closed' ? logs.steps[0]!.dump : 'refused'
        assert.equal(await outcome(disk), expected, `${path} removed`)
      }
    })

    it(`is refused when zeros or noise follow a clean end, and cut otherwise (log ${ending})`, async () => {
      const logs = await sample(ending)
      for (const byte of [0, 0x52, 0xff]) {
        const disk = logs.disk.clone()
        const file = await disk.open(logs.files.at(-1)!, 'open')
        await file.write(await file.size(), [Buffer.alloc(700, byte)])
        assert.equal(await outcome(disk), ending === 'closed' ? 'refused' : logs.full, `a tail of ${byte}`)
      }
    })
  }

  it('is refused when a file is in the place of another', async () => {
    const logs = await sample('marked')
    const [first, second, third] = logs.files as [string, string, string]
    for (const [from, to] of [
      [first, second],
      [second, third],
      [third, first],
    ] as const) {
      const disk = logs.disk.clone()
      const file = await disk.open(to, 'open')
      const bytes = disk.bytes(from)
      await file.truncate(bytes.length)
      await file.write(0, [bytes])
      assert.equal(await outcome(disk), 'refused', `${from} copied over ${to}`)
    }
  })

  it('is refused when a frame, or a file, is of another log of the same shape', async () => {
    const logs = await sample('killed')
    const other = new SimDisk()
    const store = new FileLogStore(other, new ManualClock(), OPTIONS)
    await store.open()
    for (const [at, batch] of BATCHES.entries())
      await store.write(at === 0 ? [{ ...batch[0]!, hardState: hardState(1, 1, 0) }] : batch, { sync: true })
    const last = logs.files.at(-1)!
    const bytes = other.bytes(last)
    assert.equal(bytes.length, logs.disk.bytes(last).length, 'the logs differ in what they say, not in where')
    for (const from of [0, logs.steps.at(-2)!.size]) {
      const disk = logs.disk.clone()
      await (await disk.open(last, 'open')).write(from, [bytes.subarray(from)])
      assert.equal(await outcome(disk), 'refused', `bytes from ${from} on`)
    }
  })
})
