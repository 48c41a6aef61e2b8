// SPDX-License-Identifier: Apache-2.0
// What a seed draws for a run of the engine: small logs, so that files roll, tails evict and retention removes within seconds, and faults of each kind or none.
import type { StorageType } from '#contract/client/engine-client'
import type { FaultPeriods } from '../configuration.ts'
import type { NodeConditions } from '../node.ts'
import type { SimRandom } from '../random.ts'

/** Limits of the topics that match, as in `[[topic]]`; 0 for none. */
export interface DrawnTopicLimits {
  readonly filter: string
  readonly maxAgeMs: number
  readonly maxBytes: number
}

export interface EngineSettings {
  readonly stripes: number
  readonly memoryBytes: number
  readonly tailBytes: number
  readonly segmentBytes: number
  readonly walSegmentBytes: number
  readonly walBytes: number
  readonly scrubRate: number
  /** Entries that are proposed and not committed; more are refused. */
  readonly uncommittedBytesMax: number
  readonly maxAgeMs: number
  readonly maxBytes: number
  readonly retentionIntervalMs: number
  /** Logs that belong to one topic; 0 for a run without any. */
  readonly independentLogsMax: number
  readonly topics: readonly DrawnTopicLimits[]
}

/** The fake of meta: retained values, and the catalogue of logs that belong to one topic. */
export interface RetainConditions {
  readonly delayMs: number
  /** Mean time between two outages; undefined for never. */
  readonly outageMs: number | undefined
  /** Probability that a call takes seconds. */
  readonly slowRatio: number
}

export interface EngineWorkload {
  readonly storages: readonly StorageType[]
  readonly topics: number
  readonly producers: number
  /** Producers whose records have sequences. */
  readonly sequencers: number
  readonly readers: number
  /** Mean time between two actions of an actor. */
  readonly actionMs: number
  readonly batchRecordsMax: number
  readonly payloadBytesMax: number
  readonly recordsPerProducer: number
  readonly retainRatio: number
  /** Records have keys. */
  readonly keyed: boolean
  /** Mean time between two removals of a topic; undefined for never. */
  readonly removalMs: number | undefined
  /** How long actions and faults go on. */
  readonly durationMs: number
}

export interface EngineSimConfiguration {
  readonly node: NodeConditions
  readonly engine: EngineSettings
  readonly retain: RetainConditions
  readonly faults: FaultPeriods
  /** Probability that a start finds a bit flipped in an index of the segment files: a cache that is made again (L27). */
  readonly indexDamageRatio: number
  readonly workload: EngineWorkload
}

const KIB = 1024

export function drawEngineConfiguration(random: SimRandom): EngineSimConfiguration {
  const faulty = random.chance(0.8)
  const workload = drawWorkload(random.stream('workload'))
  return {
    node: drawNode(random.stream('node'), faulty),
    engine: { ...drawSettings(random.stream('settings')), topics: drawTopicLimits(random.stream('topics')) },
    retain: drawRetain(random.stream('retain'), faulty),
    faults: drawFaults(random.stream('faults'), faulty),
    indexDamageRatio: faulty ? random.stream('damage').pick([0, 0.3, 1]) : 0,
    workload,
  }
}

function drawNode(random: SimRandom, faulty: boolean): NodeConditions {
  const slow = faulty && random.chance(0.2)
  return {
    clock: { realtimeOffsetMs: random.range(-3_600_000, 3_600_000), turnMsMax: random.pick([0, 0.2, 1, 5]) },
    kv: { delayMs: random.pick([0.02, 0.1, 0.5]), syncDelayMs: slow ? 50 : random.pick([0.5, 2, 5]) },
    disk: { delayMs: random.pick([0.02, 0.1, 0.5]), syncDelayMs: slow ? 80 : random.pick([0.5, 2, 5]) },
  }
}

function drawSettings(random: SimRandom): Omit<EngineSettings, 'topics'> {
  const limited = random.chance(0.6)
  return {
    stripes: random.pick([1, 1, 2, 3]),
    memoryBytes: random.pick([16 * KIB, 256 * KIB]),
    tailBytes: random.pick([4 * KIB, 32 * KIB, 1024 * KIB]),
    segmentBytes: random.pick([4 * KIB, 16 * KIB, 128 * KIB]),
    walSegmentBytes: random.pick([8 * KIB, 64 * KIB]),
    walBytes: random.pick([32 * KIB, 512 * KIB]),
    scrubRate: random.pick([0, 20 * KIB, 1024 * KIB]),
    uncommittedBytesMax: random.pick([8 * KIB, 1024 * KIB, 32 * 1024 * KIB]),
    maxAgeMs: limited ? random.pick([0, 1_000, 4_000]) : 0,
    maxBytes: limited ? random.pick([0, 24 * KIB, 100 * KIB]) : 0,
    retentionIntervalMs: random.pick([100, 500, 2_000]),
    independentLogsMax: random.stream('independent').pick([0, 0, 2, 8]),
  }
}

function drawTopicLimits(random: SimRandom): readonly DrawnTopicLimits[] {
  if (random.chance(0.5)) return []
  const limit = (filter: string): DrawnTopicLimits => ({
    filter,
    maxAgeMs: random.pick([0, 500, 3_000]),
    maxBytes: random.pick([0, 2 * KIB, 16 * KIB]),
  })
  return [limit(random.pick(['t/0/1', 't/0/#', 't/+/2'])), ...(random.chance(0.5) ? [limit('t/1/+')] : [])]
}

function drawRetain(random: SimRandom, faulty: boolean): RetainConditions {
  return {
    delayMs: random.pick([0.2, 2, 20]),
    outageMs: faulty && random.chance(0.5) ? random.pick([500, 2_500]) : undefined,
    slowRatio: faulty ? random.pick([0, 0, 0.05]) : 0,
  }
}

function drawFaults(random: SimRandom, faulty: boolean): FaultPeriods {
  const period = (ratio: number): number | undefined => (faulty && random.chance(ratio) ? random.pick([800, 2_500, 8_000]) : undefined)
  return {
    killMs: period(0.5),
    crashMs: period(0.6),
    stopMs: period(0.4),
    pauseMs: period(0.2),
    syncFailureMs: period(0.2),
    fullDiskMs: period(0.2),
  }
}

function drawWorkload(random: SimRandom): EngineWorkload {
  const durationMs = random.pick([3_000, 8_000, 15_000])
  const recordsPerProducer = random.pick([100, 400, 1_000])
  const batchRecordsMax = random.pick([1, 4, 20])
  return {
    storages: random.pick([['rocksdb'], ['segment'], ['rocksdb', 'segment'], ['rocksdb', 'segment', 'memory'], ['segment', 'memory']]),
    topics: random.pick([1, 3, 12, 40, 400]),
    producers: random.range(1, 4),
    sequencers: random.range(0, 3),
    readers: random.range(1, 5),
    actionMs: Math.max(2, (durationMs * (batchRecordsMax + 1)) / 2 / recordsPerProducer),
    batchRecordsMax,
    payloadBytesMax: random.pick([0, 40, 400, 3_000]),
    recordsPerProducer,
    retainRatio: random.pick([0, 0.1, 0.5]),
    keyed: random.stream('keys').chance(0.3),
    removalMs: random.chance(0.3) ? random.pick([300, 2_000]) : undefined,
    durationMs,
  }
}
