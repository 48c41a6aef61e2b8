// SPDX-License-Identifier: Apache-2.0
// One run: a node, its clients and its faults, first under fire, then healed until everything that was promised has been kept (T9).
import { DeliveryOracle } from './checker/delivery-oracle.ts'
import { ShareChecker } from './checker/share-checker.ts'
import type { Qos } from './client-observer.ts'
import { drawConfiguration, type SimConfiguration, type WorkloadConfiguration } from './configuration.ts'
import { HistoryReader } from './history-reader.ts'
import { LogCollector } from './logger.ts'
import { type ClientSubscription, EXPIRY_NEVER_SECONDS, MqttClient, type MqttClientOptions } from './mqtt-client.ts'
import { SimNetwork } from './network.ts'
import { type Compose, SimNode } from './node.ts'
import { SimProbe } from './probe.ts'
import type { SimRandom } from './random.ts'
import { RetainedReader } from './retained-reader.ts'
import { type ActorOptions, ClientActor } from './workload/client-actor.ts'
import { FaultSchedule } from './workload/fault-schedule.ts'
import { drawFilter, MessageSource, WILL_FILTER } from './workload/message-source.ts'
import { WorkerActor } from './workload/worker-actor.ts'
import { SimFailure, World } from './world.ts'

export const MQTT_PORT = 1883

/** Virtual time that a healed node and its clients may go without coming closer to having kept every promise. */
const STANDSTILL_MS_MAX = 120_000
const MISSING_TOLD_MAX = 10
/** What comes too much, and what nobody waits for, comes within this time after all is delivered and the last delayed message is due. */
const AFTERMATH_MS = 8_000
/** Longer than any stall of the network. */
const READING_QUIET_MS = 8_000
/** A long history on a long way with a small window takes its time. */
const READING_MS_MAX = 3_600_000
const STOP_MS_MAX = 30_000
const POLL_MS = 250

/** The node under test: production's composition, or a stand-in. */
export type ComposeConfigured = (configuration: SimConfiguration) => Compose

export interface SimulationOptions {
  readonly seed: number
  readonly compose: ComposeConfigured
  readonly recording?: boolean
  /** With clients that share subscriptions, which the reference broker does not know. */
  readonly shares?: boolean
}

export interface SimulationResult {
  readonly hash: string
  readonly events: number
  readonly virtualMs: number
  readonly published: number
  readonly deliveries: number
  readonly faults: number
  readonly deaths: number
  /** Rare paths and how often they were reached. */
  readonly probes: ReadonlyMap<string, number>
}

export class Simulation {
  readonly world: World
  readonly log: LogCollector
  readonly configuration: SimConfiguration
  readonly #node: SimNode
  readonly #network: SimNetwork
  readonly #probe: SimProbe
  readonly #oracle: DeliveryOracle
  readonly #shares: boolean
  readonly #actors: (ClientActor | WorkerActor)[] = []
  #faults: FaultSchedule | undefined

