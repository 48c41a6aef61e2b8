// SPDX-License-Identifier: Apache-2.0
// All groups of a node. Durable groups share one log store and one write pipeline, ephemeral ones another, so that what needs
// no disk never waits for it. Groups with voters on other nodes meet them through one hub.
import { assert, must } from '#base/assert'
import type { Component } from '#base/component'
import type { Timer } from '#base/port/clock'
import type { Counter } from '#base/port/metrics'
import type { PeerTransport } from '#base/port/peer-transport'
import type { Ports } from '#base/port/ports'
import { replacementOf } from '#base/replacement'
import { isLoss, recordLoss } from './amnesia.ts'
import { type GroupId, type LogIndex, type LogStart, NODE_NONE, type NodeId } from './core/message.ts'
import type { RaftLimits, RaftTiming } from './core/raft-core.ts'
import { GroupDriver } from './group.ts'
import { Lane } from './lane.ts'
import { type AddedGroup, type AddGroupOptions, LateGroups } from './late-groups.ts'
import { registerLogGauges } from './log-gauges.ts'
import type { GroupWrite, LogDamage, LogScrub, LogStore, Pace, RecoveredGroup } from './log-store.ts'
import { PeerHub } from './peer/peer-hub.ts'
import type { RaftGroup } from './raft-group.ts'
import { beginLogAt, bootstrapWrite, checkFits, newGroup, newReplicatedGroup } from './restore.ts'
import type { StateMachine } from './state-machine.ts'

export type RaftHostPorts = Pick<Ports, 'clock' | 'metrics' | 'logger' | 'crash' | 'probe' | 'random' | 'disk'>

/** 'durable': acknowledged only after an fsync. 'retained': the same, and kept until its state machines give it up. 'ephemeral': lost when the process ends. */
export type StoreKind = 'durable' | 'retained' | 'ephemeral'

export interface RaftHostStores {
  readonly durable: LogStore
  /** Needed only by a node that has groups of the kind, and so is `ephemeral`. */
  readonly retained?: LogStore
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
  /** Time between two ticks of the groups: the leader of each is heard that often. */
  readonly tickMs?: number
  readonly timing?: RaftTiming
  /** Groups from this one on may be taken up by `addGroup`: that nobody has created them before the start means nothing. */
  readonly lateGroupsFrom?: GroupId
}

export interface CreateGroupOptions {
  readonly id: GroupId
  readonly machine: StateMachine
  readonly store: StoreKind
  /** Those that a new group begins with, when there are to be others than this node; it need not be one of them. */
  readonly voters?: readonly NodeId[]
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
  messageBytesMax: MEBIBYTE,
  inflightMessagesMax: 64,
  inflightBytesMax: 16 * MEBIBYTE,
  trailingBytes: 4 * MEBIBYTE,
})

const TICK_MS = 100
const TIMING: RaftTiming = Object.freeze({ electionTicks: 10, heartbeatTicks: 1 })
/** How often a node that waits for others says so. */
const WAITING_TICKS = 50
/** A leader that stops has so many ticks to hand over, and to finish what was asked of it. */
const FAREWELL_TICKS = 20

/** Metrics of all groups with a store of their own have this label. */
const OWN_LANE = 'own'

export class RaftHost implements Component {
  readonly name = 'raft'
  readonly #ports: RaftHostPorts
  readonly #nodeId: NodeId
  readonly #limits: RaftHostLimits
  /** Those of the constructor, then those of groups with a store of their own. */
  readonly #lanes: readonly Lane[]
  readonly #late: LateGroups
  readonly #lateGroupsFrom: GroupId
  readonly #refused: Counter
  /** Of the groups that have others than this node. */
  readonly #initialVoters = new Map<GroupId, readonly NodeId[]>()
  /** Undefined on a node that has no others. */
  readonly #hub: PeerHub | undefined
  readonly #tickMs: number
  readonly #timing: RaftTiming
  #tickCount = 0
  #phase: 'new' | 'starting' | 'running' | 'stopped' | 'crashed' = 'new'
  #ticks: Timer | undefined

