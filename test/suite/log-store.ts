// SPDX-License-Identifier: Apache-2.0
// What every implementation of the LogStore port must do. Run on memory, on the simulated disk and on the file system.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { AssertionError } from '#base/assert'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { GroupWrite, LogStore } from '#raft'
import { dumpStore, entries, entry, hardState, LogModel, start } from '../unit/raft/log/log-model.ts'

export interface LogStoreFixture {
  /** A store over what its predecessors left behind. Files, if there are any, take about 1000 bytes, so that every test rolls them. */
  create(): LogStore
  dispose(): Promise<void>
}

export interface LogStoreTraits {
  /** What was written is there after a restart. */
  readonly survives: boolean
}

const SYNC = { sync: true }

export function logStoreSuite(name: string, traits: LogStoreTraits, fixture: () => Promise<LogStoreFixture>): void {
  const story = (title: string, run: (create: () => LogStore) => Promise<void>): void => {
    it(title, async () => {
      const { create, dispose } = await fixture()
      try {
        await run(create)
      } finally {
        await dispose()
      }
    })
  }
  describe(`LogStore: ${name}`, () => {
    appending(story)
    reading(story)
    readingPieces(story)
    starting(story)
    freeing(story)
    dropping(story)
    if (traits.survives) {
      surviving(story)
      droppingForGood(story)
    } else
      story('nothing survives', async (create) => {
        const store = await opened(create)
        await store.write([{ group: 1, entries: entries(1, 3, 1) }], SYNC)
        await store.close()
        assert.deepEqual(await create().open(), [])
      })
  })
}

type Story = (title: string, run: (create: () => LogStore) => Promise<void>) => void

async function opened(create: () => LogStore): Promise<LogStore> {
  const store = create()
  await store.open()
  return store
}

function appending(story: Story): void {
  story('a new store holds no groups', async (create) => {
    const store = create()
    assert.deepEqual(await store.open(), [])
    assert.equal(store.term(1, 0), undefined)
    await store.close()
  })

  story('entries of all kinds and sizes come back as they were written', async (create) => {
    const store = await opened(create)
    const written = [
      entry(1, 1, '', 'empty'),
      entry(2, 1, 'x'),
      entry(3, 1, '', 'normal'),
      entry(4, 2, Buffer.alloc(5000, 7)),
      entry(5, 2, 'voters', 'conf'),
    ]
    await store.write([{ group: 7, entries: written }], SYNC)
    assert.deepEqual(await store.read(7, 1, 6, 1_000_000), written)
    await store.close()
  })

  story('writing entry i discards every stored entry at or above i (R4)', async (create) => {
    const store = await opened(create)
    await store.write([{ group: 1, entries: entries(1, 8, 1) }], SYNC)
    await store.write([{ group: 1, entries: entries(4, 5, 2) }], SYNC)
    assert.deepEqual(
      [3, 4, 5, 6].map((index) => store.term(1, index)),
      [1, 2, 2, undefined],
    )
    assert.deepEqual(await store.read(1, 1, 6, 1_000_000), [...entries(1, 3, 1), ...entries(4, 5, 2)])
    await assert.rejects(store.read(1, 6, 7, 100), outOfRange)
    await store.close()
  })

  story('a batch serves many groups, and each keeps its own log (M1)', async (create) => {
    const store = await opened(create)
    await store.write(
      [1, 2, 3].map((group) => ({ group, entries: entries(1, group, group) })),
      SYNC,
    )
    await store.write(
      [2, 3].map((group) => ({ group, entries: entries(group + 1, group + 1, 9) })),
      { sync: false },
    )
    assert.deepEqual(await store.read(1, 1, 2, 1_000_000), entries(1, 1, 1))
    assert.deepEqual(await store.read(2, 1, 4, 1_000_000), [...entries(1, 2, 2), entry(3, 9)])
    assert.equal(store.term(1, 2), undefined)
    await store.close()
  })

  story('entries that leave a gap are a bug of the caller', async (create) => {
    const store = await opened(create)
    await store.write([{ group: 1, entries: entries(1, 3, 1) }], SYNC)
    await assert.rejects(store.write([{ group: 1, entries: entries(5, 5, 1) }], SYNC), AssertionError)
  })
}

