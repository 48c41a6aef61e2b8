// SPDX-License-Identifier: Apache-2.0
// One machine of a simulated cluster: what it keeps across restarts, and the process that runs on it now, if any.
import { assert } from '#base/assert'
import type { Component } from '#base/component'
import { isPlatformError, messageOf } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Clock } from '#base/port/clock'
import type { PeerTransport } from '#base/port/peer-transport'
import type { Ports } from '#base/port/ports'
import { Node } from '../../../roles/node.ts'
import { type DiskOperation, SimDisk } from '../disk.ts'
import { SimHashing } from '../hashing.ts'
import { type KvConditions, SimKvStore } from '../kv.ts'
import { Life } from '../life.ts'
import type { LogCollector } from '../logger.ts'
import { ENOUGH_MEMORY } from '../memory.ts'
import { SimMetrics } from '../metrics.ts'
import type { SimNetwork } from '../network.ts'
import { NO_FILES } from '../no-files.ts'
import type { SimProbe } from '../probe.ts'
import type { SimRandom } from '../random.ts'
import { SortedMap } from '../sorted-map.ts'
import { SimFailure, type World } from '../world.ts'
import type { NodeTime } from './node-time.ts'
import type { PeerNetwork } from './peer-network.ts'

/** What runs on a node, as its composition made it. */
export interface Program {
  readonly components: readonly Component[]
}

export type ComposeProgram<P extends Program> = (node: number, ports: Ports, transport: PeerTransport) => P

export interface MachineConditions {
  readonly kv: KvConditions
  readonly disk: { readonly delayMs: number; readonly syncDelayMs: number }
}

export interface ClusterSurroundings {
  readonly world: World
  readonly peers: PeerNetwork
  /** What clients would come by. */
  readonly network: SimNetwork
  readonly log: LogCollector
  readonly probe: SimProbe
}

/** What a machine had stored at some moment. */
export interface DataCopy {
  readonly disk: SimDisk
  readonly stored: SortedMap
}

/** 'crash' takes the power too; 'exit' is by its own decision, after a fault that was injected. */
export type NodeEnding = 'kill' | 'crash' | 'exit' | 'stop'

/** Of an operation of a slow disk: it may have begun right before the disk is as quick again as it was. */
const OPERATION_MS_MAX = 30_000

export class ClusterNode<P extends Program> {
  readonly id: number
  readonly time: NodeTime
  readonly #surroundings: ClusterSurroundings
  readonly #random: SimRandom
  readonly #conditions: MachineConditions
  readonly #compose: ComposeProgram<P>
  readonly #kv: SimKvStore
  #disk = new SimDisk()
  #life: Life
  #process: Node | undefined
  #program: P | undefined
  #serving = false
  /** A disk that fails, is full or was damaged may end the process. */
  #exitAllowed = false
  #damaged = false
  #ruined = false
  #slowness = 1
  #storeSlowness = 1

  constructor(id: number, surroundings: ClusterSurroundings, time: NodeTime, conditions: MachineConditions, compose: ComposeProgram<P>) {
    this.id = id
    this.time = time
    this.#surroundings = surroundings
    this.#random = surroundings.world.random.stream(`node ${id}`)
    this.#conditions = conditions
    this.#compose = compose
    const slowness = (): number => this.#storeSlowness
    const kv = {
      get delayMs(): number {
        return conditions.kv.delayMs * slowness()
      },
      syncDelayMs: conditions.kv.syncDelayMs,
    }
    this.#kv = new SimKvStore(surroundings.world, this.#random.stream('kv'), kv)
    this.#life = new Life(id, 0)
    this.#life.end()
  }

  get life(): Life {
    return this.#life
  }

  get alive(): boolean {
    return this.#life.alive
  }

  get paused(): boolean {
    return this.#life.pausedUntilUs > this.#surroundings.world.nowUs
  }

  /** Its process has started, and does not stand still. */
  get serving(): boolean {
    return this.#serving && this.#life.alive && !this.paused
  }

  /** Of the process that runs now. */
  get program(): P | undefined {
    return this.#life.alive ? this.#program : undefined
  }

  /** What its key-value store shows to a reader, whether a process runs or not. */
  get stored(): SortedMap {
    return this.#kv.view()
  }

  /** It must not be started again: it has lost what it had promised to keep. */
  get ruined(): boolean {
    return this.#ruined
  }

  /** Nothing was done to its data. */
  get sound(): boolean {
    return !this.#ruined && !this.#damaged
  }

  start(): void {
    const life = new Life(this.id, this.#life.incarnation + 1)
    this.#life = life
    this.#serving = false
    this.#disk = this.#disk.kill({ delay: this.#diskDelay(life) })
    this.note('start')
    const ports = this.#ports(life)
    const process = new Node(ports.clock, ports.logger)
    const program = this.#compose(this.id, ports, this.#surroundings.peers.forLife(life))
    this.#process = process
    this.#program = program
    this.#run(life, async () => {
      const outcome = await process.start(program.components)
      this.#serving = outcome === 'running'
      if (this.#serving) this.note('serving')
    })
  }

