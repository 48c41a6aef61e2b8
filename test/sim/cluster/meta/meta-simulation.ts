// SPDX-License-Identifier: Apache-2.0
// One run of a cluster that shares metadata: under fire, then with a minority that stays down, then whole again (T9). What clients were answered must fit one order,
// what watches told must be one history, each write must be in it once, sessions must have had one owner at a time, and replicas must be equal.
import { must } from '#base/assert'
import type { KvClient } from '#contract/client/kv-client'
import { ClusterKvClient, RpcKvClient } from '#meta'
import { Life } from '../../life.ts'
import { LogCollector } from '../../logger.ts'
import { SimProbe } from '../../probe.ts'
import type { SimRandom } from '../../random.ts'
import { World } from '../../world.ts'
import { checkRegisters } from '../checker/register-history.ts'
import type { FaultKind } from '../cluster-configuration.ts'
import { ClusterFaults } from '../cluster-faults.ts'
import { calm } from '../conditions.ts'
import { waitUntil } from '../liveness.ts'
import type { Reduction } from '../minimize.ts'
import { NodeTime } from '../node-time.ts'
import { reduced } from '../reduced.ts'
import { KvActor, KvRecord } from './kv-actor.ts'
import { MetaCluster } from './meta-cluster.ts'
import { calmRpc, drawMetaConfiguration, type MetaConfiguration } from './meta-configuration.ts'
import { MetaOperator } from './meta-operator.ts'
import { checkSessions } from './session-checker.ts'
import { SessionWorkload } from './session-workload.ts'
import { WatchActor } from './watch-actor.ts'
import { WatchChecker } from './watch-checker.ts'

/** Calls of each client that must be answered. */
const CALLS_OWED = 3
/** Clients are no nodes of the cluster. */
const FIRST_CLIENT = 1000

export interface MetaOptions extends Partial<Reduction> {
  readonly seed: number
  readonly recording?: boolean
}

export interface MetaResult {
  readonly hash: string
  readonly events: number
  readonly virtualMs: number
  readonly calls: number
  readonly revisions: number
  readonly takeovers: number
  /** Places that another node was given. */
  readonly replaced: number
  readonly faults: ReadonlyMap<FaultKind, number>
  readonly probes: ReadonlyMap<string, number>
}

export class MetaSimulation {
  readonly world: World
  readonly log: LogCollector
  readonly configuration: MetaConfiguration
  readonly #faultsForMs: number
  readonly #probe: SimProbe
  readonly #cluster: MetaCluster
  readonly #sessions: SessionWorkload
  readonly #record: KvRecord
  readonly #watchChecker = new WatchChecker()
  readonly #actors: KvActor[] = []
  readonly #watches: WatchActor[] = []
  #clients = 0

  constructor({ seed, recording = false, without = new Set(), faultsForMs = Number.POSITIVE_INFINITY }: MetaOptions) {
    this.world = new World({ seed, recording })
    this.configuration = reduced(drawMetaConfiguration(this.world.random.stream('meta configuration')), without)
    this.#faultsForMs = Math.min(faultsForMs, this.configuration.workload.durationMs)
    this.log = new LogCollector(this.world)
    this.#probe = new SimProbe(this.world.random.stream('probe'), { enabledRatio: 0, firesRatio: 0 })
    this.#sessions = new SessionWorkload(this.world, this.world.random.stream('sessions'), this.configuration.sessions)
    this.#cluster = new MetaCluster(this.world, this.configuration, this.log, this.#probe, this.#sessions)
    this.#record = new KvRecord(this.configuration.workload.keys)
  }

