// SPDX-License-Identifier: Apache-2.0
// One run of the engine: producers, readers and a follower under fire, then everything healed; then each log is read whole, the power goes, and each is read
// whole again (T9, T14).
import { must } from '#base/assert'
import { messageOf } from '#base/error'
import type { LogId } from '#contract/client/engine-client'
import { LogCollector } from '../logger.ts'
import { SimNetwork } from '../network.ts'
import { SimProbe } from '../probe.ts'
import { FaultSchedule } from '../workload/fault-schedule.ts'
import { SimFailure, World } from '../world.ts'
import type { LogChecker } from './checker/log-checker.ts'
import { checkRead, wantedByFilters } from './checker/read-checker.ts'
import { drawEngineConfiguration, type EngineSimConfiguration } from './engine-configuration.ts'
import { EngineNode, type EngineProcess } from './engine-node.ts'
import { FakeMeta } from './fake-meta.ts'
import type { EngineActor } from './workload/engine-actor.ts'
import { FollowerActor } from './workload/follower-actor.ts'
import { ProducerActor } from './workload/producer-actor.ts'
import { ReaderActor } from './workload/reader-actor.ts'
import { RemoverActor } from './workload/remover-actor.ts'
import { SequenceActor } from './workload/sequence-actor.ts'
import { TopicPlan } from './workload/topic-plan.ts'

/** After everything is healed. A publisher with a full window may have a thousand records left to bring home. */
const SETTLED_MS_MAX = 120_000
const POLL_MS = 50
/** Filters with which each log is read besides as a whole. */
const WAYS_OF_READING = 2
const WHOLE_READ_BYTES = 256 * 1024
/** Nobody connects to an engine. */
const NO_NETWORK = { delayMs: 1, splitRatio: 0, stallRatio: 0, stallMsMax: 1, windowBytes: 65_536, halfOpenRatio: 0 }

export interface EngineResult {
  readonly hash: string
  readonly events: number
  readonly virtualMs: number
  readonly records: number
  readonly reads: number
  readonly tailBatches: number
  readonly faults: number
  readonly deaths: number
  /** What was reached, and how often. */
  readonly reached: ReadonlyMap<string, number>
}

export class EngineSimulation {
  readonly world: World
  readonly log: LogCollector
  readonly configuration: EngineSimConfiguration
  readonly #node: EngineNode
  readonly #meta: FakeMeta
  readonly #probe: SimProbe
  readonly #plan: TopicPlan
  readonly #actors: EngineActor[] = []
  readonly #readers: ReaderActor[] = []
  readonly #reached = new Map<string, number>()

  constructor({ seed, recording = false }: { readonly seed: number; readonly recording?: boolean }) {
    const world = new World({ seed, recording })
    this.world = world
    this.configuration = drawEngineConfiguration(world.random.stream('engine configuration'))
    this.log = new LogCollector(world)
    this.#probe = new SimProbe(world.random.stream('probe'), { enabledRatio: 0, firesRatio: 0 })
    const network = new SimNetwork(world, world.random.stream('network'), NO_NETWORK)
    this.#meta = new FakeMeta(world, world.random.stream('meta'), this.configuration.retain)
    this.#node = new EngineNode({ world, network, log: this.log, probe: this.#probe }, this.configuration, this.#meta)
    this.#plan = new TopicPlan(this.#node, this.configuration.workload, this.configuration.engine.independentLogsMax > 0)
  }

