// SPDX-License-Identifier: Apache-2.0
// Power is lost at every operation of a history of the log, and again at every operation of the recovery (RELIABILITY T19).
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { FileLogStore, type GroupWrite } from '#raft'
import { type DiskOperation, SimDisk } from '../../../../sim/disk.ts'
import type { Unsynced } from '../../../../sim/disk-inode.ts'
import { SimRandom } from '../../../../sim/random.ts'
import { dumpStore, entries, entry, hardState, LogModel, start } from '../log-model.ts'
import { ManualClock } from '../manual-clock.ts'

const SEED = 20_240_607
const OPTIONS = { directory: 'wal', segmentBytes: 1400, freeBytesMin: 0 }
const IDLE_MS = 10

interface Write {
  readonly batch: readonly GroupWrite[]
  readonly sync: boolean
}

type Step = Write | 'reclaim' | 'idle' | 'restart'

const write = (sync: boolean, ...batch: GroupWrite[]): Step => ({ batch, sync })

/** Rolls, overwrites, unsynced writes before synced ones, compactions, a snapshot, freed files, marks and a clean end. */
const HISTORY: readonly Step[] = [
  write(true, { group: 1, entries: entries(1, 3, 1), hardState: hardState(1, 1, 0), start: start(0, 0) }),
  write(false, { group: 1, entries: [], hardState: hardState(1, 1, 3) }),
  write(true, { group: 2, entries: [entry(1, 1, Buffer.alloc(700, 5))], hardState: hardState(1, 2, 0) }),
  'idle',
  write(false, { group: 1, entries: [entry(4, 1, Buffer.alloc(400, 4)), ...entries(5, 6, 1)] }),
  write(false, { group: 2, entries: entries(2, 3, 1) }),
  write(true, { group: 1, entries: entries(5, 5, 2), hardState: hardState(2, 3, 4) }),
  write(true, { group: 2, entries: [entry(4, 1, Buffer.alloc(900, 6))] }),
  write(true, { group: 2, entries: [entry(5, 1, Buffer.alloc(900, 7))] }, { group: 1, entries: entries(6, 7, 2) }),
  'restart',
  write(false, { group: 1, entries: [], start: start(6, 2) }),
  write(true, { group: 2, entries: [entry(6, 1, Buffer.alloc(300, 8))], start: start(4, 1, [1, 2], [3]) }),
  'reclaim',
  write(true, { group: 3, entries: entries(31, 32, 4), start: start(30, 4), hardState: hardState(4, 1, 30) }),
  'idle',
  write(true, { group: 2, entries: [entry(7, 2, Buffer.alloc(1200, 9))] }),
  write(false, { group: 3, entries: [], start: start(40, 5) }),
  write(true, { group: 2, entries: [], start: start(7, 2) }),
  'reclaim',
  write(true, { group: 3, entries: [], dropped: true }),
  write(true, { group: 1, entries: entries(8, 9, 2) }),
  write(true, { group: 1, entries: [entry(10, 2, Buffer.alloc(1200, 3))] }, { group: 2, entries: [], dropped: true }),
  'reclaim',
  write(true, { group: 1, entries: entries(11, 11, 2) }),
  // The first of a group goes into a new file, whose opening frame comes before it.
  write(true, { group: 4, entries: [entry(1, 1, Buffer.alloc(1200, 2))], hardState: hardState(1, 1, 0), start: start(0, 0, [1]) }),
  write(true, { group: 5, entries: [entry(1, 1, Buffer.alloc(1200, 1))], hardState: hardState(1, 1, 0), start: start(0, 0, [1]) }),
]

const WRITES = HISTORY.filter((step) => typeof step !== 'string')

/** What the log holds after the first `count` writes of the history. */
function modelAfter(count: number): LogModel {
  const model = new LogModel()
  for (const { batch } of WRITES.slice(0, count)) model.write(batch)
  return model
}

