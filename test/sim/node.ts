// SPDX-License-Identifier: Apache-2.0
// One simulated machine: what it keeps across restarts, and the process that runs on it now, if any.
import { must } from '#base/assert'
import type { Component } from '#base/component'
import { messageOf } from '#base/error'
import type { Ports } from '#base/port/ports'
import { Node } from '../../roles/node.ts'
import type { ServerHistory } from './client-observer.ts'
import { type ClockOptions, SimClock } from './clock.ts'
import { type DiskOperation, SimDisk } from './disk.ts'
import { SimHashing } from './hashing.ts'
import { type KvConditions, SimKvStore } from './kv.ts'
import { Life } from './life.ts'
import type { LogCollector } from './logger.ts'
import { ENOUGH_MEMORY } from './memory.ts'
import { SimMetrics } from './metrics.ts'
import type { SimNetwork } from './network.ts'
import { NO_FILES } from './no-files.ts'
import type { SimProbe } from './probe.ts'
import type { SimRandom } from './random.ts'
import { SimFailure, type World } from './world.ts'

/** Names every part of a node; the simulator runs the function that production runs. */
export type Compose = (ports: Ports, unready: () => readonly string[]) => readonly Component[]

export interface DiskConditions {
  readonly delayMs: number
  readonly syncDelayMs: number
}

export interface NodeConditions {
  readonly clock: ClockOptions
  readonly kv: KvConditions
  readonly disk: DiskConditions
}

/** What the nodes of a world share. */
export interface Surroundings {
  readonly world: World
  readonly network: SimNetwork
  readonly log: LogCollector
  readonly probe: SimProbe
}

/** How the process ended: 'crash' takes the power too, 'exit' is by its own decision after a failed disk. */
export type Ending = 'kill' | 'crash' | 'exit' | 'stop'

export class SimNode implements ServerHistory {
  readonly id: number
  readonly #surroundings: Surroundings
  readonly #random: SimRandom
  readonly #conditions: NodeConditions
  readonly #compose: Compose
  readonly #kv: SimKvStore
  #disk: SimDisk
  #life: Life
  #process: Node | undefined
  #metrics = new SimMetrics()
  #serving = false
  #deaths = 0
  /** An injected disk failure is about to end the process. */
  #exitExpected = false
  /** The disk may be full. */
  #diskLimited = false

  constructor(id: number, surroundings: Surroundings, conditions: NodeConditions, compose: Compose) {
    this.id = id
    this.#surroundings = surroundings
    this.#random = surroundings.world.random.stream(`node ${id}`)
    this.#conditions = conditions
    this.#compose = compose
    this.#kv = new SimKvStore(surroundings.world, this.#random.stream('kv'), conditions.kv)
    this.#life = new Life(id, 0)
    this.#life.end()
    this.#disk = new SimDisk()
  }

  /** A process runs, though it may not serve yet. */
  get alive(): boolean {
    return this.#life.alive
  }

  /** All components have started, and none of them stands still. */
  get serving(): boolean {
    return this.#serving && this.#life.alive && this.#life.pausedUntilUs <= this.#surroundings.world.nowUs
  }

  /** Processes that have run here, this one included. */
  get lives(): number {
    return this.#life.incarnation
  }

  /** Processes that ended other than by `stop`: what they knew and had not made durable is gone. */
  get deaths(): number {
    return this.#deaths
  }

  get metrics(): SimMetrics {
    return this.#metrics
  }

  /** Starts a process. A start that fails while nothing is broken is a failure of the run. */
  start(): void {
    const life = new Life(this.id, this.#life.incarnation + 1)
    this.#life = life
    this.#serving = false
    this.#exitExpected = false
    this.#disk = this.#disk.kill({ delay: this.#diskDelay(life) })
    this.#note('start')
    const ports = this.#ports(life)
    const process = new Node(ports.clock, ports.logger)
    this.#process = process
    this.#run(life, async () => {
      await process.start(this.#compose(ports, () => process.unready()))
      this.#serving = true
      this.#note('serving')
    })
  }

