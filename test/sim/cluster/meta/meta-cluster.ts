// SPDX-License-Identifier: Apache-2.0
// The nodes of a cluster that share metadata: who runs, who leads, and the checker of their states, which sees every change of what they store.
import { must } from '#base/assert'
import type { NodeId } from '#base/port/peer-transport'
import type { MetaGroupStatus } from '#contract/client/meta-admin-client'
import { ADMIN_SERVICE, RpcAdminClient } from '#meta'
import type { LogCollector } from '../../logger.ts'
import { SimNetwork } from '../../network.ts'
import type { SimProbe } from '../../probe.ts'
import type { SimRandom } from '../../random.ts'
import type { World } from '../../world.ts'
import type { FaultTarget } from '../cluster-faults.ts'
import { ClusterNode, type ClusterSurroundings, type Program } from '../cluster-node.ts'
import { NodeTime } from '../node-time.ts'
import { PeerNetwork } from '../peer-network.ts'
import type { MetaConfiguration } from './meta-configuration.ts'
import { type ClusterPlace, composeMetaNode, META_GROUPS, SimAddressBook } from './meta-program.ts'
import { RpcNetwork } from './rpc-network.ts'
import type { SessionWorkload } from './session-workload.ts'
import { StateChecker } from './state-checker.ts'

export type MetaNode = ClusterNode<Program>

const RESTART_MS_MEAN = 1_500
const SUPERVISE_MS = 200
/** How often contents are compared, and leaders are asked for. */
const COMPARE_MS = 500
/** Nodes that a cluster may get in the course of time, beyond those it began with. */
const ADDED_MAX = 5
/** Sessions of clients last for an hour: clocks that differ by more end them early. */
const CLOCK_OFFSET_MS_MAX = 600_000

export class MetaCluster implements FaultTarget {
  readonly world: World
  readonly configuration: MetaConfiguration
  readonly peers: PeerNetwork
  readonly rpc: RpcNetwork
  readonly #random: SimRandom
  readonly #surroundings: ClusterSurroundings
  readonly #sessions: SessionWorkload
  readonly #nodes = new Map<NodeId, MetaNode>()
  /** The voters of all groups, as of the last change that is finished. */
  #members: readonly NodeId[]
  readonly #retired = new Set<NodeId>()
  /** Until then a change of the membership is under way, or what was asked for late may still be done. */
  #membershipOpenUntilMs = 0
  readonly #frozen = new Set<NodeId>()
  readonly #restarting = new Set<NodeId>()
  readonly #checker = new StateChecker(META_GROUPS)
  readonly #statuses = new Map<NodeId, readonly MetaGroupStatus[]>()

