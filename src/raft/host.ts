// SPDX-License-Identifier: Apache-2.0
// All groups of a node. Durable groups share one log store and one write pipeline, ephemeral ones another, so that what needs
// no disk never waits for it.
import { assert, must } from '#base/assert'
import type { Component } from '#base/component'
import type { Timer } from '#base/port/clock'
import type { Counter } from '#base/port/metrics'
import type { Ports } from '#base/port/ports'
import type { GroupId, LogIndex, NodeId } from './core/message.ts'
import type { RaftLimits } from './core/raft-core.ts'
import { GroupDriver, type RaftGroup } from './group.ts'
import { LogReclaimer } from './log-reclaimer.ts'
import type { LogStore, RecoveredGroup } from './log-store.ts'
import { bootstrapWrite, checkFits, newGroup } from './restore.ts'
import type { StateMachine } from './state-machine.ts'
import { WritePipeline } from './write-pipeline.ts'

export type RaftHostPorts = Pick<Ports, 'clock' | 'metrics' | 'logger' | 'crash' | 'probe' | 'random'>

/** 'durable': acknowledged only after an fsync. 'ephemeral': lost when the process ends. */
export type StoreKind = 'durable' | 'ephemeral'

export interface RaftHostStores {
  readonly durable: LogStore
  /** Needed only by a node that has ephemeral groups. */
  readonly ephemeral?: LogStore
}

export interface RaftHostLimits extends RaftLimits {
  /** Entries of one write of the log, over all groups; one group more may go over it. */
  readonly writeBytesMax: number
  /** Entries of one call of a state machine. */
  readonly applyBytesMax: number
  /** Size of the durable log above which it is reclaimed. */
  readonly walBytesMax: number
  /** The same for the log in memory. */
  readonly memoryLogBytesMax: number
}

export interface RaftHostOptions extends Partial<RaftHostLimits> {
  readonly nodeId: NodeId
}

export interface CreateGroupOptions {
  readonly id: GroupId
  readonly machine: StateMachine
  readonly store: StoreKind
}

const MEBIBYTE = 1024 * 1024
const DEFAULT_LIMITS: RaftHostLimits = Object.freeze({
  uncommittedBytesMax: 32 * MEBIBYTE,
  windowBytesMax: 64 * MEBIBYTE,
  readsMax: 10_000,
  writeBytesMax: 16 * MEBIBYTE,
  applyBytesMax: 4 * MEBIBYTE,
  walBytesMax: 512 * MEBIBYTE,
  memoryLogBytesMax: 16 * MEBIBYTE,
})

const TICK_MS = 100

/** A log store with what works on it. */
interface Lane {
  readonly name: StoreKind
  readonly store: LogStore
  readonly pipeline: WritePipeline
  readonly reclaimer: LogReclaimer
  readonly groups: Map<GroupId, GroupDriver>
}

export class RaftHost implements Component {
  readonly name = 'raft'
  readonly #ports: RaftHostPorts
  readonly #nodeId: NodeId
  readonly #limits: RaftHostLimits
  readonly #lanes: readonly Lane[]
  readonly #refused: Counter
  /** Closed by `stop`, whatever became of `start`. */
  readonly #openStores: LogStore[] = []
  #phase: 'new' | 'starting' | 'running' | 'stopped' | 'crashed' = 'new'
  #ticks: Timer | undefined

