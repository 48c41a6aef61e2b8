// SPDX-License-Identifier: Apache-2.0
// What one seed runs: everything that may vary is drawn (swarm testing, T7). About a quarter of the seeds have no faults at all; in the others each
// kind of fault is there or not, at a drawn rate.
import type { NetworkConditions } from './network.ts'
import type { NodeConditions } from './node.ts'
import type { FaultRates } from './probe.ts'
import type { SimRandom } from './random.ts'

/** Mean time between two faults of a kind; undefined for never. */
export interface FaultPeriods {
  readonly killMs: number | undefined
  readonly crashMs: number | undefined
  readonly stopMs: number | undefined
  readonly pauseMs: number | undefined
  readonly syncFailureMs: number | undefined
  /** A disk that runs full, and has room again soon after. */
  readonly fullDiskMs?: number | undefined
}

/** Relative frequencies of what a client does when it acts. 0 leaves it out. */
export interface ActionWeights {
  readonly publish: number
  readonly subscribe: number
  readonly unsubscribe: number
  readonly disconnect: number
  readonly reset: number
  readonly vanish: number
  readonly takeover: number
  readonly stall: number
}

export interface WorkloadConfiguration {
  readonly clients: number
  readonly topics: number
  /** Mean time between two actions of a client. */
  readonly actionMs: number
  readonly burstMax: number
  /** Each client publishes at most so many. */
  readonly messagesPerClient: number
  readonly payloadBytesMax: number
  readonly retainRatio: number
  readonly delayedRatio: number
  readonly expiryRatio: number
  readonly willRatio: number
  readonly cleanStartRatio: number
  readonly weights: ActionWeights
  /** Members of a shared group, next to the other clients. */
  readonly workers: number
  /** Mean time between two departures of a worker; undefined when they stay. */
  readonly workerLeavesMs: number | undefined
  /** How long faults and actions go on. */
  readonly durationMs: number
}

export interface SimConfiguration {
  readonly node: NodeConditions
  readonly network: NetworkConditions
  readonly faults: FaultPeriods
  readonly probe: FaultRates
  readonly workload: WorkloadConfiguration
  /** Settings of config.toml: 'section.key=value'. */
  readonly settings: readonly string[]
}

/** A client that acts less often would also come back less often. */
const ACTION_MS_MAX = 3_000

export function drawConfiguration(random: SimRandom): SimConfiguration {
  const faulty = random.chance(0.75)
  return {
    node: drawNode(random.stream('node'), faulty),
    network: drawNetwork(random.stream('network'), faulty),
    faults: drawFaults(random.stream('faults'), faulty),
    probe: faulty ? { enabledRatio: 0.25, firesRatio: random.pick([0.01, 0.05, 0.25]) } : { enabledRatio: 0, firesRatio: 0 },
    workload: { ...drawWorkload(random.stream('workload'), faulty), ...drawWorkers(random.stream('workers'), faulty) },
    settings: [...drawSettings(random.stream('settings')), ...drawSharedSettings(random.stream('shared settings'))],
  }
}

function drawNode(random: SimRandom, faulty: boolean): NodeConditions {
  const slow = faulty && random.chance(0.3)
  return {
    clock: { realtimeOffsetMs: random.range(-3_600_000, 3_600_000), turnMsMax: random.pick([0, 0.2, 1, 5]) },
    kv: { delayMs: random.pick([0.02, 0.1, 0.5]), syncDelayMs: slow ? 50 : random.pick([0.5, 2, 5]) },
    disk: { delayMs: random.pick([0.02, 0.1, 0.5]), syncDelayMs: slow ? 80 : random.pick([0.5, 2, 5]) },
  }
}

function drawNetwork(random: SimRandom, faulty: boolean): NetworkConditions {
  const delayMs = random.pick([0.1, 1, 10, 40])
  return {
    delayMs,
    splitRatio: random.pick([0, 0.05, 0.5]),
    stallRatio: faulty ? random.pick([0, 0, 0.001, 0.01]) : 0,
    stallMsMax: random.pick([200, 3_000]),
    // A small window on a long way would carry too little to finish in time.
    windowBytes: random.pick(delayMs > 1 ? [16_384, 65_536] : [600, 16_384, 65_536]),
    halfOpenRatio: random.pick([0, 0.5, 1]),
  }
}

