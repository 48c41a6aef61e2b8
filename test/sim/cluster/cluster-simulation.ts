// SPDX-License-Identifier: Apache-2.0
// One run of a cluster: under fire, then healed except for a minority that stays as broken as it is for ever, then whole again (T9). Whatever was
// answered must fit one order (T12), and in the end all members must hold the same.
import type { NodeId } from '#raft'
import { LogCollector } from '../logger.ts'
import { SimProbe } from '../probe.ts'
import type { SimRandom } from '../random.ts'
import { World } from '../world.ts'
import { isQuorum } from './checker/raft-checker.ts'
import { checkRegisters } from './checker/register-history.ts'
import { Cluster } from './cluster.ts'
import { type ClusterConfiguration, drawClusterConfiguration, type FaultKind } from './cluster-configuration.ts'
import { ClusterFaults } from './cluster-faults.ts'
import { calm } from './conditions.ts'
import { electionMsOf, LivenessBroken, waitUntil } from './liveness.ts'
import { MembershipActor } from './membership-actor.ts'
import type { Reduction } from './minimize.ts'
import { reduced } from './reduced.ts'
import { RegisterClient, RegisterHistory } from './register-client.ts'
import type { Story } from './stories.ts'
import { SMALL_LOG, type Topology } from './topologies.ts'

/** Calls of each client that must be answered. */
const CALLS_OWED = 5

export interface ClusterOptions extends Partial<Reduction> {
  readonly seed: number
  readonly recording?: boolean
  /** In place of random faults. */
  readonly topology?: Topology
  /** Likewise. */
  readonly story?: Story
}

export interface ClusterResult {
  readonly hash: string
  readonly events: number
  readonly virtualMs: number
  readonly voters: number
  readonly calls: number
  readonly elections: number
  readonly membershipChanges: number
  readonly faults: ReadonlyMap<FaultKind, number>
  readonly probes: ReadonlyMap<string, number>
}

export class ClusterSimulation {
  readonly world: World
  readonly log: LogCollector
  readonly configuration: ClusterConfiguration
  readonly #options: ClusterOptions
  readonly #probe: SimProbe
  readonly #cluster: Cluster
  readonly #history: RegisterHistory
  readonly #clients: RegisterClient[] = []
  /** Whom clients may ask; undefined for all. */
  #core: ReadonlySet<NodeId> | undefined

  constructor(options: ClusterOptions) {
    const { seed, recording = false, without = new Set<FaultKind>(), topology, story } = options
    this.#options = options
    this.world = new World({ seed, recording })
    const random = this.world.random.stream('cluster configuration')
    const drawn = drawClusterConfiguration(random)
    if (topology !== undefined) this.configuration = calmConfiguration(drawn, topology)
    else this.configuration = story === undefined ? reduced(drawn, without) : storyConfiguration(drawn, story)
    this.log = new LogCollector(this.world)
    this.#probe = new SimProbe(this.world.random.stream('probe'), { enabledRatio: 0, firesRatio: 0 })
    this.#cluster = new Cluster(this.world, this.configuration, this.log, this.#probe)
    this.#history = new RegisterHistory(this.configuration.workload.keys)
  }