  constructor(ports: RaftHostPorts, stores: RaftHostStores, options: RaftHostOptions) {
    this.#ports = { ...ports, logger: ports.logger.scope('raft') }
    this.#nodeId = options.nodeId
    this.#limits = { ...DEFAULT_LIMITS, ...options }
    assert(this.#limits.windowBytesMax >= this.#limits.uncommittedBytesMax, 'windowBytesMax counts what uncommittedBytesMax counts')
    const lanes = [this.#lane('durable', stores.durable, this.#limits.walBytesMax)]
    if (stores.ephemeral !== undefined) lanes.push(this.#lane('ephemeral', stores.ephemeral, this.#limits.memoryLogBytesMax))
    this.#lanes = lanes
    this.#refused = ports.metrics.counter('robustmq_raft_proposals_refused_total', 'Proposals that were refused, for whatever reason.')
    ports.metrics.gauge('robustmq_raft_groups', 'Raft groups of this node.', () => this.#groups().length)
  }

  /** Only before `start`. The group can be used as soon as the host has started; a group that the log store does not know begins empty. */
  createGroup({ id, machine, store }: CreateGroupOptions): RaftGroup {
    assert(this.#phase === 'new', 'groups are created before the host starts')
    const lane = must(
      this.#lanes.find(({ name }) => name === store),
      `the host was given a ${store} log store`,
    )
    assert(
      this.#groups().every((group) => group.id !== id),
      `group ${id} is created once`,
    )
    const group = new GroupDriver(machine, lane.store, {
      id,
      node: this.#nodeId,
      limits: this.#limits,
      applyBytesMax: this.#limits.applyBytesMax,
      schedule: (driver) => lane.pipeline.schedule(driver),
      onRefused: () => this.#refused.add(1),
      crash: (reason) => this.#crash(reason),
    })
    lane.groups.set(id, group)
    return group
  }

  /**
   * Resolves when every group leads and has applied everything committed. Rejects with dataDamaged when the log and the state
   * of a group do not fit together; nothing has been written to that log then.
   */
  async start(): Promise<void> {
    assert(this.#phase === 'new', 'a host is started once')
    this.#phase = 'starting'
    for (const lane of this.#lanes) await this.#restore(lane)
    this.#tick()
    await Promise.all(this.#groups().map((group) => group.serving()))
    this.#phase = 'running'
    for (const { reclaimer } of this.#lanes) reclaimer.check()
  }

  /** Refuses new proposals, finishes what was accepted, makes all state durable and closes the log stores. */
  async stop(): Promise<void> {
    if (this.#phase === 'stopped' || this.#phase === 'crashed') return
    const started = this.#phase === 'running'
    this.#phase = 'stopped'
    this.#ticks?.cancel()
    for (const group of this.#groups()) group.refuse()
    for (const { reclaimer } of this.#lanes) await reclaimer.stop()
    if (started) {
      for (const group of this.#groups()) await group.settled()
      for (const group of this.#groups()) await group.machine.persist()
    }
    for (const store of this.#openStores) await store.close()
  }

  unready(): string | undefined {
    return this.#phase === 'running' ? undefined : `raft is ${this.#phase}`
  }

  #lane(name: StoreKind, store: LogStore, bytesMax: number): Lane {
    const { clock, metrics, logger, probe } = this.#ports
    const groups = new Map<GroupId, GroupDriver>()
    const crash = (reason: Error): void => this.#crash(reason)
    const reclaimer = new LogReclaimer(store, logger, probe, { bytesMax, group: (id) => groups.get(id), crash })
    const onWritten = (bytes: number): void => reclaimer.onWritten(bytes)
    const pipeline = new WritePipeline(store, clock, metrics, { name, writeBytesMax: this.#limits.writeBytesMax, onWritten, crash })
    return { name, store, pipeline, reclaimer, groups }
  }

  async #restore({ name, store, groups }: Lane): Promise<void> {
    const known = new Map<GroupId, RecoveredGroup>()
    for (const recovered of await store.open()) known.set(recovered.group, recovered)
    this.#openStores.push(store)
    const unused = [...known.keys()].filter((id) => !groups.has(id))
    if (unused.length > 0) {
      this.#ports.logger.log('warn', 'the log has groups that this node does not run; they are kept', { groups: unused.join(' ') })
    }
    const restored: { group: GroupDriver; recovered: RecoveredGroup; applied: LogIndex }[] = []
    for (const [id, group] of groups) {
      const recovered = known.get(id) ?? newGroup(id, this.#nodeId)
      const applied = await group.machine.open()
      checkFits(recovered, applied)
      restored.push({ group, recovered, applied })
    }
    const begun = restored.filter(({ group }) => !known.has(group.id)).map(({ recovered }) => bootstrapWrite(recovered))
    if (begun.length > 0) await store.write(begun, { sync: true })
    for (const { group, recovered, applied } of restored) group.restore(recovered, applied)
    this.#ports.logger.log('info', 'restored groups', { store: name, groups: restored.length, begun: begun.length })
  }

  /** One tick for each group, however late the timer fires (M7). Goes on while time matters to any of them. */
  #tick(): void {
    const groups = this.#groups()
    for (const group of groups) group.tick()
    this.#ticks = groups.some((group) => group.needsTicks) ? this.#ports.clock.after(TICK_MS, () => this.#tick()) : undefined
  }

  #groups(): readonly GroupDriver[] {
    return this.#lanes.flatMap(({ groups }) => [...groups.values()])
  }

  /** After this nothing is written, applied or acknowledged, even if the process takes a moment to end (R48). */
  #crash(reason: Error): void {
    if (this.#phase === 'crashed') return
    this.#phase = 'crashed'
    this.#ticks?.cancel()
    for (const { pipeline } of this.#lanes) pipeline.halt()
    for (const group of this.#groups()) group.halt(reason)
    this.#ports.crash(reason)
  }
}
