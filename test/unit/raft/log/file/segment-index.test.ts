// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FileLogStore } from '#raft'
import { SimDisk } from '../../../../sim/disk.ts'
import { entry } from '../log-model.ts'
import { ManualClock } from '../manual-clock.ts'

const ENTRIES = 60_000
const OPTIONS = { directory: 'wal', segmentBytes: 36 * ENTRIES }

class TurnClock extends ManualClock {
  turns = 0

  override endOfTurn(fire: () => void): void {
    this.turns++
    super.endOfTurn(fire)
  }
}

test('D13: the index of a segment with very many entries is made in several turns, and says where every entry is', async () => {
  const disk = new SimDisk()
  const clock = new TurnClock()
  const store = new FileLogStore(disk, clock, OPTIONS)
  await store.open()
  for (let from = 1; from <= ENTRIES; from += 4000) {
    const entries = Array.from({ length: 4000 }, (_, at) => entry(from + at, from > ENTRIES / 2 ? 7 : 3, `${from + at}`))
    await store.write([{ group: 1, entries }], { sync: true })
  }
  const pieces = [1, 256, 257, 16_384, 16_385, 32_000, 32_001, ENTRIES].map((index) => ({ index, offset: 0, length: `${index}`.length }))
  const asNumbers = async (from: FileLogStore): Promise<number[]> => (await from.readPieces(1, pieces)).map((bytes) => Number(bytes))
  assert.equal(clock.turns, 3, 'pauses in the rows of the first file')
  assert.deepEqual(
    await asNumbers(store),
    pieces.map(({ index }) => index),
  )
  await store.close()
  const next = new FileLogStore(disk, new ManualClock(), OPTIONS)
  await next.open()
  assert.deepEqual(
    await asNumbers(next),
    pieces.map(({ index }) => index),
  )
  assert.deepEqual(
    [1, 32_000, 32_001, ENTRIES].map((index) => next.term(1, index)),
    [3, 3, 7, 7],
  )
  await next.close()
})
