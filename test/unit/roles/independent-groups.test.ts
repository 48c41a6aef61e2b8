// SPDX-License-Identifier: Apache-2.0
// Logs are created, written to and removed, and power is lost at every operation of the disk and of the store: what was acknowledged is there after the
// next start, what was removed is not, and nothing is left over.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { loadConfig } from '#base/config/load'
import type { Config } from '#base/config/schema'
import type { Kv, KvIterator, KvRange } from '#base/port/kv'
import type { Ports } from '#base/port/ports'
import type { LogId, StorageType } from '#contract/client/engine-client'
import type { EngineMeta, EngineService } from '#engine'
import { FileLogStore, MemoryLogStore, RaftHost } from '#raft'
import { composeEngine } from '../../../roles/compose.ts'
import { SimDisk } from '../../sim/disk.ts'
import type { Unsynced } from '../../sim/disk-inode.ts'
import { SimRandom } from '../../sim/random.ts'
import { batchOf, ManualClock, recordsOf, settled } from '../engine/engine-node.ts'
import { FakeCatalogue } from '../engine/fake-log-groups.ts'
import { ModelKv } from '../engine/model-kv.ts'

const SEED = 20_261_121
const FIRST = 3
/** In as many turns of the loop everything that can go on has done so. */
const TURNS = 60

/** The store, with what of it a power loss leaves for certain. */
class PowerlessKv implements Kv {
  readonly content: ModelKv
  synced: ModelKv
  readonly #enter: () => Promise<void> | undefined

  constructor(content: ModelKv, enter: () => Promise<void> | undefined) {
    this.content = content.fork()
    this.synced = content.fork()
    this.#enter = enter
  }

  async write(...[batch, options]: Parameters<Kv['write']>): Promise<void> {
    await this.#enter()
    await this.content.write(batch, options)
    if (options.sync) this.synced = this.content.fork()
  }

  get = (key: Buffer): ReturnType<Kv['get']> => this.content.get(key)
  getMany = (keys: readonly Buffer[]): ReturnType<Kv['getMany']> => this.content.getMany(keys)
  scan = (range: KvRange): ReturnType<Kv['scan']> => this.content.scan(range)
  verify = (range: KvRange): ReturnType<Kv['verify']> => this.content.verify(range)
  iterate = (): KvIterator => this.content.iterate()
  close = (): Promise<void> => this.content.close()
}

/** Lets none of the operations of a process return that come after the first so many. */
class PowerCut {
  left: number

  constructor(operations: number) {
    this.left = operations
  }

  get isCut(): boolean {
    return this.left < 0
  }

  readonly enter = (): Promise<void> | undefined => (this.left-- > 0 ? undefined : new Promise(() => {}))
}

interface Machine {
  readonly disk: SimDisk
  readonly kv: PowerlessKv
  readonly catalogue: FakeCatalogue
}

function configuration(): Config {
  const loaded = loadConfig({ settings: ['engine.stripes=1'] })
  assert.ok(loaded.kind === 'loaded')
  return loaded.config
}

const CONFIG = configuration()

class Process {
  readonly clock = new ManualClock()
  readonly host: RaftHost
  readonly engine: EngineService
  readonly crashes: Error[] = []
  readonly #machine: Machine

  constructor(machine: Machine) {
    this.#machine = machine
    const logger = { log: () => {}, scope: () => logger }
    const ports = {
      disk: machine.disk,
      kv: machine.kv,
      clock: this.clock,
      logger,
      metrics: { counter: () => ({ add: () => {} }), gauge: () => {}, histogram: () => ({ observe: () => {} }) },
      probe: { reached: () => {}, fault: () => false },
      random: new SimRandom(SEED),
      crash: (reason: Error) => void this.crashes.push(reason),
    } as unknown as Ports
    const store = (directory: string) => new FileLogStore(machine.disk, this.clock, { directory, freeBytesMin: 0 })
    const segments = store('segments')
    this.host = new RaftHost(
      ports,
      { durable: store('wal'), retained: segments, ephemeral: new MemoryLogStore() },
      { nodeId: 1, lateGroupsFrom: FIRST },
    )
    const meta: EngineMeta = {
      retain: async () => {},
      createLog: (log) => machine.catalogue.create(log),
      removeLog: (log) => machine.catalogue.remove(log),
      logs: () => machine.catalogue.list(),
    }
    this.engine = composeEngine(ports, CONFIG, this.host, meta, segments)
  }

  async start(): Promise<void> {
    await this.host.start()
    await this.engine.start()
  }

  async stop(): Promise<void> {
    await this.engine.stop()
    await this.host.stop()
  }

  /** Whether it was acknowledged. */
  async append(storage: StorageType, topic: string, payload: string): Promise<boolean> {
    let kind: string | undefined
    const log = this.engine.logOf(storage, topic, 'independent')
    this.engine.append(log, batchOf([{ topic, payload }]), (outcome) => {
      kind = outcome.kind
    })
    for (let turn = 0; turn < TURNS && kind === undefined; turn++) await settled()
    return kind === 'appended'
  }

  /** What is in the log that belongs to a topic. */
  async content(storage: StorageType, topic: string): Promise<readonly string[]> {
    const log = this.engine.logs().find((one) => one.storage === storage && one.topic === topic)
    if (log === undefined) return []
    const payloads: string[] = []
    for (let next = 0; ; ) {
      const result = await this.engine.read({ log: log.id, from: next, filters: ['#'], bytesMax: 1 << 20 })
      payloads.push(...recordsOf(result.batches).map(({ payload }) => payload))
      next = result.next
      if (result.atEnd) return payloads
    }
  }