function drawFaults(random: SimRandom, faulty: boolean): FaultPeriods {
  const period = (ratio: number): number | undefined => (faulty && random.chance(ratio) ? random.pick([4_000, 10_000, 30_000]) : undefined)
  return { killMs: period(0.5), crashMs: period(0.6), stopMs: period(0.4), pauseMs: period(0.3), syncFailureMs: period(0.15) }
}

function drawWorkers(random: SimRandom, faulty: boolean): Pick<WorkloadConfiguration, 'workers' | 'workerLeavesMs'> {
  return { workers: random.pick([0, 1, 3, 6]), workerLeavesMs: faulty && random.chance(0.7) ? random.pick([2_000, 8_000]) : undefined }
}

function drawWorkload(random: SimRandom, faulty: boolean): Omit<WorkloadConfiguration, 'workers' | 'workerLeavesMs'> {
  const weight = (most: number): number => (faulty && random.chance(0.5) ? random.range(1, most) : 0)
  const durationMs = random.pick([10_000, 30_000, 60_000])
  const messagesPerClient = random.pick([20, 60, 200])
  const burstMax = Math.min(random.pick([1, 5, 40]), messagesPerClient / 5)
  return {
    clients: random.range(2, 12),
    topics: random.range(1, 16),
    messagesPerClient,
    // About so often that the messages last for the whole run.
    actionMs: Math.min((durationMs * (burstMax + 1)) / 2 / messagesPerClient, ACTION_MS_MAX),
    burstMax,
    payloadBytesMax: random.pick(messagesPerClient > 60 ? [32, 400] : [32, 400, 20_000]),
    retainRatio: random.pick([0, 0.1, 0.5]),
    delayedRatio: random.stream('delayed').pick([0, 0, 0.1, 0.5]),
    expiryRatio: random.stream('expiry').pick([0, 0.1, 0.5]),
    willRatio: random.pick([0, 0.5, 1]),
    cleanStartRatio: random.pick([0, 0, 0.1]),
    weights: {
      publish: 40,
      subscribe: random.pick([0, 1, 4]),
      unsubscribe: random.pick([0, 0, 1]),
      disconnect: weight(4),
      reset: weight(4),
      vanish: weight(4),
      takeover: weight(4),
      stall: weight(4),
    },
    durationMs,
  }
}

function drawSharedSettings(random: SimRandom): readonly string[] {
  return [
    `mqtt.shared_policy=${random.pick(['round_robin', 'random', 'sticky', 'hash_client_id', 'hash_topic', 'local_first'])}`,
    `mqtt.shared_redelivery_after=${random.pick(['0s', '2s', 'never'])}`,
    `mqtt.shared_persistent=${random.chance(0.2)}`,
  ]
}

function drawSettings(random: SimRandom): readonly string[] {
  return [
    `engine.stripes=${random.pick([1, 2, 4, 7])}`,
    `engine.default_storage=${random.stream('storage').pick(['rocksdb', 'segment'])}`,
    `engine.default_model=${random.stream('model').pick(['shared', 'shared', 'independent'])}`,
    `engine.independent_logs_max=${random.stream('independent logs').pick([3, 1024])}`,
    `engine.segment_bytes=${random.stream('segments').pick(['1MiB', '256MiB'])}`,
    `meta.data_groups=${random.pick([1, 2, 3])}`,
    `meta.offset_groups=${random.pick([1, 2])}`,
    `engine.wal_bytes=${random.pick(['16MiB', '256MiB'])}`,
    'mqtt.max_packet_size=1MiB',
    `engine.tail_bytes=${random.pick(['1MiB', '64MiB'])}`,
    `mqtt.inflight_max=${random.pick([1, 5, 20, 1024])}`,
    `mqtt.delayed_messages_max=${random.stream('delayed').pick([3, 1000, 100_000])}`,
    `mqtt.topic_alias_maximum=${random.stream('aliases').pick([0, 1, 10, 100])}`,
    `mqtt.receive_maximum=${random.pick([2, 20, 1024])}`,
  ]
}
