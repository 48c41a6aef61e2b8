// SPDX-License-Identifier: Apache-2.0
// Power is lost at every operation of the disk and of the store while a segment log and a log of type rocksdb are appended to, roll, are indexed, lose topics and their
// oldest records, and start again (RELIABILITY T19): consensus host, file logs and engine as in production, on the simulated disk.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { loadConfig } from '#base/config/load'
import { isPlatformError, messageOf } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Ports } from '#base/port/ports'
import type { EngineService } from '#engine'
import { FileLogStore, MemoryLogStore, RaftHost } from '#raft'
import { composeEngine } from '../../../../roles/compose.ts'
import { SimDisk } from '../../../sim/disk.ts'
import type { Survival } from '../../../sim/disk-inode.ts'
import { SimRandom } from '../../../sim/random.ts'
import { CrashKv } from '../crash-kv.ts'
import { batchOf, FakeMeta, ManualClock, recordsOf, settled } from '../engine-node.ts'

const SEED = 20_261_121
const SEGMENT_BYTES = 2500
const HOUR_MS = 3_600_000
/** Of so many bytes one is damaged: the sweep of the log store has them all. */
const FLIP_STRIDE = 40
const ROUND_MS = 10 * HOUR_MS

type Step =
  | { readonly write: readonly string[]; readonly bytes?: number }
  | { readonly remove: string }
  | { readonly pass: number }
  | 'restart'

const FLUSH: Step = { pass: 50 }

/** Rolls, index writes, removal of a topic, retention by age with files that go, and a clean end. */
const HISTORY: readonly Step[] = [
  { write: ['a', 'b', 'c'] },
  FLUSH,
  { write: ['b'], bytes: 900 },
  { write: ['a', 'b'], bytes: 900 },
  FLUSH,
  { write: ['c', 'c'], bytes: 300 },
  { remove: 'b' },
  { write: ['b', 'a'], bytes: 700 },
  { write: ['d'], bytes: 900 },
  FLUSH,
  'restart',
  { write: ['a', 'd'], bytes: 700 },
  FLUSH,
  { pass: ROUND_MS / 2 },
  { write: ['a', 'b'], bytes: 700 },
  { write: ['c'], bytes: 1200 },
  FLUSH,
  { pass: ROUND_MS / 2 },
  { remove: 'b' },
  { write: ['c', 'a'] },
  { pass: ROUND_MS },
  { write: ['c', 'a'] },
]

const NO_GATE = (): undefined => undefined

/** One process. */
class Life {
  readonly clock: ManualClock
  readonly crashes: Error[] = []
  readonly engine: EngineService
  readonly #host: RaftHost