function reading(story: Story): void {
  story('a read returns at least one entry, then as many as fit into the bytes asked for', async (create) => {
    const store = await opened(create)
    const sized = [1, 2, 3, 4, 5].map((index) => entry(index, 1, Buffer.alloc(100, index)))
    await store.write([{ group: 1, entries: sized }], SYNC)
    assert.deepEqual(await store.read(1, 2, 6, 1), [sized[1]])
    assert.deepEqual(await store.read(1, 2, 6, 299), sized.slice(1, 3))
    assert.deepEqual(await store.read(1, 2, 6, 300), sized.slice(1, 4))
    assert.deepEqual(await store.read(1, 1, 3, 1_000_000), sized.slice(0, 2))
    await store.close()
  })

  story('a read spans everything that was written in between', async (create) => {
    const store = await opened(create)
    for (let index = 1; index <= 60; index++) {
      await store.write(
        [
          { group: 1, entries: [entry(index, 1)] },
          { group: 2, entries: [entry(index, 2, Buffer.alloc(50, index))] },
        ],
        { sync: index % 3 === 0 },
      )
    }
    assert.deepEqual(await store.read(1, 1, 61, 1_000_000), entries(1, 60, 1))
    await store.close()
  })

  story('a read outside of the log is out of range', async (create) => {
    const store = await opened(create)
    await store.write([{ group: 1, start: start(4, 2), entries: entries(5, 6, 2) }], SYNC)
    await assert.rejects(store.read(1, 4, 6, 100), outOfRange)
    await assert.rejects(store.read(1, 5, 8, 100), outOfRange)
    await assert.rejects(store.read(2, 1, 2, 100), outOfRange)
    await store.close()
  })
}

function readingPieces(story: Story): void {
  story('pieces are the bytes of their entries, wherever those are', async (create) => {
    const store = await opened(create)
    const sizes = [40, 90_000, 700, 300_000, 0, 64, 5000]
    const written = sizes.map((size, at) => Buffer.from(Array.from({ length: size }, (_, byte) => (byte * 7 + at) & 0xff)))
    for (const [at, data] of written.entries()) {
      const other = { group: 2, entries: [entry(at + 1, 1, Buffer.alloc(3000, 1))] }
      await store.write([{ group: 1, entries: [entry(at + 1, 1, data)] }, other], SYNC)
    }
    const pieces = [
      [1, 0, 40],
      [2, 10, 20],
      [2, 30, 0],
      [2, 80_000, 10_000],
      [4, 5, 1],
      [4, 299_999, 1],
      [5, 0, 0],
      [6, 63, 1],
      [7, 0, 5000],
    ].map(([index = 0, offset = 0, length = 0]) => ({ index, offset, length }))
    const expected = pieces.map(({ index, offset, length }) => (written[index - 1] as Buffer).subarray(offset, offset + length))
    assert.deepEqual(await store.readPieces(1, pieces), expected)
    assert.deepEqual(await store.readPieces(1, pieces.slice(-1)), expected.slice(-1))
    await store.close()
  })

  story('a piece of an entry that is not there is out of range, and one beyond the end of its entry is damage', async (create) => {
    const store = await opened(create)
    await store.write([{ group: 1, start: start(4, 2), entries: entries(5, 6, 2) }], SYNC)
    const piece = (index: number, length: number) => ({ index, offset: 1, length })
    const [first] = await store.read(1, 5, 6, 1)
    const length = (first?.data.length ?? 0) - 1
    assert.equal((await store.readPieces(1, [piece(5, length)])).length, 1)
    await assert.rejects(store.readPieces(1, [piece(4, 1), piece(5, 1)]), outOfRange)
    await assert.rejects(store.readPieces(1, [piece(5, 1), piece(7, 1)]), outOfRange)
    await assert.rejects(store.readPieces(2, [piece(5, 1)]), outOfRange)
    await assert.rejects(store.readPieces(1, [piece(5, length + 1)]), (error) => isPlatformError(error, ERROR_CODES.dataDamaged))
    await store.close()
  })
}

