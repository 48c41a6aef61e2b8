// SPDX-License-Identifier: Apache-2.0
// The nodes of one group, those that came later included: who runs, who is a member, who leads, and the checkers that are told everything.
import { must } from '#base/assert'
import type { ConfState, GroupStatus, NodeId } from '#raft'
import type { LogCollector } from '../logger.ts'
import { SimNetwork } from '../network.ts'
import type { SimProbe } from '../probe.ts'
import type { SimRandom } from '../random.ts'
import type { World } from '../world.ts'
import { isQuorum, RaftChecker } from './checker/raft-checker.ts'
import type { ClusterConfiguration } from './cluster-configuration.ts'
import { ClusterNode, type DataCopy } from './cluster-node.ts'
import { NodeTime } from './node-time.ts'
import { PeerNetwork } from './peer-network.ts'
import { composeRegisters, GROUP, type RegisterObservers, type RegisterProgram } from './register-program.ts'

export type RegisterNode = ClusterNode<RegisterProgram>

/** How long a process is down before somebody starts it again. */
const RESTART_MS_MEAN = 1_500
const SUPERVISE_MS = 200
const HOUR_MS = 3_600_000

export class Cluster {
  readonly world: World
  readonly peers: PeerNetwork
  readonly checker = new RaftChecker(GROUP)
  readonly configuration: ClusterConfiguration
  readonly #random: SimRandom
  readonly #log: LogCollector
  readonly #probe: SimProbe
  readonly #network: SimNetwork
  readonly #initial: readonly NodeId[]
  readonly #nodes = new Map<NodeId, RegisterNode>()
  /** No longer members, or never to run again. */
  readonly #retired = new Set<NodeId>()
  /** Left as they are, whatever that is. */
  readonly #frozen = new Set<NodeId>()
  readonly #restarting = new Set<NodeId>()
  /** A change of the membership was asked for, and may yet be made: until what is in the logs is decided. */
  #membershipOpen: 'asked' | number | undefined