/** What every prefix of the writes leaves, the empty one first. */
const prefixes = (): readonly string[] => Array.from({ length: WRITES.length + 1 }, (_, count) => modelAfter(count).dump())

interface Run {
  readonly disk: SimDisk
  /** Writes that were begun, and those that a sync has covered. */
  readonly begun: number
  readonly synced: number
  /** The history, or recovery, ended before the power did. */
  readonly complete: boolean
}

/** Counts the operations of a process and lets none after the `last` one return. */
class PowerCut {
  readonly cut: Promise<void>
  #left: number
  #onCut = (): void => {}

  constructor(last: number) {
    this.#left = last
    this.cut = new Promise((resolve) => {
      this.#onCut = resolve
    })
  }

  readonly delay = (operation: DiskOperation): Promise<void> | undefined => {
    if (operation === 'read') return undefined
    if (this.#left-- > 0) return undefined
    this.#onCut()
    return new Promise(() => {})
  }
}

/** Plays the history on a new disk until the power goes, after `operations` of them. */
async function play(operations: number): Promise<Run> {
  const power = new PowerCut(operations)
  const disk = new SimDisk({ delay: power.delay })
  const progress = { begun: 0, synced: 0, complete: false }
  const played = playHistory(disk, progress).then(() => {
    progress.complete = true
  })
  await Promise.race([played, power.cut])
  return { disk, ...progress }
}

async function playHistory(disk: SimDisk, progress: { begun: number; synced: number }): Promise<void> {
  let clock = new ManualClock()
  let store = new FileLogStore(disk, clock, { ...OPTIONS, idleMs: IDLE_MS })
  await store.open()
  for (const step of HISTORY) {
    if (step === 'reclaim') await store.reclaim()
    else if (step === 'idle') {
      clock.advance(IDLE_MS)
      await store.write([], { sync: true })
    } else if (step === 'restart') {
      await store.close()
      clock = new ManualClock()
      store = new FileLogStore(disk, clock, { ...OPTIONS, idleMs: IDLE_MS })
      await store.open()
    } else {
      progress.begun++
      await store.write(step.batch, { sync: step.sync })
    }
    if (typeof step === 'string' || step.sync) progress.synced = progress.begun
  }
}

async function recoverAndDump(disk: SimDisk): Promise<string> {
  const store = new FileLogStore(disk, new ManualClock(), OPTIONS)
  return dumpStore(store, await store.open())
}

/** The disk after a second power loss, `operations` into the recovery; undefined when the recovery was done before. */
async function interruptRecovery(disk: SimDisk, operations: number): Promise<SimDisk | undefined> {
  const power = new PowerCut(operations)
  const restarted = disk.clone({ delay: power.delay })
  const done = new FileLogStore(restarted, new ManualClock(), OPTIONS).open().then(() => true)
  return (await Promise.race([done, power.cut])) === true ? undefined : restarted
}

const LATER: readonly (readonly GroupWrite[])[] = [1, 2, 3].map((index) => [
  { group: 9, entries: [entry(index, 7, Buffer.alloc(60, index))] },
])

/** Recovers, writes on, and returns what the log of `count` writes must hold then. */
async function goOn(disk: SimDisk, count: number): Promise<string> {
  const store = new FileLogStore(disk, new ManualClock(), OPTIONS)
  await store.open()
  const model = modelAfter(count)
  for (const batch of LATER) {
    await store.write(batch, { sync: true })
    model.write(batch)
  }
  return model.dump()
}

const LOSSES: readonly Unsynced[] = ['none', 'all', 'some', 'some', 'some', 'some']

describe(`power loss at every operation of the log (seed ${SEED})`, () => {
  it('what was synced is there, what was not is there whole and in order or not at all (R45)', async () => {
    const random = new SimRandom(SEED)
    const dumps = prefixes()
    for (let operations = 0; ; operations++) {
      const run = await play(operations)
      const allowed = dumps.slice(run.synced, run.begun + 1)
      for (const [variant, unsynced] of LOSSES.entries()) {
        const where = `power lost after operation ${operations}, variant ${variant} (${unsynced})`
        const disk = run.disk.clone({}).crash(random, unsynced)
        const dump = await recoverAndDump(disk)
        assert.ok(allowed.includes(dump), `${where}: writes ${run.synced} to ${run.begun} allowed, found\n${dump}`)
        assert.equal(await recoverAndDump(disk.clone().kill()), dump, `${where}: the second open differs`)
        assert.equal(await recoverAndDump(disk.clone().crash(random, 'none')), dump, `${where}: what was recovered was not durable`)
        const later = await goOn(disk, dumps.indexOf(dump))
        assert.equal(await recoverAndDump(disk.crash(random, 'none')), later, `${where}: what was written after the recovery is not there`)
      }
      if (run.complete) {
        assert.ok(operations > 60, 'the history has many operations to interrupt')
        assert.equal(run.synced, dumps.length - 1)
        const bases = run.disk.paths().filter((path) => path.endsWith('.log'))
        assert.ok(bases.length > 1 && !bases[0]!.includes('00000000000000000000'), 'files were begun, and the first ones freed')
        return
      }
    }
  })

  it('the same when exactly one write or name is missing, and when all are from one on (T19)', async () => {
    const dumps = prefixes()
    let changesMax = 0
    for (let operations = 0; ; operations++) {
      const run = await play(operations)
      const allowed = dumps.slice(run.synced, run.begun + 1)
      const { unsyncedChanges } = run.disk
      changesMax = Math.max(changesMax, unsyncedChanges)
      for (let which = 0; which < unsyncedChanges; which++) {
        const survivals = { missing: (change: number) => change !== which, prefix: (change: number) => change < which }
        for (const [name, survives] of Object.entries(survivals)) {
          const where = `power lost after operation ${operations}, ${name} ${which} of ${unsyncedChanges}`
          const disk = run.disk.clone({}).crashKeeping(survives)
          const dump = await recoverAndDump(disk)
          assert.ok(allowed.includes(dump), `${where}: writes ${run.synced} to ${run.begun} allowed, found\n${dump}`)
          assert.equal(await recoverAndDump(disk.kill()), dump, `${where}: the second open differs`)
        }
      }
      if (run.complete) break
    }
    assert.ok(changesMax > 2, `${changesMax} changes at most were not synced at once`)
  })

  it('a recovery that is itself interrupted anywhere loses nothing', async () => {
    const random = new SimRandom(SEED).stream('recovery')
    const dumps = prefixes()
    let interrupted = 0
    for (let operations = 0; ; operations++) {
      const run = await play(operations)
      const allowed = dumps.slice(run.synced, run.begun + 1)
      const first = run.disk.clone({}).crash(random)
      for (let recovery = 0; ; recovery++) {
        const halted = await interruptRecovery(first, recovery)
        if (halted === undefined) break
        interrupted++
        const dump = await recoverAndDump(halted.clone({}).crash(random))
        assert.ok(
          allowed.includes(dump),
          `power lost after operation ${operations} and operation ${recovery} of the recovery: found\n${dump}`,
        )
      }
      if (run.complete) break
    }
    assert.ok(interrupted > 200, `${interrupted} recoveries were interrupted`)
  })

  it('the death of the process alone loses nothing that a write returned for', async () => {
    const dumps = prefixes()
    const random = new SimRandom(SEED)
    for (let operations = 0; ; operations++) {
      const run = await play(operations)
      const disk = run.disk.kill({})
      const found = dumps.indexOf(await recoverAndDump(disk))
      assert.ok(
        found >= run.begun - 1 && found <= run.begun,
        `process died after operation ${operations}: ${found} of ${run.begun} writes found`,
      )
      const later = await goOn(disk, found)
      assert.equal(
        await recoverAndDump(disk.crash(random, 'none')),
        later,
        `process died after operation ${operations}, and the power went later`,
      )
      if (run.complete) return
    }
  })
})