function starting(story: Story): void {
  story('a log can begin after a snapshot', async (create) => {
    const store = await opened(create)
    await store.write([{ group: 1, start: start(10, 3), entries: [] }], SYNC)
    assert.deepEqual(
      [9, 10, 11].map((index) => store.term(1, index)),
      [undefined, 3, undefined],
    )
    await store.write([{ group: 1, entries: entries(11, 12, 4) }], SYNC)
    assert.deepEqual(await store.read(1, 11, 13, 1_000_000), entries(11, 12, 4))
    await store.close()
  })

  story('compaction moves the start and keeps the entries after it (R42)', async (create) => {
    const store = await opened(create)
    await store.write([{ group: 1, entries: entries(1, 9, 1) }], SYNC)
    await store.write([{ group: 1, start: start(6, 1), entries: [] }], SYNC)
    assert.deepEqual(
      [5, 6, 7, 9, 10].map((index) => store.term(1, index)),
      [undefined, 1, 1, 1, undefined],
    )
    await assert.rejects(store.read(1, 6, 8, 100), outOfRange)
    assert.deepEqual(await store.read(1, 7, 10, 1_000_000), entries(7, 9, 1))
    await store.write([{ group: 1, start: start(9, 1), entries: entries(10, 11, 2) }], SYNC)
    assert.deepEqual(await store.read(1, 10, 12, 1_000_000), entries(10, 11, 2))
    await store.close()
  })

  story('a start of another term, or beyond the end, replaces the log (R41)', async (create) => {
    const store = await opened(create)
    await store.write(
      [
        { group: 1, entries: entries(1, 9, 1) },
        { group: 2, entries: entries(1, 3, 1) },
      ],
      SYNC,
    )
    await store.write(
      [
        { group: 1, start: start(6, 2), entries: [] },
        { group: 2, start: start(20, 5), entries: entries(21, 22, 5) },
      ],
      SYNC,
    )
    assert.deepEqual(
      [6, 7].map((index) => store.term(1, index)),
      [2, undefined],
    )
    assert.deepEqual(
      [3, 20, 22].map((index) => store.term(2, index)),
      [undefined, 5, 5],
    )
    await store.write([{ group: 1, entries: entries(7, 7, 3) }], SYNC)
    assert.deepEqual(await store.read(1, 7, 8, 1_000_000), entries(7, 7, 3))
    await store.close()
  })

  story('the start of a log never goes back', async (create) => {
    const store = await opened(create)
    await store.write([{ group: 1, start: start(6, 1), entries: [] }], SYNC)
    await assert.rejects(store.write([{ group: 1, start: start(5, 1), entries: [] }], SYNC), AssertionError)
  })
}

function freeing(story: Story): void {
  story('compacting the holders to where they are asked to frees bytes', async (create) => {
    const store = await opened(create)
    await store.write([{ group: 9, hardState: hardState(4, 2, 0), start: start(0, 0), entries: [] }], SYNC)
    for (let index = 1; index <= 40; index++) {
      const batch = [1, 2].map((group) => ({ group, entries: [entry(index, 1, Buffer.alloc(60, group))] }))
      await store.write(batch, SYNC)
    }
    const before = store.pressure()
    assert.ok(before.bytes >= 80 * 60)
    assert.deepEqual(
      before.holders.map(({ group }) => group),
      [1, 2],
    )
    const starts = new Map([1, 2].map((group) => [group, 0]))
    for (let rounds = 0; rounds < 100 && store.pressure().holders.length > 0; rounds++) {
      const batch = store.pressure().holders.map(({ group, compactTo }) => ({ group, start: start(compactTo, 1), entries: [] }))
      for (const { group, start } of batch) starts.set(group, start.index)
      await store.write(batch, SYNC)
      await store.reclaim()
    }
    assert.deepEqual(store.pressure().holders, [])
    assert.ok(store.pressure().bytes < before.bytes / 2, `${store.pressure().bytes} of ${before.bytes} bytes are left`)
    for (const [group, from] of starts) {
      const expected = Array.from({ length: 40 - from }, (_, at) => entry(from + 1 + at, 1, Buffer.alloc(60, group)))
      if (from < 40) assert.deepEqual(await store.read(group, from + 1, 41, 1_000_000), expected)
    }
    await store.close()
  })

  story('nothing is freed that a group still needs', async (create) => {
    const store = await opened(create)
    await store.write([{ group: 1, entries: entries(1, 2, 1) }], SYNC)
    for (let index = 1; index <= 40; index++) await store.write([{ group: 2, entries: [entry(index, 1)] }], SYNC)
    await store.write([{ group: 2, start: start(39, 1), entries: [] }], SYNC)
    await store.reclaim()
    assert.deepEqual(await store.read(1, 1, 3, 1000), entries(1, 2, 1))
    assert.deepEqual(await store.read(2, 40, 41, 1000), entries(40, 40, 1))
    const holder = store.pressure().holders.find(({ group }) => group === 1)
    assert.equal(holder?.compactTo, 2)
    await store.close()
  })
}