  /** Stops in order, then ends the process. `done` is called unless a kill comes first. */
  stop(done: () => void): void {
    const life = this.#life
    const process = must(this.#process, 'a node that stops has started')
    this.#serving = false
    this.#note('stop')
    this.#run(life, async () => {
      const outcome = await process.stop()
      if (!life.alive) return
      if (outcome.kind === 'unclean') throw new SimFailure(outcome.problems.join('; '))
      this.#end('stop')
      done()
    })
  }

  /** The process dies. What it wrote is with the operating system. */
  kill(): void {
    this.#end('kill')
  }

  /** The power goes: what was not synced may be lost in part. */
  crash(): void {
    this.#end('crash')
  }

  /** The process stands still, as in a long collection of garbage. */
  pause(durationMs: number): void {
    const { world } = this.#surroundings
    this.#note(`pause ${durationMs.toFixed(0)} ms`)
    this.#life.pauseUntil(world.nowUs + Math.ceil(durationMs * 1000))
  }

  /** The next sync of a file fails; the process must end itself (R48). */
  failNextSync(): void {
    this.#note('next sync fails')
    this.#exitExpected = true
    this.#disk.fail('sync')
  }

  /** Only so many more bytes fit on the disk; undefined: as many as are wanted again. A process that meets the end of the disk must end itself (R49). */
  limitDisk(roomBytes: number | undefined): void {
    this.#note(roomBytes === undefined ? 'disk has room again' : `disk has room for ${roomBytes} bytes`)
    // One that has met it may not have noticed yet.
    if (this.#diskLimited) this.#exitExpected = true
    this.#diskLimited = roomBytes !== undefined
    const used = this.#disk.paths().reduce((sum, path) => sum + this.#disk.bytes(path).length, 0)
    this.#disk.setCapacity(roomBytes === undefined ? Number.MAX_SAFE_INTEGER : used + roomBytes)
  }

  /** One bit of a file that `isVictim` accepts changes on the disk. False when there is no such file. */
  flipBit(random: SimRandom, isVictim: (path: string) => boolean): boolean {
    const paths = this.#disk.paths().filter((path) => isVictim(path) && this.#disk.bytes(path).length > 0)
    if (paths.length === 0) return false
    const path = random.pick(paths)
    const offset = random.range(0, this.#disk.bytes(path).length - 1)
    this.#disk.damage(path, offset, 1 << random.range(0, 7))
    this.#note(`a bit of ${path} at ${offset} has flipped`)
    return true
  }

  /** A disk failure that has not struck yet never will. One that has is still to end the process. */
  heal(): void {
    if (this.#disk.heal()) this.#exitExpected = false
    if (this.#diskLimited) this.limitDisk(undefined)
  }

  /** A disk failure was injected: the process may be about to end itself. */
  get mayExit(): boolean {
    return this.#exitExpected || this.#diskLimited
  }

  #end(ending: Ending): void {
    if (!this.#life.alive) return
    this.#note(ending)
    this.#life.end()
    this.#serving = false
    if (ending !== 'stop') this.#deaths++
    this.#surroundings.network.end(this.#life, ending === 'crash')
    if (ending === 'crash') {
      this.#kv.crash()
      this.#disk = this.#disk.crash(this.#random.stream('power loss'))
    } else {
      this.#kv.kill()
      this.#disk = this.#disk.kill()
    }
  }

  #run(life: Life, work: () => Promise<void>): void {
    work().catch((error: unknown) => {
      if (!life.alive) return
      if (this.mayExit) this.#end('exit')
      else this.#surroundings.world.fail(new SimFailure(`node ${this.id} could not start or stop: ${messageOf(error)}`, { cause: error }))
    })
  }

  #ports(life: Life): Ports {
    const { world, network, log, probe } = this.#surroundings
    const random = this.#random.stream('process')
    this.#metrics = new SimMetrics()
    return {
      clock: new SimClock(world, life, random.stream('turns'), this.#conditions.clock),
      random,
      hashing: new SimHashing(world, life, random.stream('hashing')),
      memory: ENOUGH_MEMORY,
      disk: this.#disk,
      files: NO_FILES,
      kv: this.#kv.open(life),
      network: network.forLife(life),
      logger: log.forLife(life),
      metrics: this.#metrics,
      probe,
      crash: (reason) => this.#exit(life, reason),
    }
  }

  /** The process ends itself. Its current call goes no further; what it throws on the way out has no reader. */
  #exit(life: Life, reason: Error): void {
    const { world } = this.#surroundings
    if (life.alive) {
      if (this.mayExit) this.#end('exit')
      else world.fail(new SimFailure(`node ${this.id} ended itself: ${reason.message}`, { cause: reason }))
    }
    world.processEnded()
    throw reason
  }

  #diskDelay(life: Life): (operation: DiskOperation) => Promise<void> {
    const { world } = this.#surroundings
    const random = this.#random.stream('disk')
    const { delayMs, syncDelayMs } = this.#conditions.disk
    return (operation) =>
      new Promise((resolve) => {
        const mean = operation === 'sync' || operation === 'syncDirectory' ? syncDelayMs : delayMs
        world.trace.mix(operation.length)
        world.schedule('disk', life, random.delayMs(mean), resolve)
      })
  }

  #note(text: string): void {
    const { world } = this.#surroundings
    if (world.trace.recording) world.trace.line(`${world.nowMs.toFixed(3).padStart(12)} node ${this.id}.${this.#life.incarnation}: ${text}`)
  }
}