  /** Throws what went wrong. */
  async run(): Promise<MetaResult> {
    const { world, configuration } = this
    const { faults, peers, rpc } = configuration
    this.#createClients()
    const injected = new ClusterFaults(this.#cluster, world.random.stream('faults'), faults)
    const periods = { membershipMs: faults.membership, transferMs: faults.transfer }
    const operator = new MetaOperator(this.#cluster, world.random.stream('operator'), periods)
    await world.runFor(this.#faultsForMs)
    injected.stop()
    operator.settle()
    this.#cluster.peers.conditions = calm(peers)
    this.#cluster.rpc.conditions = calmRpc(rpc)
    this.#cluster.heal()
    await this.#until('the membership is settled', () => operator.settled && this.#cluster.members().every(({ serving }) => serving))
    operator.stop()
    if (configuration.voters > 2 && Object.keys(faults).length > 0) await this.#proveMajority(world.random.stream('frozen'))
    await this.#served()
    for (const actor of this.#actors) actor.stop()
    await this.#until('all calls have ended', () => this.#actors.every(({ idle }) => idle))
    await world.runUntil(this.#sessions.visitAll())
    this.#sessions.rest()
    await this.#until('all brokers rest', () => this.#sessions.idle)
    const { revision } = await world.runUntil(this.#client(world.random.stream('last reader')).get(Buffer.from('a')))
    for (const watch of this.#watches) watch.hurry()
    await this.#until('all watches have told everything', () => this.#watchChecker.isComplete(revision))
    for (const watch of this.#watches) watch.stop()
    await this.#until('all replicas agree', () => this.#cluster.agreed())
    this.#watchChecker.check()
    this.#record.ledger.check(this.#watchChecker.changes)
    checkSessions(this.#sessions.ledger)
    const { operations } = this.#record.history
    checkRegisters(operations)
    return {
      hash: this.hash(),
      events: world.events,
      virtualMs: world.nowMs,
      calls: operations.length,
      revisions: revision,
      replaced: operator.replaced,
      takeovers: this.#sessions.visits().reduce((sum, visits) => sum + visits, 0),
      faults: injected.counts(),
      probes: this.#probe.counts(),
    }
  }

  /** What happened so far in one word, and the next random number (T5). */
  hash(): string {
    return `${this.world.trace.hash()}-${this.world.random.uint32().toString(16)}`
  }

  /** As many as the rest can do without are down, and do not come back before the rest has served. */
  async #proveMajority(random: SimRandom): Promise<void> {
    const nodes = this.#cluster.members().map(({ id }) => id)
    const down: number[] = []
    while (down.length < Math.ceil(this.configuration.voters / 2) - 1) {
      down.push(must(nodes.splice(random.range(0, nodes.length - 1), 1)[0], 'a majority is left'))
    }
    this.#cluster.freeze(down)
    await this.#served()
    this.#cluster.thaw()
  }

  #served(): Promise<void> {
    const owed = this.#done().map((done) => done + CALLS_OWED)
    return this.#until('every client is served', () => this.#done().every((done, at) => done >= (owed[at] as number)))
  }

  /** Calls of each client that were answered, and takeovers of each session. */
  #done(): readonly number[] {
    return [...this.#actors.map(({ done }) => done), ...this.#sessions.visits()]
  }

  #createClients(): void {
    const { world, configuration } = this
    const { workload } = configuration
    const random = world.random.stream('clients')
    for (let at = 1; at <= workload.clients; at++) {
      const own = random.stream(`client ${at}`)
      this.#actors.push(new KvActor(world, own.stream('actor'), workload, this.#client(own), this.#record))
    }
    for (let at = 1; at <= workload.watches; at++) {
      const own = random.stream(`watch ${at}`)
      const scope = {
        prefix: at === 1 || own.chance(0.3) ? undefined : String.fromCharCode(97 + own.range(0, workload.keys - 1)),
        previousValues: at === 1 || own.chance(0.5),
      }
      const observer = this.#watchChecker.watch(`watch ${at}`, scope, at === 1 || own.chance(0.5) ? 1 : undefined)
      const habits = { readMs: own.pick([0.1, 5, 50]), leaveRatio: own.pick([0, 0.02, 0.2]) }
      this.#watches.push(new WatchActor(world, own.stream('actor'), this.#client(own), observer, habits))
    }
  }

  /** With a process of its own, and a session. */
  #client(random: SimRandom): KvClient {
    const life = new Life(FIRST_CLIENT + this.#clients++, 1)
    const clock = new NodeTime(1, 0, 0).clock(this.world, life, random.stream('turns'))
    const rpc = this.#cluster.rpc.clientFor({ nodeId: life.node, bootEpoch: 1 })
    const ids = this.#cluster.ids()
    const first = random.range(0, ids.length - 1)
    const order = [...ids.slice(first), ...ids.slice(0, first)]
    return new ClusterKvClient(new Map(order.map((id) => [id, new RpcKvClient(rpc, id)])), clock)
  }

  #until(what: string, holds: () => boolean): Promise<void> {
    return waitUntil(this.world, this.configuration.host, what, holds, () => this.#cluster.describe())
  }
}