  /** `transport` is how other nodes are reached, when there are any. */
  constructor(ports: RaftHostPorts, stores: RaftHostStores, options: RaftHostOptions, transport?: PeerTransport) {
    this.#ports = { ...ports, logger: ports.logger.scope('raft') }
    this.#nodeId = options.nodeId
    this.#tickMs = options.tickMs ?? TICK_MS
    this.#timing = options.timing ?? TIMING
    this.#hub =
      transport === undefined ? undefined : new PeerHub({ nodeId: this.#nodeId, transport, disk: ports.disk, logger: this.#ports.logger })
    this.#limits = { ...DEFAULT_LIMITS, ...options }
    assert(this.#limits.windowBytesMax >= this.#limits.uncommittedBytesMax, 'windowBytesMax counts what uncommittedBytesMax counts')
    this.#lateGroupsFrom = options.lateGroupsFrom ?? Number.POSITIVE_INFINITY
    const lanes = [this.#lane('durable', stores.durable, this.#limits.walBytesMax)]
    if (stores.retained !== undefined) lanes.push(this.#lane('retained', stores.retained, Number.POSITIVE_INFINITY))
    if (stores.ephemeral !== undefined) lanes.push(this.#lane('ephemeral', stores.ephemeral, this.#limits.memoryLogBytesMax))
    this.#lanes = lanes
    this.#late = new LateGroups(lanes, {
      node: this.#nodeId,
      isRunning: () => this.#phase === 'running',
      createLane: (store) => this.#lane(OWN_LANE, store, Number.POSITIVE_INFINITY),
      createDriver: (lane, id, machine) => this.#driver(lane, id, machine, undefined),
    })
    this.#refused = ports.metrics.counter('robustmq_raft_proposals_refused_total', 'Proposals that were refused, for whatever reason.')
    ports.metrics.gauge('robustmq_raft_groups', 'Raft groups of this node.', () => this.#groups().length)
    registerLogGauges(ports.metrics, () => this.#lanes)
  }

  /** Only before `start`. The group can be used as soon as the host has started; a group that the log store does not know begins empty. */
  createGroup({ id, machine, store, voters }: CreateGroupOptions): RaftGroup {
    assert(this.#phase === 'new', 'groups are created before the host starts')
    const lane = this.#laneOf(store)
    const hub = voters === undefined ? undefined : must(this.#hub, 'a group with other voters has a transport')
    const group = this.#driver(lane, id, machine, hub)
    lane.groups.set(id, group)
    hub?.add(group)
    if (voters !== undefined) {
      this.#initialVoters.set(id, voters)
      this.#measure(group)
    }
    return group
  }

  /** Only while the host runs. Creates a group of which this node is the only voter, or takes up what the log store has of it. */
  addGroup(options: AddGroupOptions): AddedGroup {
    return this.#late.add(options)
  }

  /**
   * Only while the host runs. Ends a group, if it runs, and drops what the log has of it; resolves when that is durable. A store of its own is closed, and its files are the
   * caller's to remove. To be called when it is certain that nobody needs the group any more (R50).
   */
  removeGroup(id: GroupId): Promise<void> {
    return this.#late.remove(id)
  }

  /** Groups that the log stores have and nobody runs. */
  unclaimedGroups(): readonly GroupId[] {
    return this.#lanes.flatMap(({ unclaimed }) => [...unclaimed.keys()])
  }

  #driver(lane: Lane, id: GroupId, machine: StateMachine, hub: PeerHub | undefined): GroupDriver {
    assert(
      this.#groups().every((group) => group.id !== id),
      `group ${id} is created once`,
    )
    const random = this.#ports.random.stream(`raft ${id}`)
    return new GroupDriver(machine, lane.store, {
      id,
      node: this.#nodeId,
      limits: this.#limits,
      timing: this.#timing,
      random: (min, max) => random.range(min, max),
      link: hub?.link(id, machine),
      applyBytesMax: this.#limits.applyBytesMax,
      schedule: (driver) => lane.pipeline.schedule(driver),
      onRefused: () => this.#refused.add(1),
      onLeader: (leader, term) => this.#tellLeader(id, leader, term),
      onForgetful: (member) => this.#tellForgetful(id, member),
      crash: (reason) => this.#crash(reason),
    })
  }

  /**
   * Resolves when every group can serve: it leads, or has caught up with a leader on another node, for which it waits as long as it takes. Rejects
   * with dataDamaged when the log and the state of a group do not fit together; nothing has been written to that log then. Rejects with stopping
   * when it was interrupted.
   */
  async start(): Promise<void> {
    assert(this.#phase === 'new', 'a host is started once')
    this.#phase = 'starting'
    const machineOf = (id: GroupId): StateMachine | undefined => this.#groups().find((group) => group.id === id)?.machine
    const installed = (await this.#hub?.recover(machineOf)) ?? new Map<GroupId, LogStart>()
    for (const lane of this.#lanes) await this.#restore(lane, installed)
    await this.#hub?.start()
    this.#tick()
    await Promise.all(this.#groups().map((group) => group.serving()))
    this.#phase = 'running'
    for (const { reclaimer } of this.#lanes) reclaimer.check()
  }

  /** Drops what the state machines of the retained log have given up. */
  async reclaimRetained(): Promise<void> {
    await this.#lanes.find(({ name }) => name === 'retained')?.reclaimer.reclaim()
  }

  /** The same of a group with a store of its own. */
  async reclaimOwn(id: GroupId): Promise<void> {
    await this.#late.reclaim(id)
  }

  /** Verifies the files of all logs, one after the other, at a pace (`LogStore.scrub`). */
  async scrub(pace: Pace): Promise<LogScrub> {
    const damaged: LogDamage[] = []
    const verified: LogScrub['verified'][number][] = []
    for (const lane of [...this.#lanes]) {
      const found = await lane.scrub(pace)
      damaged.push(...found.damaged)
      verified.push(...found.verified)
    }
    return { damaged, verified }
  }

  /** Lets a `start` that waits for other nodes end, by a rejection. */
  interrupt(): void {
    for (const group of this.#groups()) group.refuse()
  }

  /** Refuses new proposals, hands leadership over, finishes what was accepted, makes all state durable and closes the log stores. */
  async stop(): Promise<void> {
    if (this.#phase === 'stopped' || this.#phase === 'crashed') return
    const started = this.#phase === 'running'
    this.#phase = 'stopped'
    for (const group of this.#groups()) group.refuse()
    await this.#late.settled()
    await Promise.all(this.#lanes.map(({ reclaimer }) => reclaimer.stop()))
    if (started) await Promise.all(this.#groups().map((group) => group.handOver(FAREWELL_TICKS)))
    if (started) await Promise.all(this.#groups().map((group) => group.settled(FAREWELL_TICKS)))
    this.#ticks?.cancel()
    this.#ticks = undefined
    await this.#hub?.stop()
    await Promise.all(this.#lanes.map(({ pipeline }) => pipeline.stop()))
    await Promise.all(this.#groups().map((group) => group.quiet()))
    if (started) await Promise.all(this.#groups().map((group) => group.machine.persist()))
    await Promise.all(this.#lanes.map((lane) => lane.close()))
  }

  unready(): string | undefined {
    if (this.#phase !== 'running') return `raft is ${this.#phase}`
    const leaderless = this.#groups().filter((group) => group.status().leader === NODE_NONE && !this.#late.isChanging(group.id))
    return leaderless.length === 0 ? undefined : `no leader is known for raft groups ${leaderless.map(({ id }) => id).join(', ')}`
  }

  #lane(name: string, store: LogStore, bytesMax: number): Lane {
    const { writeBytesMax } = this.#limits
    return new Lane(store, this.#ports, { name, bytesMax, writeBytesMax, crash: (reason) => this.#crash(reason) })
  }

  #laneOf(kind: StoreKind): Lane {
    return must(
      this.#lanes.find(({ name }) => name === kind),
      `the host was given a ${kind} log store`,
    )
  }

  async #restore(lane: Lane, installed: ReadonlyMap<GroupId, LogStart>): Promise<void> {
    const { name, store, groups, unclaimed } = lane
    await lane.open()
    const unused = [...unclaimed.keys()].filter((id) => !groups.has(id) && id < this.#lateGroupsFrom)
    if (unused.length > 0) {
      this.#ports.logger.log('warn', 'the log has groups that this node does not run; they are kept', { groups: unused.join(' ') })
    }
    const restored: { group: GroupDriver; recovered: RecoveredGroup; applied: LogIndex }[] = []
    const begun: GroupWrite[] = []
    for (const [id, group] of groups) {
      const known = lane.claim(id)
      let recovered = known ?? this.#newGroup(id)
      const start = installed.get(id)
      if (start !== undefined) {
        recovered = await beginLogAt(start, recovered, store)
        await this.#hub?.recovered(id)
      }
      const applied = await group.machine.open()
      checkFits(recovered, applied)
      restored.push({ group, recovered, applied })
      if (known === undefined) begun.push(bootstrapWrite(recovered))
    }
    if (begun.length > 0) await store.write(begun, { sync: true })
    for (const { group, recovered, applied } of restored) group.restore(recovered, applied)
    this.#ports.logger.log('info', 'restored groups', { store: name, groups: restored.length, begun: begun.length })
  }

  #newGroup(id: GroupId): RecoveredGroup {
    const voters = this.#initialVoters.get(id)
    return voters === undefined ? newGroup(id, this.#nodeId) : newReplicatedGroup(id, this.#nodeId, voters)
  }

  /**
   * One tick for each group, however late the timer fires, and after the messages that have arrived: a pause of this process must not look like
   * one of its leaders (M7). Goes on while time matters to any group.
   */
  #tick(): void {
    const groups = this.#groups()
    this.#tickCount++
    for (const group of groups) group.tick()
    if (this.#phase === 'starting' && this.#tickCount % WAITING_TICKS === 0) this.#tellWaiting(groups)
    const again = (): void => this.#ports.clock.endOfTurn(() => this.#ticks !== undefined && this.#tick())
    this.#ticks = groups.some((group) => group.needsTicks) ? this.#ports.clock.after(this.#tickMs, again) : undefined
  }

  /** A node that reaches no others forms no cluster of its own: it waits, and says so. */
  #tellWaiting(groups: readonly GroupDriver[]): void {
    const leaderless = groups.map((group) => group.status()).filter(({ leader }) => leader === NODE_NONE)
    const [first] = leaderless
    if (first === undefined) return
    const isMember = first.conf.voters.includes(this.#nodeId) || first.conf.learners.includes(this.#nodeId)
    const others = first.conf.voters.filter((node) => node !== this.#nodeId).join(' ')
    if (isMember) this.#ports.logger.log('warn', 'waiting for a majority of the voters', { groups: leaderless.length, others })
    else this.#ports.logger.log('warn', 'waiting to be made a member by the cluster', { node: this.#nodeId, groups: leaderless.length })
  }

  #tellLeader(group: GroupId, leader: NodeId, term: number): void {
    const { logger } = this.#ports
    if (leader === NODE_NONE) logger.log('info', 'no leader is known', { group, term })
    else logger.log('info', 'a leader is known', { group, leader, term, self: leader === this.#nodeId })
  }

  #tellForgetful(group: GroupId, node: NodeId): void {
    const remedy = replacementOf(node)
    this.#ports.logger.log('error', 'a member has lost entries that it had acknowledged, and is not counted any more', {
      group,
      node,
      remedy,
    })
  }

  /** What dashboards show of a group on several nodes. */
  #measure(group: GroupDriver): void {
    const labels = { group: String(group.id) }
    const gauge = (name: string, help: string, read: () => number): void =>
      this.#ports.metrics.gauge(`robustmq_raft_group_${name}`, help, () => (group.isRestored ? read() : 0), labels)
    gauge('leads', 'Whether this node leads the group.', () => (group.leads ? 1 : 0))
    gauge('leader', 'Node that is known to lead the group; 0 for none.', () => group.status().leader)
    gauge('term', 'Term of the group.', () => group.term)
    gauge('applied', 'Index of the last entry applied.', () => group.applied)
    gauge('commit', 'Index of the last entry known to be committed.', () => group.status().commit)
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
    for (const group of this.#groups()) group.halt()
    const end = (): void => {
      for (const group of this.#groups()) group.fail(reason)
      this.#ports.crash(reason)
    }
    if (isLoss(reason)) void recordLoss(this.#ports.disk, this.#ports.logger, reason).then(end)
    else end()
  }
}
