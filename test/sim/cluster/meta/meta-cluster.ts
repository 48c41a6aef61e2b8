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
import { ClusterNode, type Program } from '../cluster-node.ts'
import { NodeTime } from '../node-time.ts'
import { PeerNetwork } from '../peer-network.ts'
import type { MetaConfiguration } from './meta-configuration.ts'
import { composeMetaNode, META_GROUPS } from './meta-program.ts'
import { RpcNetwork } from './rpc-network.ts'
import { StateChecker } from './state-checker.ts'

export type MetaNode = ClusterNode<Program>

const RESTART_MS_MEAN = 1_500
const SUPERVISE_MS = 200
/** How often contents are compared, and leaders are asked for. */
const COMPARE_MS = 500
/** Sessions of clients last for an hour: clocks that differ by more end them early. */
const CLOCK_OFFSET_MS_MAX = 600_000

export class MetaCluster implements FaultTarget {
  readonly world: World
  readonly configuration: MetaConfiguration
  readonly peers: PeerNetwork
  readonly rpc: RpcNetwork
  readonly #random: SimRandom
  readonly #nodes = new Map<NodeId, MetaNode>()
  readonly #frozen = new Set<NodeId>()
  readonly #restarting = new Set<NodeId>()
  readonly #checker = new StateChecker(META_GROUPS)
  readonly #statuses = new Map<NodeId, readonly MetaGroupStatus[]>()

  constructor(world: World, configuration: MetaConfiguration, log: LogCollector, probe: SimProbe) {
    this.world = world
    this.configuration = configuration
    this.#random = world.random.stream('cluster')
    this.peers = new PeerNetwork(world, world.random.stream('peers'), configuration.peers)
    this.rpc = new RpcNetwork(world, world.random.stream('rpc'), configuration.rpc)
    const unused = { delayMs: 1, splitRatio: 0, stallRatio: 0, stallMsMax: 1, windowBytes: 65_536, halfOpenRatio: 0 }
    const network = new SimNetwork(world, world.random.stream('network'), unused)
    const surroundings = { world, peers: this.peers, network, log, probe }
    const { voters, host, machine } = configuration
    for (let id = 1; id <= voters; id++) {
      const random = this.#random.stream(`machine ${id}`)
      const rate = 1 + (random.fraction() * 2 - 1) * configuration.driftMax
      const time = new NodeTime(rate, random.range(-CLOCK_OFFSET_MS_MAX, CLOCK_OFFSET_MS_MAX), configuration.turnMsMax)
      const node: MetaNode = new ClusterNode(id, surroundings, time, machine, (_, ports, transport) =>
        composeMetaNode(node.life, voters, ports, transport, host, this.rpc),
      )
      this.#nodes.set(id, node)
    }
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

  /** Nothing of a node is given up here: who forgets what it has promised is the concern of the registers. */
  canSpare(): boolean {
    return false
  }

  ruin(node: MetaNode): void {
    node.ruin()
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
    return this.nodes().every(({ serving }) => serving) && this.#compare()
  }

  describe(): string {
    return this.nodes()
      .map((node) => {
        const groups = (this.#statuses.get(node.id) ?? []).map(
          ({ group, role, term, leader, commit, applied }) =>
            `${group}: ${role} of ${term}, leader ${leader}, commit ${commit}, applied ${applied}`,
        )
        const state = node.paused ? 'paused' : node.serving ? 'serving' : node.alive ? 'starting' : 'down'
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
    return this.#checker.compare(new Map(this.nodes().map(({ id, stored }) => [id, stored])))
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
      if (node.alive || this.#frozen.has(node.id) || this.#restarting.has(node.id)) continue
      this.#restarting.add(node.id)
      const delayMs = node.life.incarnation === 0 ? this.#random.fraction() * 500 : this.#random.delayMs(RESTART_MS_MEAN)
      this.world.schedule('fault', undefined, delayMs, () => {
        this.#restarting.delete(node.id)
        if (!node.alive && !this.#frozen.has(node.id)) node.start()
      })
    }
    this.world.schedule('fault', undefined, SUPERVISE_MS, () => this.#supervise())
  }
}