function dropping(story: Story): void {
  story('R50: a group that is dropped is gone, keeps nothing from being freed, and leaves the others alone', async (create) => {
    const store = await opened(create)
    for (let index = 1; index <= 20; index++)
      await store.write(
        [1, 2].map((group) => ({ group, entries: [entry(index, 1, Buffer.alloc(60, group))] })),
        SYNC,
      )
    await store.write(
      [
        { group: 1, entries: [], dropped: true },
        { group: 2, entries: entries(21, 21, 1) },
      ],
      SYNC,
    )
    assert.equal(store.term(1, 20), undefined)
    await assert.rejects(store.read(1, 1, 2, 100), outOfRange)
    assert.equal(
      store.pressure().holders.some(({ group }) => group === 1),
      false,
    )
    assert.deepEqual(await store.read(2, 20, 22, 1000), [entry(20, 1, Buffer.alloc(60, 2)), entry(21, 1)])
    await store.close()
  })
}

function surviving(story: Story): void {
  story('everything is there after a restart, through rolls, truncations and compactions', async (create) => {
    const model = new LogModel()
    let store = await opened(create)
    for (let round = 1; round <= 30; round++) {
      const batch = [
        { group: 1, entries: entries(round * 2 - 1, round * 2, round), hardState: hardState(round, 1, round) },
        {
          group: 2,
          entries: entries(Math.max(1, round - 3), round, round),
          ...(round === 20 ? { start: start(15, 18, [4, 5], [6]) } : {}),
        },
        { group: 3, entries: [], hardState: hardState(round, 2 ** 40, 0) },
      ]
      model.write(batch)
      await store.write(batch, { sync: round % 2 === 0 })
      if (round % 10 === 0) {
        await store.close()
        store = create()
        assert.equal(await dumpStore(store, await store.open()), model.dump())
      }
    }
    await store.close()
  })

  story('state that was written once survives the freeing of the file it was written to', async (create) => {
    let store = await opened(create)
    const kept = [{ group: 5, entries: [], hardState: hardState(8, 3, 2), start: start(2, 7, [1, 2], [3]) }]
    const model = new LogModel()
    model.write(kept)
    await store.write(kept, SYNC)
    for (let index = 1; index <= 60; index++) {
      const batch = [{ group: 6, entries: [entry(index, 1)] }]
      model.write(batch)
      await store.write(batch, SYNC)
    }
    const compaction = [{ group: 6, entries: [], start: start(59, 1) }]
    model.write(compaction)
    await store.write(compaction, SYNC)
    const before = store.pressure().bytes
    await store.reclaim()
    assert.ok(store.pressure().bytes < before)
    await store.close()
    store = create()
    assert.equal(await dumpStore(store, await store.open()), model.dump())
    await store.close()
  })
}

function droppingForGood(story: Story): void {
  story('R50: a group that was dropped does not come back with a restart', async (create) => {
    let store = await opened(create)
    const model = new LogModel()
    const write = async (...batch: readonly GroupWrite[]): Promise<void> => {
      model.write(batch)
      await store.write(batch, SYNC)
    }
    for (let index = 1; index <= 20; index++) {
      const writes = [1, 2].map((group) => ({ group, entries: [entry(index, 1, Buffer.alloc(60, group))] }))
      await write(...writes)
      if (index === 12) await write({ group: 3, entries: entries(1, 3, 1) }, { group: 4, entries: [], hardState: hardState(7, 1, 0) })
    }
    await write({ group: 3, entries: [], dropped: true })
    for (let index = 21; index <= 30; index++) await write({ group: 2, entries: [entry(index, 1, Buffer.alloc(60, 2))] })
    await write({ group: 1, entries: [], dropped: true }, { group: 4, entries: [], dropped: true })
    for (let life = 0; life < 2; life++) {
      await store.close()
      store = create()
      assert.equal(await dumpStore(store, await store.open()), model.dump())
    }
    await store.close()
  })
}

const outOfRange = (error: unknown): boolean => isPlatformError(error, ERROR_CODES.offsetOutOfRange)
