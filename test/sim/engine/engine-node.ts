// SPDX-License-Identifier: Apache-2.0
// The machine that an engine runs on: its processes one after the other, what callers may know of them, and the checkers of their logs.
import type { Ports } from '#base/port/ports'
import type { LogId } from '#contract/client/engine-client'
import type { EngineService } from '#engine'
import { EPOCH_MS } from '../clock.ts'
import { SimNode, type Surroundings } from '../node.ts'
import type { SimRandom } from '../random.ts'
import { LogChecker, RecordBook } from './checker/log-checker.ts'
import { RemovalRules } from './checker/removal-rules.ts'
import { TailChecker } from './checker/tail-checker.ts'
import type { EngineSimConfiguration } from './engine-configuration.ts'
import { composeEngineProgram } from './engine-program.ts'
import type { FakeMeta } from './fake-meta.ts'

/** One process that an engine runs in. */
export interface EngineProcess {
  /** Counts from 1. */
  readonly number: number
  readonly engine: EngineService
  readonly tail: TailChecker
}

export class EngineNode {
  readonly machine: SimNode
  readonly rules: RemovalRules
  readonly #surroundings: Surroundings
  readonly #configuration: EngineSimConfiguration
  readonly #meta: FakeMeta
  readonly #random: SimRandom
  readonly #book = new RecordBook()
  readonly #processes: EngineProcess[] = []
  /** Deaths of the machine when each process began. */
  readonly #deathsBefore: number[] = []
  /** Of the stored logs. */
  readonly #stored = new Map<string, LogChecker>()
  /** Of the logs in memory of each process. */
  readonly #memory = new Map<number, Map<string, LogChecker>>()
  #damages = 0

  constructor(surroundings: Surroundings, configuration: EngineSimConfiguration, meta: FakeMeta) {
    this.#surroundings = surroundings
    this.#configuration = configuration
    this.#meta = meta
    this.#random = surroundings.world.random.stream('engine node')
    this.rules = new RemovalRules(configuration.engine, configuration.workload.retainRatio > 0)
    this.machine = new SimNode(1, surroundings, configuration.node, (ports) => this.#compose(ports))
  }

  get nowMs(): number {
    return this.#surroundings.world.nowMs
  }

  get records(): number {
    return this.#book.size
  }

  /** Bits that were flipped in files that are only caches. */
  get damages(): number {
    return this.#damages
  }

  /** All that have run, the last one included. */
  get processes(): readonly EngineProcess[] {
    return this.#processes
  }

  /** The process that serves now. */
  get process(): EngineProcess | undefined {
    return this.machine.serving ? this.#processes.at(-1) : undefined
  }

  /** It may still answer what it was asked. */
  isAlive(process: EngineProcess): boolean {
    return this.machine.alive && this.#processes.at(-1) === process
  }

  /** It was stopped, and had the time to answer everything. */
  hasStopped(process: EngineProcess): boolean {
    const after = this.#deathsBefore[process.number] ?? this.machine.deaths
    return !this.isAlive(process) && after === this.#deathsBefore[process.number - 1]
  }

  /** Of a stored log, or of one in the memory of this process. Undefined when the process has no such log any more. */
  log(process: EngineProcess, id: LogId): LogChecker | undefined {
    const description = process.engine.describe(id)
    if (description === undefined) return undefined
    const { storage, topic } = description
    const logs = storage === 'memory' ? this.#memoryOf(process) : this.#stored
    // A number that was given to nothing may be given again.
    const key = `${id} ${topic ?? ''}`
    let checker = logs.get(key)
    if (checker === undefined) {
      checker = new LogChecker({
        log: id,
        storage,
        topic,
        epoch: storage === 'memory' ? process.number : 0,
        book: this.#book,
        rules: this.rules,
        meta: this.#meta,
        nowMs: () => this.nowMs,
      })
      logs.set(key, checker)
    }
    if (checker.isRemoved) checker.fail('removal', 'it was removed with its topic, and is there again')
    return checker
  }

  /** Fails when a log that has acknowledged something is not there any more, and was not removed. */
  checkThere(process: EngineProcess): void {
    for (const checker of this.#stored.values()) {
      const { log, highestAcknowledged, mayVanish } = checker
      if (highestAcknowledged >= 0 && !mayVanish && this.log(process, log) !== checker) checker.fail('lost', 'the log is gone')
    }
  }

  /** The node's wall clock at a time of the world. */
  realtimeOf(worldMs: number): number {
    return EPOCH_MS + Math.floor(worldMs + this.#configuration.node.clock.realtimeOffsetMs)
  }

  #memoryOf({ number }: EngineProcess): Map<string, LogChecker> {
    let logs = this.#memory.get(number)
    if (logs === undefined) {
      logs = new Map()
      this.#memory.set(number, logs)
    }
    return logs
  }

  #compose(ports: Ports) {
    this.#damageIndex()
    const { components, engine } = composeEngineProgram(ports, this.#configuration.engine, this.#meta)
    const tail: TailChecker = new TailChecker((log) => this.log(process, log))
    const process: EngineProcess = { number: this.#processes.length + 1, engine, tail }
    this.#processes.push(process)
    this.#deathsBefore.push(this.machine.deaths)
    engine.attach(tail)
    return components
  }

  /** Nothing of it may be noticed: an index is made again from the log (L27). */
  #damageIndex(): void {
    const { indexDamageRatio } = this.#configuration
    if (this.#processes.length === 0 || !this.#random.chance(indexDamageRatio)) return
    const isIndex = (path: string): boolean => path.endsWith('.index')
    if (this.machine.flipBit(this.#random, isIndex)) this.#damages++
  }
}