  async pass(ms: number): Promise<void> {
    await this.clock.pass(ms)
    for (let turn = 0; turn < 10; turn++) await settled()
  }

  /** Logs of which there is anything on the disk or in the store. */
  async traces(): Promise<ReadonlySet<LogId>> {
    const { disk, kv } = this.#machine
    const found = new Set((await disk.list('logs')).map(Number))
    for (let log = FIRST; log < FIRST + 10; log++)
      if (['m', 'p', 'r', 's', 't'].some((kind) => kv.content.count(log, kind) > 0)) found.add(log)
    return found
  }
}

type Step =
  | { readonly kind: 'append'; readonly storage: StorageType; readonly topic: string; readonly payload: string }
  | { readonly kind: 'remove'; readonly storage: StorageType; readonly topic: string }
  | { readonly kind: 'pass' }

const append = (storage: StorageType, topic: string, payload: string): Step => ({ kind: 'append', storage, topic, payload })
const remove = (storage: StorageType, topic: string): Step => ({ kind: 'remove', storage, topic })
const PASS: Step = { kind: 'pass' }

const HISTORY: readonly Step[] = [
  append('segment', 'a', 'a1'),
  append('rocksdb', 'b', 'b1'),
  append('segment', 'a', 'a2'),
  PASS,
  append('rocksdb', 'b', 'b2'),
  append('memory', 'c', 'c1'),
  remove('segment', 'a'),
  append('segment', 'a', 'a3'),
  PASS,
  remove('rocksdb', 'b'),
  append('rocksdb', 'b', 'b3'),
  append('segment', 'd', 'd1'),
  remove('memory', 'c'),
  PASS,
  append('rocksdb', 'b', 'b4'),
]

/** What is in the log of a topic, and what would be if that which is under way were done. No log is as good as an empty one. */
interface Expected {
  readonly done: readonly string[]
  readonly begun: readonly string[]
}

interface Played {
  readonly machine: Machine
  readonly expected: ReadonlyMap<string, Expected>
  readonly isComplete: boolean
}

/** Plays the history until the power goes, after so many operations. */
async function play(operations: number): Promise<Played> {
  const power = new PowerCut(operations)
  const disk = new SimDisk({ delay: (operation) => (operation === 'read' || operation === 'list' ? undefined : power.enter()) })
  const kv = new PowerlessKv(new ModelKv(), power.enter)
  const machine = { disk, kv, catalogue: new FakeCatalogue() }
  const expected = new Map<string, Expected>()
  let isComplete = false
  const played = playHistory(new Process(machine), expected).then(
    () => {
      isComplete = true
    },
    (error: unknown) => {
      // What the process makes of it that nothing gets on any more is of no interest.
      if (!power.isCut) throw error
    },
  )
  for (let turn = 0; turn < 100 * TURNS && !isComplete && !power.isCut; turn++) await settled()
  if (!power.isCut) await played
  return { machine, expected, isComplete }
}

async function playHistory(process: Process, expected: Map<string, Expected>): Promise<void> {
  await process.start()
  for (const step of HISTORY) {
    if (step.kind === 'pass') {
      await process.pass(60)
      continue
    }
    const { storage, topic } = step
    const place = `${storage} ${topic}`
    const done = expected.get(place)?.done ?? []
    const begun = step.kind === 'append' ? [...done, step.payload] : []
    expected.set(place, { done, begun })
    if (step.kind === 'append') assert.ok(await process.append(storage, topic, step.payload), `${step.payload} is acknowledged`)
    else assert.ok(await process.engine.removeTopic(storage, topic))
    expected.set(place, { done: begun, begun })
  }
  await process.stop()
}

/** Starts on what a power loss has left, and looks at everything. */
async function check({ machine, expected }: Played, unsynced: Unsynced): Promise<void> {
  const { kv, catalogue } = machine
  const disk = machine.disk.crash(new SimRandom(SEED), unsynced, {})
  const left = unsynced === 'none' ? kv.synced : kv.content
  const next = { disk, kv: new PowerlessKv(left, () => undefined), catalogue }
  const process = new Process(next)
  await process.start()
  for (const [place, { done, begun }] of expected) {
    const [storage, topic] = place.split(' ') as [StorageType, string]
    if (storage === 'memory') continue
    const content = await process.content(storage, topic)
    const isRight = [done, begun].some((one) => isDeepStrictEqual(one, content))
    assert.ok(isRight, `${place} holds ${JSON.stringify(content)}, neither ${JSON.stringify(done)} nor ${JSON.stringify(begun)}`)
  }
  const known = new Set(process.engine.logs().map(({ id }) => id))
  for (const log of await process.traces()) assert.ok(known.has(log), `something is left of log ${log}`)
  for (const [storage, topic] of [
    ['segment', 'a'],
    ['rocksdb', 'b'],
    ['memory', 'c'],
  ] as const)
    assert.ok(await process.append(storage, topic, 'later'))
  await process.stop()
  assert.deepEqual(process.crashes, [])
}

describe('logs that come and go, and power losses', () => {
  it('T19, R50: at every operation of creations, appends and removals', async () => {
    let operations = 0
    for (; ; operations++) {
      const played = await play(operations)
      for (const unsynced of ['none', 'some'] as const) {
        try {
          await check(played, unsynced)
        } catch (error) {
          throw new Error(`after ${operations} operations, of what was not synced ${unsynced}`, { cause: error })
        }
      }
      if (played.isComplete) break
    }
    assert.ok(operations > 100, `${operations} operations`)
  })
})