  /** Throws what went wrong. */
  async run(): Promise<ClusterResult> {
    const { world, configuration } = this
    const { faults, workload } = configuration
    await this.#until('a leader is elected', () => this.#cluster.leader() !== undefined)
    this.#createClients()
    const random = world.random.stream('faults')
    const injected = new ClusterFaults(this.#cluster, random, faults)
    const periods = { membershipMs: faults.membership, transferMs: faults.transfer }
    const operator = new MembershipActor(this.#cluster, random.stream('operator'), periods)
    const faultsForMs = Math.min(this.#options.faultsForMs ?? Number.POSITIVE_INFINITY, workload.durationMs)
    await world.runFor(faultsForMs)
    injected.stop()
    operator.settle()
    this.#cluster.peers.conditions = calm(configuration.peers)
    const { topology, story } = this.#options
    if (topology !== undefined) await this.#proveTopology(topology)
    else if (story !== undefined) await this.#play(story, operator)
    else await this.#prove(operator, random.stream('frozen'))
    await this.#agree()
    checkRegisters(this.#history.operations)
    return {
      hash: this.hash(),
      events: world.events,
      virtualMs: world.nowMs,
      voters: configuration.voters,
      calls: this.#history.operations.length,
      elections: this.#cluster.checker.elections,
      membershipChanges: operator.changes,
      faults: injected.counts(),
      probes: this.#probe.counts(),
    }
  }

  /** What happened so far in one word, and the next random number (T5). */
  hash(): string {
    return `${this.world.trace.hash()}-${this.world.random.uint32().toString(16)}`
  }

  /** A majority is healed, the rest is left as it is or made worse, for ever: the majority must serve. */
  async #prove(operator: MembershipActor, random: SimRandom): Promise<void> {
    const { faults } = this.configuration
    const changing = faults.membership !== undefined || this.#cluster.nodes().some((node) => !node.sound)
    const freezes = faults.frozen !== undefined && this.configuration.voters > 2
    if (changing || !freezes) {
      this.#cluster.heal()
      await this.#until('the membership is settled', () => operator.settled)
    }
    operator.stop()
    if (freezes) this.#freeze(random)
    await this.#served()
    this.#cluster.thaw()
    this.#core = undefined
    this.#cluster.heal()
  }

  /** What is outside of the core stays down, stands still, is cut off, or is heard and does not hear. */
  #freeze(random: SimRandom): void {
    const conf = this.#cluster.conf()
    if (conf === undefined) return
    const voters = [...conf.voters]
    const core = new Set<NodeId>()
    while (!isQuorum(conf, core)) core.add(voters.splice(random.range(0, voters.length - 1), 1)[0] as NodeId)
    const outside = this.#cluster.nodes().filter(({ id }) => !core.has(id) && !this.#cluster.isRetired(id))
    this.#cluster.heal()
    this.#cluster.freeze(outside.map(({ id }) => id))
    for (const node of outside) {
      const how = random.pick(['dead', 'paused', 'cut', 'deaf', 'mute'])
      node.note(`frozen: ${how}`)
      if (how === 'dead') node.crash()
      else if (how === 'paused') node.pause(Number.POSITIVE_INFINITY)
      for (const id of core) {
        if (how === 'cut' || how === 'deaf') this.#cluster.peers.cut(id, node.id)
        if (how === 'cut' || how === 'mute') this.#cluster.peers.cut(node.id, id)
      }
    }
    this.#core = core
  }

  async #proveTopology(topology: Topology): Promise<void> {
    const leader = this.#cluster.leader()
    if (leader === undefined) throw new LivenessBroken('nobody leads a cluster without faults')
    this.#core = new Set(topology.apply(this.#cluster, leader.id))
    await this.world.runFor(this.#electionMs * 5)
    await this.#served()
    const before = this.#cluster.checker.elections
    await this.world.runFor(this.#electionMs * 60)
    await this.#served()
    const elections = this.#cluster.checker.elections - before
    if (elections > topology.electionsMax) throw new LivenessBroken(`${elections} leaders came and went where one could have stayed`)
    this.#cluster.heal()
    this.#core = undefined
  }

  /** Nobody repairs what the story breaks. */
  async #play(story: Story, operator: MembershipActor): Promise<void> {
    operator.stop()
    await story.play({
      cluster: this.#cluster,
      electionMs: this.#electionMs,
      runFor: (durationMs) => this.world.runFor(durationMs),
      until: (what, holds) => this.#until(what, holds),
      ask: (nodes) => {
        this.#core = new Set(nodes)
      },
      served: () => this.#served(),
    })
  }

  /** Every client is answered some more times. */
  #served(): Promise<void> {
    const owed = this.#clients.map((client) => client.done + CALLS_OWED)
    return this.#until('every client is served', () => this.#clients.every((client, at) => client.done >= (owed[at] as number)))
  }

  /** Clients end, every member is up again, and all of them hold the same. */
  async #agree(): Promise<void> {
    for (const client of this.#clients) client.stop()
    await this.#until('all calls have ended', () => this.#clients.every((client) => client.idle))
    await this.#until('all members agree', () => this.#agreed())
    const contents = this.#members().map((id) => this.#cluster.node(id)?.program?.machine.read(this.#keys()))
    const [first, ...others] = contents.map((content) => JSON.stringify([...(content ?? [])]))
    if (others.some((other) => other !== first)) throw new LivenessBroken(`replicas differ: ${[first, ...others].join(' ')}`)
  }

  #agreed(): boolean {
    const leader = this.#cluster.leader()
    const status = leader === undefined ? undefined : this.#cluster.statusOf(leader)
    if (status === undefined || status.commit !== status.lastIndex || status.conf.outgoing.length > 0) return false
    return this.#members().every((id) => {
      const node = this.#cluster.node(id)
      return node?.serving === true && this.#cluster.statusOf(node)?.applied === status.lastIndex
    })
  }

  #members(): readonly NodeId[] {
    const conf = this.#cluster.conf()
    if (conf === undefined) return []
    // Damage may be found only at the last start, when nobody gives its place to another any more.
    return [...conf.voters, ...conf.learners].filter((id) => this.#cluster.node(id)?.ruined === false)
  }

  #keys(): readonly string[] {
    return [...new Set(this.#history.operations.flatMap(({ input }) => [...input.set.keys()]))].sort()
  }

  #createClients(): void {
    const random = this.world.random.stream('clients')
    const nodes = () => this.#cluster.running().filter(({ id }) => this.#core?.has(id) ?? !this.#cluster.isRetired(id))
    for (let at = 1; at <= this.configuration.workload.clients; at++) {
      this.#clients.push(new RegisterClient(this.world, random.stream(`client ${at}`), this.configuration.workload, this.#history, nodes))
    }
  }

  get #electionMs(): number {
    return electionMsOf(this.configuration.host)
  }

  #until(what: string, holds: () => boolean): Promise<void> {
    return waitUntil(this.world, this.configuration.host, what, holds, () => this.#cluster.describe())
  }
}

function calmConfiguration(drawn: ClusterConfiguration, { voters, settings }: Pick<Topology, 'voters' | 'settings'>): ClusterConfiguration {
  const workload = { ...drawn.workload, durationMs: 2_000 }
  return { ...drawn, voters, host: { ...drawn.host, ...settings }, faults: {}, driftMax: 0, peers: calm(drawn.peers), workload }
}

/** What is told step by step keeps its own time: a start takes a small part of an election. */
function storyConfiguration(drawn: ClusterConfiguration, story: Story): ClusterConfiguration {
  const calmed = calmConfiguration(drawn, story)
  const times = { delayMs: 0.1, syncDelayMs: 1 }
  return {
    ...calmed,
    identified: story.identified,
    host: { ...drawn.host, ...SMALL_LOG, tickMs: 100, timing: { electionTicks: 10, heartbeatTicks: 1 } },
    machine: { kv: times, disk: times },
    peers: { ...calmed.peers, delayMsMean: 1, reconnectMs: 10, snapshot: { ...calmed.peers.snapshot, chunkMs: 1_000 } },
  }
}