  constructor(world: World, configuration: ClusterConfiguration, log: LogCollector, probe: SimProbe) {
    this.world = world
    this.configuration = configuration
    this.#random = world.random.stream('cluster')
    this.#log = log
    this.#probe = probe
    this.peers = new PeerNetwork(world, world.random.stream('peers'), configuration.peers)
    const client = { delayMs: 1, splitRatio: 0, stallRatio: 0, stallMsMax: 1, windowBytes: 65_536, halfOpenRatio: 0 }
    this.#network = new SimNetwork(world, world.random.stream('network'), client)
    this.#initial = Array.from({ length: configuration.voters }, (_, at) => at + 1)
    for (const id of this.#initial) this.add(id)
    world.addChecker(() => this.#look())
    this.#supervise()
  }

  /** In the order of their ids. */
  nodes(): readonly RegisterNode[] {
    return [...this.#nodes.values()]
  }

  node(id: NodeId): RegisterNode | undefined {
    return this.#nodes.get(id)
  }

  nextId(): NodeId {
    return Math.max(...this.#nodes.keys()) + 1
  }

  /** A machine that the cluster does not know yet. It runs until it is retired. */
  add(id: NodeId): RegisterNode {
    const { world, configuration } = this
    const random = this.#random.stream(`machine ${id}`)
    const rate = 1 + (random.fraction() * 2 - 1) * configuration.driftMax
    const time = new NodeTime(rate, random.range(-HOUR_MS, HOUR_MS), configuration.turnMsMax)
    const surroundings = { world, peers: this.peers, network: this.#network, log: this.#log, probe: this.#probe }
    const node: RegisterNode = new ClusterNode(id, surroundings, time, configuration.machine, (_, ports, transport) =>
      composeRegisters(id, this.#initial, ports, transport, configuration, this.#observers(id)),
    )
    this.#nodes.set(id, node)
    return node
  }

  /** The processes that can answer. */
  running(): readonly RegisterNode[] {
    return this.nodes().filter((node) => node.program !== undefined && !this.#frozen.has(node.id))
  }

  /** The node that leads by its own account, in the latest term that anybody leads. */
  leader(): RegisterNode | undefined {
    const leading = this.nodes().filter((node) => this.statusOf(node)?.role === 'leader')
    return leading.sort((a, b) => termOf(b) - termOf(a))[0]
  }

  /** Undefined while it knows nothing of the group: before its log is read, or before it is told of its membership. */
  statusOf(node: RegisterNode): GroupStatus | undefined {
    const group = node.program?.group
    return group === undefined || group.term === 0 ? undefined : group.status()
  }

  /** The membership as of the latest entry that anybody has applied. */
  conf(): ConfState | undefined {
    return this.checker.conf
  }

  retire(id: NodeId): void {
    const node = must(this.#nodes.get(id), 'only a known node is retired')
    this.#retired.add(id)
    node.kill()
  }

  isRetired(id: NodeId): boolean {
    return this.#retired.has(id)
  }

  get membershipOpen(): boolean {
    return this.#membershipOpen === 'asked' || (this.#membershipOpen !== undefined && this.checker.commit <= this.#membershipOpen)
  }

  openMembership(): void {
    this.#membershipOpen = 'asked'
  }

  closeMembership(): void {
    this.#membershipOpen = this.checker.lastIndex
  }

  /** The data of a node is gone. */
  ruin(node: RegisterNode): void {
    node.ruin()
    this.checker.lost(node.id)
  }

  /** The data of a node that is down gives way to an earlier copy of it, or to an empty disk. */
  turnBack(node: RegisterNode, copy: DataCopy | undefined): void {
    node.replaceData(copy)
    this.checker.lost(node.id)
  }

  /** Nobody starts, heals or asks these again until they are thawed. */
  freeze(ids: readonly NodeId[]): void {
    for (const id of ids) this.#frozen.add(id)
  }

  thaw(): void {
    for (const id of this.#frozen) this.#nodes.get(id)?.resume()
    this.#frozen.clear()
  }

  isFrozen(id: NodeId): boolean {
    return this.#frozen.has(id)
  }

  /** Whether most of the members could do with the loss of one more for good. */
  canSpare(node: RegisterNode): boolean {
    const conf = this.conf()
    if (conf === undefined || this.membershipOpen || conf.outgoing.length > 0) return false
    const sound = conf.voters.filter((id) => id !== node.id && this.#nodes.get(id)?.sound && this.knows(id, conf))
    return isQuorum(conf, new Set(sound))
  }

  /** Whether a node runs with that membership. One that does not know of the last change still needs the voters of before. */
  knows(id: NodeId, conf: ConfState): boolean {
    const node = this.#nodes.get(id)
    const status = node === undefined || node.ruined ? undefined : this.statusOf(node)
    return status !== undefined && JSON.stringify(status.conf) === JSON.stringify(conf)
  }

  /** Everything that was done to the nodes and the ways between them is undone. */
  heal(): void {
    this.peers.heal()
    for (const node of this.nodes()) node.heal()
  }

  describe(): string {
    const lines = this.nodes().map((node) => {
      const status = this.statusOf(node)
      const state = this.#retired.has(node.id)
        ? 'retired'
        : node.ruined
          ? 'ruined'
          : node.paused
            ? 'paused'
            : node.serving
              ? 'serving'
              : node.alive
                ? 'starting'
                : 'down'
      const frozen = this.#frozen.has(node.id) ? ' frozen' : ''
      if (status === undefined) return `node ${node.id} ${state}${frozen}`
      const { role, term, leader, commit, applied, lastIndex, conf } = status
      return `node ${node.id} ${state}${frozen}: ${role} of term ${term}, leader ${leader}, commit ${commit}, applied ${applied}, last ${lastIndex}, ${describeConf(conf)}`
    })
    return lines.join('\n  ')
  }

  #observers(id: NodeId): RegisterObservers {
    const tell = (report: () => void): void => {
      try {
        report()
      } catch (broken) {
        this.world.fail(broken)
      }
    }
    return {
      log: {
        opened: (recovered, termOf) =>
          tell(() => {
            const own = recovered.find(({ group }) => group === GROUP)
            this.checker.opened(id, own, (index) => termOf(GROUP, index))
          }),
        written: (batch) =>
          tell(() => {
            for (const write of batch) if (write.group === GROUP) this.checker.written(id, write)
          }),
        deferred: (batch) =>
          tell(() => {
            for (const write of batch) if (write.group === GROUP) this.checker.deferred(id, write)
          }),
      },
      machine: {
        applied: (entry, state) => tell(() => this.checker.applied(id, entry, state)),
        installed: (index, state) => tell(() => this.checker.state(id, index, state)),
      },
    }
  }

  /** Only the process whose event it was can have changed. */
  #look(): void {
    const life = this.world.eventLife
    const node = life === undefined ? undefined : this.#nodes.get(life.node)
    if (node === undefined || node.life !== life) return
    if (node.ruined) this.checker.lost(node.id)
    const status = this.statusOf(node)
    if (status !== undefined) this.checker.status(node.id, node.life.incarnation, status)
  }

  /** Starts again, some time later, what is down and should not be. */
  #supervise(): void {
    for (const node of this.nodes()) {
      if (node.alive || node.ruined || this.#retired.has(node.id) || this.#frozen.has(node.id) || this.#restarting.has(node.id)) continue
      this.#restarting.add(node.id)
      const delayMs = node.life.incarnation === 0 ? this.#random.fraction() * 500 : this.#random.delayMs(RESTART_MS_MEAN)
      this.world.schedule('fault', undefined, delayMs, () => {
        this.#restarting.delete(node.id)
        if (!node.alive && !node.ruined && !this.#retired.has(node.id) && !this.#frozen.has(node.id)) node.start()
      })
    }
    this.world.schedule('fault', undefined, SUPERVISE_MS, () => this.#supervise())
  }
}

const termOf = (node: RegisterNode): number => node.program?.group.term ?? 0

export function describeConf({ voters, learners, outgoing, learnersNext }: ConfState): string {
  const lists = [`voters ${voters}`]
  if (learners.length > 0) lists.push(`learners ${learners}`)
  if (outgoing.length > 0) lists.push(`outgoing ${outgoing}`)
  if (learnersNext.length > 0) lists.push(`learners next ${learnersNext}`)
  return lists.join(' ')
}