  constructor(world: World, configuration: MetaConfiguration, log: LogCollector, probe: SimProbe, sessions: SessionWorkload) {
    this.world = world
    this.configuration = configuration
    this.#random = world.random.stream('cluster')
    this.peers = new PeerNetwork(world, world.random.stream('peers'), configuration.peers)
    this.rpc = new RpcNetwork(world, world.random.stream('rpc'), configuration.rpc)
    const unused = { delayMs: 1, splitRatio: 0, stallRatio: 0, stallMsMax: 1, windowBytes: 65_536, halfOpenRatio: 0 }
    const network = new SimNetwork(world, world.random.stream('network'), unused)
    this.#surroundings = { world, peers: this.peers, network, log, probe }
    this.#sessions = sessions
    this.#members = Array.from({ length: configuration.voters }, (_, at) => at + 1)
    for (const id of this.#members) this.#create(id, { founders: this.#members, joins: false })
    world.addChecker(() => this.#look())
    this.#supervise()
    this.#compareLater()
  }

  nodes(): readonly MetaNode[] {
    return [...this.#nodes.values()]
  }

  running(): readonly MetaNode[] {
    return this.nodes().filter(({ id, alive }) => alive && !this.#frozen.has(id))
  }

  /** That of the metadata, as of the last time somebody was asked. */
  leader(): MetaNode | undefined {
    const leading = this.running().filter(({ id }) => this.#metadataOf(id)?.role === 'leader')
    return leading.sort((a, b) => (this.#metadataOf(b.id)?.term ?? 0) - (this.#metadataOf(a.id)?.term ?? 0))[0]
  }

  /** Ids of all nodes there are and may ever be. */
  ids(): readonly NodeId[] {
    return Array.from({ length: this.configuration.voters + ADDED_MAX }, (_, at) => at + 1)
  }

  /** The nodes that vote, once no change is under way. */
  members(): readonly MetaNode[] {
    return this.#members.map((id) => must(this.#nodes.get(id), 'a member is a known node'))
  }

  /** How many nodes may yet be added. */
  get room(): number {
    return this.configuration.voters + ADDED_MAX - this.#nodes.size
  }

  /** A machine that the cluster does not know yet, and that knows the cluster. */
  add(): MetaNode {
    return this.#create(Math.max(...this.#nodes.keys()) + 1, { founders: this.#members, joins: true })
  }

  openMembership(): void {
    this.#membershipOpenUntilMs = Number.POSITIVE_INFINITY
  }

  /** The place of `old` is that of `fresh`. A request that was given up may yet arrive. */
  closeMembership(old: NodeId, fresh: NodeId): void {
    this.#members = [...this.#members.filter((id) => id !== old), fresh].sort((a, b) => a - b)
    this.#membershipOpenUntilMs = this.world.nowMs + this.configuration.rpc.tailMs + 2 * COMPARE_MS
  }

  /** No change is under way, and whoever knows most of a group knows the same members of it. */
  get isSettled(): boolean {
    if (this.world.nowMs < this.#membershipOpenUntilMs) return false
    return META_GROUPS.every((group) => {
      const known = [...this.#statuses.values()].flatMap((groups) => groups.filter((status) => status.group === group))
      const latest = known.sort((a, b) => b.applied - a.applied)[0]
      return latest?.learners.length === 0 && latest.voters.join() === this.#members.join()
    })
  }

  /** It is no member any more, and is switched off for good. */
  retire(id: NodeId): void {
    this.#retired.add(id)
    must(this.#nodes.get(id), 'only a known node is retired').kill()
  }

  /** Whether most of the members could do with the loss of one more for good (T10), and others can take the places of all that are lost or may be. */
  canSpare(node: MetaNode): boolean {
    const members = this.members()
    const sound = members.filter((member) => member !== node && member.sound).length
    return this.isSettled && sound * 2 > members.length && members.length - sound <= this.room
  }

  ruin(node: MetaNode): void {
    node.ruin()
  }

  readonly note = (text: string): void => {
    const { trace, nowMs } = this.world
    if (trace.recording) trace.line(`${nowMs.toFixed(3).padStart(12)} ${text.trimEnd()}`)
  }

  /** Down until they are thawed. */
  freeze(ids: readonly NodeId[]): void {
    for (const id of ids) {
      this.#frozen.add(id)
      must(this.#nodes.get(id), 'only a known node is frozen').crash()
    }
  }

  thaw(): void {
    this.#frozen.clear()
  }

  heal(): void {
    this.peers.heal()
    for (const node of this.nodes()) node.heal()
  }

  /** Every node serves, and all of them hold the same. */
  agreed(): boolean {
    // Damage may be found only at the last start, when nobody gives its place to another any more.
    return this.members().every(({ serving, ruined }) => serving || ruined) && this.#compare()
  }

  describe(): string {
    return this.nodes()
      .map((node) => {
        const groups = (this.#statuses.get(node.id) ?? []).map(
          ({ group, role, term, leader, commit, applied, voters, learners }) =>
            `${group}: ${role} of ${term}, leader ${leader}, commit ${commit}, applied ${applied}, voters ${voters}, learners ${learners}`,
        )
        const gone = this.#retired.has(node.id) ? 'retired' : node.ruined ? 'ruined' : undefined
        const state = gone ?? (node.paused ? 'paused' : node.serving ? 'serving' : node.alive ? 'starting' : 'down')
        return `node ${node.id} ${state}${this.#frozen.has(node.id) ? ' frozen' : ''}; ${groups.join('; ')}`
      })
      .join('\n  ')
  }

  #metadataOf(id: NodeId): MetaGroupStatus | undefined {
    return this.#statuses.get(id)?.find(({ group }) => group === META_GROUPS[0])
  }

  /** Only the process whose event it was can have changed what it stores. */
  #look(): void {
    const { eventLife } = this.world
    const node = eventLife === undefined ? undefined : this.#nodes.get(eventLife.node)
    if (node !== undefined && node.life === eventLife) this.#checker.look(node.id, node.stored)
  }

  #compare(): boolean {
    return this.#checker.compare(new Map(this.#standing().map(({ id, stored }) => [id, stored])))
  }

  /** Members that are not lost. One that is on its way in or out is not compared: it may stand where nothing is added any more. */
  #standing(): readonly MetaNode[] {
    return this.members().filter(({ ruined }) => !ruined)
  }

  #compareLater(): void {
    this.world.schedule('check', undefined, COMPARE_MS, () => {
      this.#compare()
      for (const node of this.nodes()) this.#ask(node)
      this.#compareLater()
    })
  }

  /** In the process of the node, past the network. */
  #ask(node: MetaNode): void {
    this.#statuses.delete(node.id)
    const admin = this.rpc.endpoint(node.id)?.services.get(ADMIN_SERVICE)
    const status = admin?.unary.get('status')
    if (status === undefined || !node.serving) return
    const peer = { nodeId: node.id, bootEpoch: 1 }
    const unary = (_to: NodeId, _call: string, request: Buffer): Promise<Buffer> => status(request, peer)
    const serverStream = (): never => {
      throw new Error('the administration has no streams')
    }
    this.world.schedule('client', node.life, 0, () => {
      new RpcAdminClient({ unary, serverStream }, node.id).status().then(
        (groups) => this.#statuses.set(node.id, groups),
        () => this.#statuses.delete(node.id),
      )
    })
  }

  #supervise(): void {
    for (const node of this.nodes()) {
      if (node.alive || !this.#mayRun(node) || this.#restarting.has(node.id)) continue
      this.#restarting.add(node.id)
      const delayMs = node.life.incarnation === 0 ? this.#random.fraction() * 500 : this.#random.delayMs(RESTART_MS_MEAN)
      this.world.schedule('fault', undefined, delayMs, () => {
        this.#restarting.delete(node.id)
        if (!node.alive && this.#mayRun(node)) node.start()
      })
    }
    this.world.schedule('fault', undefined, SUPERVISE_MS, () => this.#supervise())
  }

  #mayRun({ id, ruined }: MetaNode): boolean {
    return !ruined && !this.#retired.has(id) && !this.#frozen.has(id)
  }

  #create(id: NodeId, place: ClusterPlace): MetaNode {
    const { configuration } = this
    const random = this.#random.stream(`machine ${id}`)
    const rate = 1 + (random.fraction() * 2 - 1) * configuration.driftMax
    const time = new NodeTime(rate, random.range(-CLOCK_OFFSET_MS_MAX, CLOCK_OFFSET_MS_MAX), configuration.turnMsMax)
    const book = new SimAddressBook()
    const node: MetaNode = new ClusterNode(id, this.#surroundings, time, configuration.machine, (_, ports, transport) =>
      composeMetaNode(node.life, place, ports, configuration.host, { transport, book, rpc: this.rpc, sessions: this.#sessions }),
    )
    this.#nodes.set(id, node)
    return node
  }
}