  stop(): void {
    const life = this.#life
    const process = this.#process
    if (!life.alive || process === undefined) return
    this.#serving = false
    this.note('stop')
    this.#run(life, async () => {
      const outcome = await process.stop()
      if (!life.alive) return
      // Without a majority it may have to give up what it owes.
      if (outcome.kind === 'unclean') this.note(`stopped unclean: ${outcome.problems.join('; ')}`)
      this.#end('stop')
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

  /** Infinite: until `resume`. */
  pause(durationMs: number): void {
    if (!this.alive) return
    this.note(`pause ${durationMs.toFixed(0)} ms`)
    this.#life.pauseUntil(this.#surroundings.world.nowUs + Math.ceil(durationMs * 1000))
  }

  /** Ends a pause that has no end of its own. */
  resume(): void {
    if (this.#life.pausedUntilUs === Number.POSITIVE_INFINITY) this.#surroundings.world.resume(this.#life)
  }

  /** The next sync of a file fails; the process must end itself (R48). */
  failNextSync(): void {
    this.note('next sync fails')
    this.#exitAllowed = true
    this.#disk.fail('sync')
  }

  /** No more than so many bytes fit on the disk. Undefined: as many as are wanted again. */
  limitDisk(bytes: number | undefined): void {
    this.note(bytes === undefined ? 'disk has room again' : 'disk is full')
    if (bytes !== undefined) this.#exitAllowed = true
    this.#disk.setCapacity(bytes ?? Number.MAX_SAFE_INTEGER)
  }

  usedBytes(): number {
    return this.#disk.paths().reduce((sum, path) => sum + this.#disk.bytes(path).length, 0)
  }

  slowDisk(factor: number): void {
    this.note(`disk is ${factor} times as slow`)
    this.#slowness = factor
  }

  /** Its key-value store is slow, and so is what applies entries to it. */
  slowStore(factor: number): void {
    this.note(`its store is ${factor} times as slow`)
    this.#storeSlowness = factor
  }

  /** Of a machine whose process is down. */
  copyData(): DataCopy {
    assert(!this.alive, 'a copy is taken of data that nobody writes')
    return { disk: this.#disk.clone(), stored: this.stored.fork() }
  }

  /** While the process is down, an earlier copy takes the place of the data; or nothing does, as on a new disk. It may start only to find that out. */
  replaceData(copy: DataCopy | undefined): void {
    assert(!this.alive, 'the data of a running process is not replaced')
    this.#disk = copy?.disk.clone() ?? new SimDisk()
    this.#kv.restore(copy?.stored ?? new SortedMap())
    this.#damaged = true
    this.note(copy === undefined ? 'its disk is empty' : 'its disk is as it was earlier')
  }

  /** While the process is down, one bit of what it had written changes. It may start only to find that out. */
  flipBit(random: SimRandom): void {
    const paths = this.#disk.paths().filter((path) => this.#disk.bytes(path).length > 0)
    if (paths.length === 0) return
    const path = random.pick(paths)
    const offset = random.range(0, this.#disk.bytes(path).length - 1)
    this.#disk.damage(path, offset, 1 << random.range(0, 7))
    this.#damaged = true
    this.note(`a bit of ${path} at ${offset} has flipped`)
  }

  /** Its data is gone, or not to be trusted: it never runs again, and its place must be given to another. */
  ruin(): void {
    this.#end('crash')
    if (this.#ruined) return
    this.#ruined = true
    this.note('ruined')
  }

  /** No injected disk fault outlives this. */
  heal(): void {
    this.#slowness = 1
    this.#storeSlowness = 1
    this.#disk.setCapacity(Number.MAX_SAFE_INTEGER)
    this.#disk.fail('sync', 0)
    this.resume()
  }

  note(text: string): void {
    const { world } = this.#surroundings
    if (world.trace.recording) world.trace.line(`${world.nowMs.toFixed(3).padStart(12)} node ${this.id}.${this.#life.incarnation}: ${text}`)
  }

  #end(ending: NodeEnding): void {
    if (!this.#life.alive) return
    this.note(ending)
    this.#life.end()
    this.#serving = false
    this.#program = undefined
    this.#surroundings.peers.end(this.#life, ending === 'crash')
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
      if (life.alive) this.#failed(error)
    })
  }

  /** Whether the process had a reason that was given to it. */
  #failed(error: unknown): void {
    this.note(`failed: ${messageOf(error)}`)
    const damageFound = this.#damaged && isPlatformError(error) && error.code === ERROR_CODES.dataDamaged
    if (damageFound) this.ruin()
    else if (this.#exitAllowed || (isPlatformError(error) && error.code === ERROR_CODES.stopping)) this.#end('exit')
    else this.#surroundings.world.fail(new SimFailure(`node ${this.id} ended itself: ${messageOf(error)}`, { cause: error }))
  }

  #ports(life: Life): Ports {
    const { world, network, log, probe } = this.#surroundings
    const random = this.#random.stream('process')
    const clock: Clock = this.time.clock(world, life, random.stream('turns'))
    return {
      clock,
      random,
      hashing: new SimHashing(world, life, random.stream('hashing')),
      memory: ENOUGH_MEMORY,
      disk: this.#disk,
      files: NO_FILES,
      kv: this.#kv.open(life),
      network: network.forLife(life),
      logger: log.forLife(life),
      metrics: new SimMetrics(),
      probe,
      crash: (reason) => this.#exit(life, reason),
    }
  }

  #exit(life: Life, reason: Error): void {
    const { world } = this.#surroundings
    if (life.alive) this.#failed(reason)
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
        world.schedule('disk', life, Math.min(random.delayMs(mean * this.#slowness), OPERATION_MS_MAX), resolve)
      })
  }
}
