// SPDX-License-Identifier: Apache-2.0
// One run of a cluster that shares metadata: under fire, then with a minority that stays down, then whole again (T9). What clients were answered must fit one order,
// what watches told must be one history, each write must be in it once, and replicas must be equal.
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
import { LivenessBroken } from '../cluster-simulation.ts'
import { calm } from '../conditions.ts'
import { NodeTime } from '../node-time.ts'
import { KvActor, KvRecord } from './kv-actor.ts'
import { MetaCluster } from './meta-cluster.ts'
import { calmRpc, drawMetaConfiguration, type MetaConfiguration } from './meta-configuration.ts'
import { WatchActor } from './watch-actor.ts'
import { WatchChecker } from './watch-checker.ts'

const SERVED_ELECTIONS_MAX = 100
const SERVED_MS_MIN = 60_000
/** Calls of each client that must be answered. */
const CALLS_OWED = 3
const POLL_MS = 50
/** Clients are no nodes of the cluster. */
const FIRST_CLIENT = 1000

export interface MetaResult {
  readonly hash: string
  readonly events: number
  readonly virtualMs: number
  readonly calls: number
  readonly revisions: number
  readonly faults: ReadonlyMap<FaultKind, number>
  readonly probes: ReadonlyMap<string, number>
}

export class MetaSimulation {
  readonly world: World
  readonly log: LogCollector
  readonly configuration: MetaConfiguration
  readonly #probe: SimProbe
  readonly #cluster: MetaCluster
  readonly #record: KvRecord
  readonly #watchChecker = new WatchChecker()
  readonly #actors: KvActor[] = []
  readonly #watches: WatchActor[] = []
  #clients = 0

  constructor({ seed, recording = false }: { readonly seed: number; readonly recording?: boolean }) {
    this.world = new World({ seed, recording })
    this.configuration = drawMetaConfiguration(this.world.random.stream('meta configuration'))
    this.log = new LogCollector(this.world)
    this.#probe = new SimProbe(this.world.random.stream('probe'), { enabledRatio: 0, firesRatio: 0 })
    this.#cluster = new MetaCluster(this.world, this.configuration, this.log, this.#probe)
    this.#record = new KvRecord(this.configuration.workload.keys)
  }

  /** Throws what went wrong. */
  async run(): Promise<MetaResult> {
    const { world, configuration } = this
    const { workload, peers, rpc } = configuration
    this.#createClients()
    const injected = new ClusterFaults(this.#cluster, world.random.stream('faults'), configuration.faults)
    await world.runFor(workload.durationMs)
    injected.stop()
    this.#cluster.peers.conditions = calm(peers)
    this.#cluster.rpc.conditions = calmRpc(rpc)
    this.#cluster.heal()
    if (configuration.voters > 2 && Object.keys(configuration.faults).length > 0) await this.#proveMajority(world.random.stream('frozen'))
    await this.#served()
    for (const actor of this.#actors) actor.stop()
    await this.#until('all calls have ended', () => this.#actors.every(({ idle }) => idle))
    const { revision } = await world.runUntil(this.#client(world.random.stream('last reader')).get(Buffer.from('a')))
    await this.#until('all watches have told everything', () => this.#watchChecker.isComplete(revision))
    for (const watch of this.#watches) watch.stop()
    await this.#until('all replicas agree', () => this.#cluster.agreed())
    this.#watchChecker.check()
    this.#record.ledger.check(this.#watchChecker.changes)
    const { operations } = this.#record.history
    checkRegisters(operations)
    return {
      hash: this.hash(),
      events: world.events,
      virtualMs: world.nowMs,
      calls: operations.length,
      revisions: revision,
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
    const nodes = this.#cluster.nodes().map(({ id }) => id)
    const down: number[] = []
    while (down.length < Math.ceil(this.configuration.voters / 2) - 1) {
      down.push(must(nodes.splice(random.range(0, nodes.length - 1), 1)[0], 'a majority is left'))
    }
    this.#cluster.freeze(down)
    await this.#served()
    this.#cluster.thaw()
  }

  #served(): Promise<void> {
    const owed = this.#actors.map(({ done }) => done + CALLS_OWED)
    return this.#until('every client is served', () => this.#actors.every(({ done }, at) => done >= (owed[at] as number)))
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
    const ids = this.#cluster.nodes().map(({ id }) => id)
    const first = random.range(0, ids.length - 1)
    const order = [...ids.slice(first), ...ids.slice(0, first)]
    return new ClusterKvClient(new Map(order.map((id) => [id, new RpcKvClient(rpc, id)])), clock)
  }

  async #until(what: string, holds: () => boolean): Promise<void> {
    const { world } = this
    const { tickMs, timing } = this.configuration.host
    const limitMs = SERVED_MS_MIN + SERVED_ELECTIONS_MAX * tickMs * timing.electionTicks
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