  constructor(disk: SimDisk, kv: CrashKv, clock: ManualClock) {
    this.clock = clock
    const logger = { log: () => {}, scope: () => logger }
    const ports = {
      clock,
      disk,
      kv,
      logger,
      random: new SimRandom(SEED),
      metrics: { counter: () => ({ add: () => {} }), gauge: () => {}, histogram: () => ({ observe: () => {} }) },
      probe: { reached: () => {}, fault: () => false },
      crash: (reason: Error) => void this.crashes.push(reason),
    } as unknown as Ports
    const store = (directory: string) => new FileLogStore(disk, clock, { directory, segmentBytes: SEGMENT_BYTES, freeBytesMin: 0 })
    const segments = store('segments')
    const stores = { durable: store('wal'), retained: segments, ephemeral: new MemoryLogStore() }
    this.#host = new RaftHost(ports, stores, { nodeId: 1, walBytesMax: 4 * SEGMENT_BYTES })
    const outcome = loadConfig({ settings: [] })
    assert.ok(outcome.kind === 'loaded')
    const { config } = outcome
    const retention = { ...config.engine.retention, maxAge: ROUND_MS - HOUR_MS, maxBytes: 0, checkInterval: ROUND_MS }
    const engine = { ...config.engine, stripes: 1, tailBytes: 0, scrubRate: 0, retention }
    this.engine = composeEngine(ports, { ...config, engine }, this.#host, new FakeMeta(), segments)
  }

  async start(): Promise<void> {
    await this.#host.start()
    await this.engine.start()
  }

  async stop(): Promise<void> {
    await this.engine.stop()
    await this.#host.stop()
  }
}

const LOGS = [
  { storage: 'rocksdb', log: 0 },
  { storage: 'segment', log: 2 },
] as const

/** A record that was given to a log. */
interface Sent {
  readonly log: number
  readonly position: number
  readonly topic: string
  readonly payload: string
  isAcknowledged: boolean
  /** 'maybe': its removal had begun, or retention may have had it. */
  removed: 'no' | 'maybe' | 'yes'
}

/** What a power loss finds, and what it may do to it. */
interface Moment {
  readonly disk: SimDisk
  readonly kv: CrashKv
  readonly nowMs: number
  readonly sent: readonly Sent[]
}

/** Plays the history once. Each operation of the disk and of the store, when it has reached the cache and in the middle of a sync, is a moment. */
async function play(): Promise<readonly Moment[]> {
  const moments: Moment[] = []
  const clock = new ManualClock()
  const sent: Sent[] = []
  let life: Life | undefined
  const gate = (operation = 'write'): undefined => {
    if (operation === 'read') return
    for (const one of sent) if (one.removed === 'no' && one.position < (life?.engine.extent(one.log).first ?? 0)) one.removed = 'maybe'
    moments.push({ disk: disk.clone({}), kv: kv.killed(NO_GATE), nowMs: clock.nowMs, sent: sent.map((one) => ({ ...one })) })
  }
  let disk = new SimDisk({ delay: gate })
  let kv = new CrashKv(gate)
  life = new Life(disk, kv, clock)
  await life.start()
  for (const step of HISTORY) {
    if (step === 'restart') {
      await life.stop()
      disk = disk.kill()
      kv = kv.killed(gate)
      life = new Life(disk, kv, clock)
      await life.start()
    } else if ('write' in step) append(life, sent, step.write, step.bytes ?? 20)
    else if ('remove' in step) await removeTopic(life, sent, step.remove)
    else await clock.pass(step.pass)
    await settled()
  }
  gate()
  assert.deepEqual(life.crashes, [])
  return moments
}

function append({ engine }: Life, sent: Sent[], topics: readonly string[], bytes: number): void {
  for (const { log } of LOGS) {
    const before = sent.filter((one) => one.log === log).length
    const records = topics.map((topic, at) => ({ topic, payload: `${before + at};`.padEnd(bytes, '.') }))
    const batch = records.map(
      ({ topic, payload }, at): Sent => ({ log, position: before + at, topic, payload, isAcknowledged: false, removed: 'no' }),
    )
    sent.push(...batch)
    engine.append(log, batchOf(records), ({ kind }) => {
      for (const one of batch) one.isAcknowledged = kind === 'appended'
    })
  }
}

async function removeTopic({ engine }: Life, sent: readonly Sent[], topic: string): Promise<void> {
  const doomed = sent.filter((one) => one.topic === topic && one.isAcknowledged)
  for (const one of doomed) if (one.removed === 'no') one.removed = 'maybe'
  for (const { storage } of LOGS) await engine.removeTopic(storage, topic)
  for (const one of doomed) one.removed = 'yes'
}

async function readAll({ engine }: Life, log: number, filter: string): Promise<readonly string[]> {
  const seen: string[] = []
  for (let from = 0; ; ) {
    const { batches, next, atEnd } = await engine.read({ log, from, filters: [filter], bytesMax: 1500 })
    for (const { position, topic, payload } of recordsOf(batches)) seen.push(`${position} ${topic} ${payload}`)
    if (atEnd) return seen
    assert.ok(next > from)
    from = next
  }
}

/** Everything that the logs show: by `#`, by topic and by position they must show the same. */
async function dump(life: Life): Promise<ReadonlyMap<number, readonly string[]>> {
  const shown = new Map<number, readonly string[]>()
  for (const { log } of LOGS) {
    const all = await readAll(life, log, '#')
    for (const topic of ['a', 'b', 'c', 'd'])
      assert.deepEqual(
        await readAll(life, log, topic),
        all.filter((line) => line.split(' ')[1] === topic),
      )
    const { first, end } = life.engine.extent(log)
    const positions = Array.from({ length: end - first }, (_, at) => first + at)
    const fetched = recordsOf(await life.engine.fetch(log, positions))
    assert.deepEqual(
      fetched.map(({ position, topic, payload }) => `${position} ${topic} ${payload}`),
      all,
    )
    shown.set(log, all)
  }
  return shown
}

function judge(shown: ReadonlyMap<number, readonly string[]>, sent: readonly Sent[], where: string): void {
  for (const { log, storage } of LOGS) {
    const lines = new Set(shown.get(log))
    for (const { position, topic, payload, isAcknowledged, removed } of sent.filter((one) => one.log === log)) {
      const isThere = lines.delete(`${position} ${topic} ${payload}`)
      const what = `${where}: record ${position} of ${topic} in the ${storage} log`
      if (removed === 'yes') assert.ok(!isThere, `${what} has come back`)
      if (removed === 'no' && isAcknowledged) assert.ok(isThere, `${what} is acknowledged and lost`)
    }
    assert.deepEqual([...lines], [], `${where}: nobody has sent this`)
  }
}

/** Starts on what is left and judges. `isTwice`: starts again, and goes on. */
async function recover({ nowMs, sent }: Moment, disk: SimDisk, kv: CrashKv, where: string, isTwice: boolean): Promise<void> {
  const clock = new ManualClock()
  clock.nowMs = nowMs
  const first = new Life(disk, kv, clock)
  await first.start()
  await settled()
  const shown = await dump(first)
  judge(shown, sent, where)
  assert.deepEqual(first.crashes, [], where)
  if (!isTwice) return
  const second = new Life(disk.kill(), kv.killed(NO_GATE), clock)
  await second.start()
  await settled()
  assert.deepEqual(await dump(second), shown, `${where}: the second start shows something else`)
  for (const { log } of LOGS) {
    const { end } = second.engine.extent(log)
    second.engine.append(log, batchOf([{ topic: 'a', payload: 'later' }]), () => {})
    await settled()
    assert.equal((await readAll(second, log, 'a')).at(-1), `${end} a later`, where)
  }
  assert.deepEqual(second.crashes, [], where)
}

describe(`power loss at every operation of the engine (seed ${SEED})`, () => {
  it('T19: what was acknowledged is there, by every plan, and what was removed stays removed', async () => {
    const random = new SimRandom(SEED)
    const moments = await play()
    for (const [operation, moment] of moments.entries()) {
      const { unsyncedCount } = moment.kv
      const { unsyncedChanges } = moment.disk
      const which = random.range(0, Math.max(0, unsyncedChanges - 1))
      const some = (): number => random.range(0, unsyncedCount)
      const losses: readonly (readonly [string, Survival, number])[] = [
        ['nothing', () => true, unsyncedCount],
        ['everything', () => false, 0],
        ['the disk', () => false, unsyncedCount],
        ['the store', () => true, 0],
        [`change ${which}`, (change) => change !== which, some()],
        [`the changes from ${which} on`, (change) => change < which, some()],
      ]
      const tried = new Set<string>()
      for (const [name, survives, kept] of losses) {
        const what = Array.from({ length: unsyncedChanges }, (_, change) => (survives(change) ? change : '-'))
        if (tried.has(`${what} ${kept}`)) continue
        tried.add(`${what} ${kept}`)
        const where = `power lost at operation ${operation}, and ${name} with it`
        await recover(moment, moment.disk.clone({}).crashKeeping(survives), moment.kv.crashed(kept, NO_GATE), where, name === 'everything')
      }
      await recover(
        moment,
        moment.disk.clone({}).crash(random, 'some'),
        moment.kv.crashed(some(), NO_GATE),
        `torn at operation ${operation}`,
        true,
      )
    }
    assert.ok(moments.length > 80, `${moments.length} operations to interrupt`)
    const files = moments.at(-1)?.disk.paths() ?? []
    const oldest = files.find((path) => /^segments.*log$/.test(path))
    assert.ok(Number(oldest?.replace(/\D/g, '')) > 2 * SEGMENT_BYTES, `files were begun, and the first ones freed: ${oldest}`)
  })

  it('T20: a flipped bit of any file is refused by the start or by the reader, or it is repaired: never wrong data, never less', async () => {
    const moments = await play()
    const filesAt = ({ disk }: Moment): number => disk.paths().filter((path) => /^segments.*log$/.test(path)).length
    const filesMax = Math.max(...moments.map(filesAt))
    const { disk, kv, nowMs } = moments.findLast((moment) => filesAt(moment) === filesMax) as Moment
    const clock = new ManualClock()
    clock.nowMs = nowMs
    const whole = new Life(disk.clone({}), kv.killed(NO_GATE), clock)
    await whole.start()
    const expected = await dump(whole)
    const outcomes = { refused: 0, hidden: 0, whole: 0 }
    let flip = 0
    for (const path of disk.paths())
      for (let offset = 0; offset < disk.bytes(path).length; offset += FLIP_STRIDE, flip++) {
        const damaged = disk.clone({})
        damaged.damage(path, offset + (flip % FLIP_STRIDE), 1 << (flip % 8))
        const life = new Life(damaged, kv.killed(NO_GATE), clock)
        outcomes[await outcomeOf(life, expected, `${path} near ${offset}`)]++
      }
    assert.ok(outcomes.refused > 0 && outcomes.hidden > 0, JSON.stringify(outcomes))
  })
})

/** 'hidden': some reads are refused. */
async function outcomeOf(
  life: Life,
  expected: ReadonlyMap<number, readonly string[]>,
  where: string,
): Promise<'refused' | 'hidden' | 'whole'> {
  try {
    await life.start()
  } catch (error) {
    assert.ok(isPlatformError(error, ERROR_CODES.dataDamaged), `${where}: ${messageOf(error)}`)
    return 'refused'
  }
  let isHidden = false
  for (const { log } of LOGS)
    for (const filter of ['#', 'a'])
      try {
        const right = (expected.get(log) ?? []).filter((line) => filter === '#' || line.split(' ')[1] === filter)
        assert.deepEqual(await readAll(life, log, filter), right, where)
      } catch (error) {
        if (!isPlatformError(error, ERROR_CODES.dataDamaged)) throw error
        isHidden = true
      }
  assert.deepEqual(life.crashes, [], where)
  return isHidden ? 'hidden' : 'whole'
}
