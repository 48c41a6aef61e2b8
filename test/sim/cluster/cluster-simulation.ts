// SPDX-License-Identifier: Apache-2.0
// One run of a cluster: under fire, then healed except for a minority that stays as broken as it is for ever, then whole again (T9). Whatever was
// answered must fit one order (T12), and in the end all members must hold the same.
import type { NodeId } from '#raft'
import { LogCollector } from '../logger.ts'
import { SimProbe } from '../probe.ts'
import type { SimRandom } from '../random.ts'
import { SimFailure, World } from '../world.ts'
import { isQuorum } from './checker/raft-checker.ts'
import { checkRegisters } from './checker/register-history.ts'
import { Cluster } from './cluster.ts'
import { type ClusterConfiguration, drawClusterConfiguration, type FaultKind } from './cluster-configuration.ts'
import { ClusterFaults } from './cluster-faults.ts'
import { calm } from './conditions.ts'
import { MembershipActor } from './membership-actor.ts'
import { RegisterClient, RegisterHistory } from './register-client.ts'
import type { Topology } from './topologies.ts'

/** In election timeouts: a healed majority must have served every client again by then. */
const SERVED_ELECTIONS_MAX = 100
const SERVED_MS_MIN = 60_000
/** Calls of each client that must be answered. */
const CALLS_OWED = 5
const POLL_MS = 50

/** What must happen in bounded virtual time has not. */
export class LivenessBroken extends SimFailure {
  readonly checker = 'liveness'
}

export interface ClusterOptions {
  readonly seed: number
  readonly recording?: boolean
  /** Faults that are left out, to find those that matter. */
  readonly without?: ReadonlySet<FaultKind>
  /** The part of the phase of faults in which there are any. */
  readonly faultsForMs?: number
  /** In place of random faults. */
  readonly topology?: Topology
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
    const { seed, recording = false, without = new Set<FaultKind>(), topology } = options
    this.#options = options
    this.world = new World({ seed, recording })
    const random = this.world.random.stream('cluster configuration')
    this.configuration = topology === undefined ? reduced(drawClusterConfiguration(random), without) : calmConfiguration(random, topology)
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
    if (this.#options.topology !== undefined) await this.#proveTopology(this.#options.topology)
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
    return this.configuration.host.tickMs * this.configuration.host.timing.electionTicks
  }

  async #until(what: string, holds: () => boolean): Promise<void> {
    const { world } = this
    const limitMs = SERVED_MS_MIN + SERVED_ELECTIONS_MAX * this.#electionMs
    const deadlineMs = world.nowMs + limitMs
    let outcome: 'holds' | 'late' | undefined
    const poll = (): void => {
      if (holds()) outcome = 'holds'
      else if (world.nowMs > deadlineMs) outcome = 'late'
      else world.schedule('check', undefined, POLL_MS, poll)
    }
    world.schedule('check', undefined, 0, poll)
    await world.run(() => outcome !== undefined)
    if (outcome === 'late') throw new LivenessBroken(`not within ${limitMs} ms: ${what}\n  ${this.#cluster.describe()}`)
  }
}

/** The same configuration without some faults. What else was drawn stays as it is. */
function reduced(drawn: ClusterConfiguration, without: ReadonlySet<FaultKind>): ClusterConfiguration {
  if (without.size === 0) return drawn
  const faults = Object.fromEntries(Object.entries(drawn.faults).filter(([kind]) => !without.has(kind as FaultKind)))
  const { peers } = drawn
  const still = calm(peers)
  return {
    ...drawn,
    faults,
    driftMax: without.has('clockDrift') ? 0 : drawn.driftMax,
    peers: {
      ...peers,
      resetRatio: without.has('loss') ? still.resetRatio : peers.resetRatio,
      repeatRatio: without.has('repeat') ? 0 : peers.repeatRatio,
      tailRatio: without.has('tail') ? 0 : peers.tailRatio,
      snapshot: without.has('snapshot') ? still.snapshot : peers.snapshot,
    },
  }
}

function calmConfiguration(random: SimRandom, { voters }: Topology): ClusterConfiguration {
  const drawn = drawClusterConfiguration(random)
  const workload = { ...drawn.workload, durationMs: 2_000 }
  return { ...drawn, voters, faults: {}, driftMax: 0, peers: calm(drawn.peers), workload }
}