  /** Throws what went wrong. */
  async run(): Promise<EngineResult> {
    const { world, configuration } = this
    const { machine } = this.#node
    machine.start()
    await this.#until('the engine serves', () => machine.serving)
    this.#createActors()
    const faults = new FaultSchedule(world, world.random.stream('faults'), machine, configuration.faults)
    await world.runFor(configuration.workload.durationMs)
    faults.heal()
    this.#meta.heal()
    for (const actor of this.#actors) actor.settle()
    await this.#until('everything that was begun has ended', () => machine.serving && this.#actors.every(({ settled }) => settled))
    await this.#checkAll()
    machine.crash()
    await this.#until('the engine serves after the last power loss', () => machine.serving)
    await this.#checkAll()
    await this.#stop()
    for (const { tail } of this.#node.processes) tail.check()
    return this.#result(faults.faults)
  }

  /** What happened so far in one word, and the next random number (T5). */
  hash(): string {
    return `${this.world.trace.hash()}-${this.world.random.uint32().toString(16)}`
  }

  #createActors(): void {
    const { world, configuration } = this
    const { workload } = configuration
    const surroundings = { world, node: this.#node, plan: this.#plan, workload }
    const random = world.random.stream('actors')
    for (let at = 1; at <= workload.producers; at++) this.#actors.push(new ProducerActor(surroundings, random.stream(`producer ${at}`), at))
    for (let at = 1; at <= workload.sequencers; at++)
      this.#actors.push(new SequenceActor(surroundings, random.stream(`sequencer ${at}`), 100 + at))
    for (let at = 1; at <= workload.readers; at++)
      this.#readers.push(new ReaderActor(surroundings, random.stream(`reader ${at}`), workload.actionMs))
    this.#actors.push(...this.#readers, new FollowerActor(surroundings, random.stream('follower')))
    if (workload.removalMs !== undefined) this.#actors.push(new RemoverActor(surroundings, random.stream('remover'), workload.removalMs))
  }

  /** The whole of every log against all that is known. Nothing is under way but what the engine does by itself. */
  async #checkAll(): Promise<void> {
    const process = must(this.#node.process, 'a node that serves has a process')
    const { engine, tail } = process
    const random = this.world.random.stream('last readers')
    for (const { id, storage } of engine.logs()) {
      const { first, end } = engine.extent(id)
      const log = must(this.#node.log(process, id), 'a log that is listed is there')
      log.extent(first, end)
      await this.#readWhole(process, log, ['#'])
      for (let way = 0; way < WAYS_OF_READING; way++) await this.#readWhole(process, log, this.#plan.drawFilters(random))
      if (storage !== 'memory' && end > 0) {
        await this.world.runUntil(engine.retainedUpTo(id, end))
        log.checkRetained()
      }
      log.checkWhole(engine.extent(id).first)
      tail.checkTo(id, end)
    }
    this.#node.checkThere(process)
    this.#note(process)
  }

  async #readWhole(process: EngineProcess, log: LogChecker, filters: readonly string[]): Promise<void> {
    const id: LogId = log.log
    for (let next = 0; ; ) {
      const request = { log: id, from: next, filters, bytesMax: WHOLE_READ_BYTES }
      const askedAtMs = this.world.nowMs
      const failed = (error: unknown): never => log.fail('read', `a read was rejected: ${messageOf(error)}`)
      const result = await this.world.runUntil(process.engine.read(request).catch(failed))
      checkRead(log, next, wantedByFilters(filters), result, askedAtMs)
      next = result.next
      if (next >= process.engine.extent(id).end) return
    }
  }

  async #stop(): Promise<void> {
    let stopped = false
    this.world.schedule('check', undefined, 0, () => {
      this.#node.machine.stop(() => {
        stopped = true
      })
    })
    await this.#until('the engine stops', () => stopped)
  }

  async #until(what: string, holds: () => boolean): Promise<void> {
    if (!(await this.world.reaches(SETTLED_MS_MAX, POLL_MS, holds))) throw new SimFailure(`not within ${SETTLED_MS_MAX} ms: ${what}`)
  }

  /** What the engine tells of itself, added up over the checks. */
  #note({ engine }: EngineProcess): void {
    for (const { plans, start } of engine.storage()) {
      for (const [plan, count] of Object.entries(plans)) this.#add(`plan ${plan}`, count)
      this.#add('positions retired', start)
    }
  }

  #add(name: string, count: number): void {
    if (count > 0) this.#reached.set(name, (this.#reached.get(name) ?? 0) + count)
  }

  #result(faults: number): EngineResult {
    const { world } = this
    for (const [name, count] of this.#probe.counts()) this.#add(name, count)
    this.#add('indexes damaged', this.#node.damages)
    for (const actor of this.#actors) if (actor instanceof RemoverActor) this.#add('topics removed', actor.removals)
    return {
      hash: this.hash(),
      events: world.events,
      virtualMs: world.nowMs,
      records: this.#node.records,
      reads: this.#readers.reduce((sum, { reads }) => sum + reads, 0),
      tailBatches: this.#node.processes.reduce((sum, { tail }) => sum + tail.batches, 0),
      faults,
      deaths: this.#node.machine.deaths,
      reached: this.#reached,
    }
  }
}