  constructor({ seed, compose, recording = false, shares = false }: SimulationOptions) {
    this.#shares = shares
    const world = new World({ seed, recording })
    this.world = world
    this.configuration = drawConfiguration(world.random.stream('configuration'))
    this.log = new LogCollector(world)
    this.#network = new SimNetwork(world, world.random.stream('network'), this.configuration.network)
    this.#probe = new SimProbe(world.random.stream('probe'), this.configuration.probe)
    const surroundings = { world, network: this.#network, log: this.log, probe: this.#probe }
    this.#node = new SimNode(1, surroundings, this.configuration.node, compose(this.configuration))
    this.#oracle = new DeliveryOracle(this.#node, () => world.nowMs)
  }

  /** Throws what went wrong. */
  async run(): Promise<SimulationResult> {
    const { world, configuration } = this
    this.#node.start()
    await this.#until('the node serves', 60_000, () => this.#node.serving)
    this.#createClients()
    this.#faults = new FaultSchedule(world, world.random.stream('faults'), this.#node, configuration.faults)
    await world.runFor(configuration.workload.durationMs)
    await this.#drain()
    await this.#checkRetained()
    await this.#checkHistory()
    await this.#stop()
    return {
      hash: this.hash(),
      events: world.events,
      virtualMs: world.nowMs,
      published: this.#oracle.published,
      deliveries: this.#oracle.deliveries,
      faults: this.#faults.faults,
      deaths: this.#node.deaths,
      probes: this.#probe.counts(),
    }
  }

  /** What happened so far in one word, and the next random number (T5). */
  hash(): string {
    return `${this.world.trace.hash()}-${this.world.random.uint32().toString(16)}`
  }

  /** Liveness: with everything healed, all that was promised must come within bounded time. */
  async #drain(): Promise<void> {
    this.#faults?.heal()
    this.#probe.heal()
    for (const actor of this.#actors) actor.settle()
    await this.#until('the node serves again', 60_000, () => this.#node.serving)
    await this.#keepPromises()
    await this.world.runFor(Math.max(0, this.#oracle.lastDueMs - this.world.nowMs) + AFTERMATH_MS)
  }

  /** Goes on as long as what is left becomes less: a slow client on a long way may take an hour. */
  async #keepPromises(): Promise<void> {
    let least = Number.POSITIVE_INFINITY
    for (;;) {
      const left = (): number => this.#actors.reduce((sum, { client }) => sum + client.backlog, this.#oracle.missingCount)
      const settled = (): boolean => this.#actors.every((actor) => actor.settled) && left() === 0
      if (await this.#reaches(STANDSTILL_MS_MAX, settled)) return
      if (left() >= least) throw new SimFailure(this.#unsettled())
      least = left()
    }
  }

  async #checkRetained(): Promise<void> {
    const random = this.world.random.stream('retained reader')
    const reader = new RetainedReader(this.world, this.#network, random, MQTT_PORT, 't/#')
    await this.#readAll(reader)
    this.#oracle.retained.check(reader.values, reader.connectingSinceMs, this.world.nowMs)
  }

  /** What is stored, whole, and once more from a place in it. */
  async #checkHistory(): Promise<void> {
    const random = this.world.random.stream('history reader')
    const read = async (replayFrom: string): Promise<HistoryReader> => {
      const options = { port: MQTT_PORT, filter: '#', replayFrom }
      const reader = new HistoryReader(this.world, this.#network, random, options)
      await this.#readAll(reader)
      return reader
    }
    const { entries, connectingSinceMs } = await read('earliest')
    this.#oracle.history.checkWhole(entries, connectingSinceMs, this.world.nowMs)
    if (entries.length === 0) return
    const { offset } = random.pick(entries)
    this.#oracle.history.checkFrom(offset, (await read(String(offset))).entries, entries, this.world.nowMs)
  }

  /** Until nothing has come for long enough. */
  async #readAll(reader: RetainedReader | HistoryReader): Promise<void> {
    const quietMs = (): number => this.world.nowMs - (reader.quietSinceMs() ?? Number.POSITIVE_INFINITY)
    if (!(await this.#reaches(READING_MS_MAX, () => quietMs() > READING_QUIET_MS)))
      throw new SimFailure(`not within ${READING_MS_MAX} ms: all is read`)
    reader.close()
  }

  async #stop(): Promise<void> {
    let stopped = false
    this.world.schedule('check', undefined, 0, () => {
      this.#node.stop(() => {
        stopped = true
      })
    })
    await this.#until('the node stops', STOP_MS_MAX, () => stopped)
  }

  async #until(what: string, limitMs: number, holds: () => boolean): Promise<void> {
    if (!(await this.#reaches(limitMs, holds))) throw new SimFailure(`not within ${limitMs} ms: ${what}`)
  }

  /** Whether something comes to hold in time. */
  #reaches(limitMs: number, holds: () => boolean): Promise<boolean> {
    return this.world.reaches(limitMs, POLL_MS, holds)
  }

  #unsettled(): string {
    const clients = this.#actors
      .filter((actor) => !actor.settled)
      .map(({ client }) => `${client.options.id} is ${client.state}, ${client.backlog} unacknowledged`)
    const missing = this.#oracle.missing(MISSING_TOLD_MAX)
    const title = `${STANDSTILL_MS_MAX} ms without progress after everything was healed, ${this.#oracle.missingCount} deliveries are owed:`
    return [title, ...missing, ...clients].join('\n  ')
  }

  #createClients(): void {
    const random = this.world.random.stream('clients')
    const { workload } = this.configuration
    // Its session and subscriptions last for the whole run, so everything that is acknowledged must reach it.
    const everything = [
      { filter: WILL_FILTER, qos: 2 },
      { filter: 't/#', qos: 2 },
    ] as const
    const watching = { steady: everything, publishes: false, faithful: random.chance(0.5), keepsSession: true }
    this.#createClient('watcher', random.stream('watcher'), EXPIRY_NEVER_SECONDS, watching)
    for (let at = 1; at <= workload.clients; at++) {
      const own = random.stream(`client ${at}`)
      const expirySeconds = own.pick([0, 10, 3600, EXPIRY_NEVER_SECONDS, EXPIRY_NEVER_SECONDS])
      const steady = drawSubscriptions(own, workload)
      this.#createClient(`client-${at}`, own, expirySeconds, {
        steady,
        publishes: own.chance(0.8),
        faithful: own.chance(0.3),
        keepsSession: own.chance(0.5),
      })
    }
    if (this.#shares) this.#createWorkers()
  }

  /** One shared group. Its first member keeps its session; of the others, those that do not are granted QoS 1, so that no message ends with them. */
  #createWorkers(): void {
    const { workload, probe } = this.configuration
    const isCalm = workload.workerLeavesMs === undefined && probe.enabledRatio === 0
    const random = this.world.random.stream('workers')
    const checker = new ShareChecker('workers', drawFilter(random, workload), 'worker-1', isCalm, this.#node)
    this.#oracle.shares.push(checker)
    for (let at = 1; at <= workload.workers; at++) {
      const own = random.stream(`worker ${at}`)
      const keeper = at === 1 || own.chance(0.4)
      const expirySeconds = keeper ? EXPIRY_NEVER_SECONDS : own.pick([0, 0, 3, 3600])
      const options: MqttClientOptions = { ...this.#drawClient(`worker-${at}`, own, expirySeconds), shares: true }
      const client = new MqttClient(this.world, this.#network, own.stream('protocol'), options, checker, this.#node)
      const qos = keeper ? own.pick<Qos>([1, 2]) : 1
      const seat = { qos, keeper, leavesMs: workload.workerLeavesMs }
      this.#actors.push(new WorkerActor(this.world, own.stream('actor'), client, checker, seat))
    }
  }

  #createClient(id: string, random: SimRandom, sessionExpirySeconds: number, options: ActorOptions): void {
    const { world } = this
    const clientOptions = this.#drawClient(id, random, sessionExpirySeconds)
    const client = new MqttClient(world, this.#network, random.stream('protocol'), clientOptions, this.#oracle, this.#node)
    const source = new MessageSource(random.stream('messages'), this.configuration.workload, id, clientOptions.version === 5)
    this.#actors.push(new ClientActor(world, random.stream('actor'), this.configuration.workload, client, source, options))
  }

  #drawClient(id: string, random: SimRandom, sessionExpirySeconds: number): MqttClientOptions {
    return {
      id,
      version: random.pick([4, 5]),
      port: MQTT_PORT,
      sessionExpirySeconds,
      keepAliveSeconds: random.pick([0, 5, 30]),
      receiveMaximum: random.pick([1, 3, 20, 1000]),
      acknowledgeDelayMs: random.pick([0, 5, 200]),
      window: random.pick([1, 10, 100]),
      reuseIds: random.chance(0.5),
      topicAliasMaximum: random.stream('aliases').pick([0, 1, 5, 100]),
      givesAliases: random.stream('gives aliases').chance(0.5),
    }
  }
}

/** Up to three filters, each once. They may overlap. */
function drawSubscriptions(random: SimRandom, workload: WorkloadConfiguration): readonly ClientSubscription[] {
  const byFilter = new Map<string, ClientSubscription>()
  for (let left = random.range(0, 3); left > 0; left--) {
    const filter = drawFilter(random, workload)
    byFilter.set(filter, { filter, qos: random.pick<Qos>([0, 1, 2]) })
  }
  return [...byFilter.values()]
}
