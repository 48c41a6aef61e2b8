// SPDX-License-Identifier: Apache-2.0
// Long random histories of a log whose files are tiny, so that entries are overwritten, dropped and read across closed files and their indexes; and starts that find
// all of the indexes, some, or none. What the log shows is compared with the model after each of them.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { BoundedDisk, type Entry, FileLogStore, type GroupWrite } from '#raft'
import { SimDisk } from '../../../../sim/disk.ts'
import { SimRandom } from '../../../../sim/random.ts'
import { dumpStore, entry, hardState, LogModel, start } from '../log-model.ts'
import { ManualClock } from '../manual-clock.ts'

const SEEDS = [11, 12, 13, 14, 15, 16]
const STEPS = 300
const GROUPS = 3
const OPTIONS = { directory: 'wal', segmentBytes: 900, freeBytesMin: 0 }

/** In place of the term that the log has at the new start. */
const COMPACTION = 0

/** What the history must know of a group to go on with it. */
interface Group {
  id: number
  term: number
  start: number
  last: number
}

function nextWrite(random: SimRandom, group: Group): GroupWrite {
  const choice = random.range(0, 99)
  if (choice < 5 && group.last > group.start) {
    group.start = random.range(group.start, group.last)
    return { group: group.id, entries: [], start: start(group.start, COMPACTION) }
  }
  if (choice < 10 && group.last > group.start) {
    // A snapshot of another history replaces the log, within it or beyond.
    group.start = group.last = random.range(group.start + 1, group.last + 3)
    return { group: group.id, entries: [], start: start(group.start, ++group.term) }
  }
  if (choice < 16 && group.last > group.start) {
    group.term++
    group.last -= random.range(1, group.last - group.start)
  }
  if (choice < 19) {
    // Another group comes in its place: ids are not used again.
    const dropped = group.id
    Object.assign(group, { id: dropped + GROUPS, term: 1, start: 0, last: 0 })
    return { group: dropped, entries: [], dropped: true }
  }
  const count = random.range(1, 6)
  const kind = random.range(0, 9) === 0 ? 'conf' : 'normal'
  const entries: Entry[] = Array.from({ length: count }, (_, at) =>
    entry(group.last + 1 + at, group.term, Buffer.alloc(random.range(0, 120), group.last + at), kind),
  )
  group.last += count
  return { group: group.id, entries, hardState: hardState(group.term, 1, group.start) }
}

describe('random histories of the log', () => {
  for (const seed of SEEDS) {
    const isBounded = seed % 2 === 0
    it(`L27: the log is the same with its indexes and without them${isBounded ? ', with no idle file open' : ''} (seed ${seed})`, async () => {
      const storeOn = (disk: SimDisk) => new FileLogStore(isBounded ? new BoundedDisk(disk, 0) : disk, new ManualClock(), OPTIONS)
      const random = new SimRandom(seed)
      let disk = new SimDisk()
      let store = storeOn(disk)
      await store.open()
      const model = new LogModel()
      const groups: Group[] = Array.from({ length: GROUPS }, (_, at) => ({ id: at + 1, term: 1, start: 0, last: 0 }))
      for (let step = 0; step < STEPS; step++) {
        const choice = random.range(0, 99)
        if (choice < 85) {
          let write = nextWrite(random, random.pick(groups))
          if (write.start?.term === COMPACTION)
            write = { ...write, start: start(write.start.index, store.term(write.group, write.start.index) as number) }
          await store.write([write], { sync: true })
          model.write([write])
        } else if (choice < 92) await store.reclaim()
        else {
          if (choice < 95) await store.close()
          disk = disk.kill()
          const keeps = random.range(0, 2)
          for (const path of disk.paths())
            if (path.endsWith('.index') && (keeps === 0 || (keeps === 1 && random.range(0, 1) === 0))) await disk.remove(path)
          store = storeOn(disk)
          assert.equal(await dumpStore(store, await store.open()), model.dump(), `step ${step}`)
        }
      }
    })
  }
})
