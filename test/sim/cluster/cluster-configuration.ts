// SPDX-License-Identifier: Apache-2.0
// What a seed draws for a cluster before anything happens (T7): its size, its settings, how its machines and the ways between them are, and which
// faults there are and how often. A quarter of all seeds is without faults; the others have a random subset of them (RELIABILITY 3.3).
import type { RaftTiming } from '#raft'
import type { SimRandom } from '../random.ts'
import type { MachineConditions } from './cluster-node.ts'
import type { PeerConditions } from './conditions.ts'

/** Everything that can go wrong, each to be turned off by itself when a failure is made small. */
export const FAULT_KINDS = [
  'kill',
  'crash',
  'crashLeader',
  'crashAll',
  'stop',
  'pause',
  'partition',
  'slowLink',
  'reset',
  'loss',
  'repeat',
  'tail',
  'snapshot',
  'syncFailure',
  'slowDisk',
  'fullDisk',
  'bitFlip',
  'lostDisk',
  'clockStep',
  'clockDrift',
  'membership',
  'transfer',
  'frozen',
] as const

export type FaultKind = (typeof FAULT_KINDS)[number]

/** Mean time between two faults of a kind; absent for never. */
export type FaultPeriods = Partial<Readonly<Record<FaultKind, number>>>

export interface HostSettings {
  readonly tickMs: number
  readonly timing: RaftTiming
  readonly segmentBytes: number
  readonly walBytesMax: number
  readonly messageBytesMax: number
  readonly inflightMessagesMax: number
  readonly inflightBytesMax: number
  readonly trailingBytes: number
  readonly uncommittedBytesMax: number
  readonly writeBytesMax: number
  readonly applyBytesMax: number
}

export interface ClusterWorkload {
  readonly clients: number
  readonly keys: number
  /** Mean time between the end of a call and the next one of a client. */
  readonly thinkMs: number
  readonly readRatio: number
  readonly compareRatio: number
  /** Of calls that touch two keys. */
  readonly pairRatio: number
  /** A client gives up a call after this time, and does not know then what became of it. */
  readonly patienceMs: number
  /** Calls at the same moment, now and then. */
  readonly burstMax: number
  readonly durationMs: number
}

export interface ClusterConfiguration {
  readonly voters: number
  readonly host: HostSettings
  readonly machine: MachineConditions
  readonly peers: PeerConditions
  /** Largest deviation of a machine's clock from the true rate. */
  readonly driftMax: number
  readonly turnMsMax: number
  /** Nodes look at each other's identity (R35). Only where disks are lost under their old identity: it costs writes of its own. */
  readonly identified: boolean
  readonly workload: ClusterWorkload
  readonly faults: FaultPeriods
}

const SLOW_SYNC_MS = 30

export function drawClusterConfiguration(random: SimRandom): ClusterConfiguration {
  const faulty = random.chance(0.75)
  const faults = faulty ? drawFaults(random.stream('faults')) : {}
  const machine = drawMachine(random.stream('machine'), faulty)
  const host = bounded(drawHost(random.stream('host')), machine)
  const electionMs = host.tickMs * host.timing.electionTicks
  return {
    voters: random.stream('voters').pick([1, 2, 3, 3, 3, 3, 3, 5, 5, 7]),
    host,
    machine,
    peers: drawPeers(random.stream('peers'), faults, electionMs),
    driftMax: 'clockDrift' in faults ? random.stream('drift').pick([0.001, 0.05, 0.2]) : 0,
    turnMsMax: random.stream('turns').pick([0, 0.2, 1, 5]),
    identified: false,
    workload: drawWorkload(random.stream('workload'), electionMs),
    faults,
  }
}

function drawFaults(random: SimRandom): FaultPeriods {
  const periods: { -readonly [Kind in FaultKind]?: number } = {}
  const often = random.pick([2_000, 5_000, 15_000])
  for (const kind of FAULT_KINDS) {
    const own = random.stream(kind)
    if (own.chance(0.35)) periods[kind] = often * own.pick([0.5, 1, 3])
  }
  return periods
}

function drawHost(random: SimRandom): HostSettings {
  return {
    tickMs: random.pick([10, 50, 100]),
    timing: { electionTicks: random.pick([5, 10, 10, 20]), heartbeatTicks: 1 },
    segmentBytes: random.pick([1024, 4096, 16_384, 65_536]),
    walBytesMax: random.pick([2048, 8192, 32_768, 1 << 20, 1 << 29]),
    messageBytesMax: random.pick([1, 256, 4096, 1 << 20]),
    inflightMessagesMax: random.pick([1, 2, 8, 64]),
    inflightBytesMax: random.pick([256, 4096, 1 << 24]),
    trailingBytes: random.pick([0, 512, 1 << 22]),
    uncommittedBytesMax: random.pick([1024, 1 << 16, 1 << 25]),
    writeBytesMax: random.pick([1, 512, 1 << 24]),
    applyBytesMax: random.pick([1, 300, 1 << 22]),
  }
}

/** Behind megabytes that clients have given up, a disk that syncs for each entry and is slow at it gets to nothing in bounded time. */
function bounded(host: HostSettings, machine: MachineConditions): HostSettings {
  return host.writeBytesMax === 1 && isSlow(machine) ? { ...host, uncommittedBytesMax: 1024 } : host
}

export const isSlow = ({ disk }: MachineConditions): boolean => disk.syncDelayMs >= SLOW_SYNC_MS

function drawMachine(random: SimRandom, faulty: boolean): MachineConditions {
  const slow = faulty && random.chance(0.2)
  return {
    kv: { delayMs: random.pick([0.02, 0.1, 0.5]), syncDelayMs: slow ? 50 : random.pick([0.5, 2, 5]) },
    disk: { delayMs: random.pick([0.02, 0.1, 0.5]), syncDelayMs: slow ? SLOW_SYNC_MS : random.pick([0.5, 2, 5]) },
  }
}

function drawPeers(random: SimRandom, faults: FaultPeriods, electionMs: number): PeerConditions {
  const loss = 'loss' in faults ? random.pick([0.002, 0.02, 0.1]) : 0
  const delayMsMean = Math.min(random.pick([0.2, 1, 5, 20]), electionMs / 20)
  return {
    delayMsMin: random.pick([0.05, 0.5]),
    delayMsMean,
    tailRatio: 'tail' in faults ? random.pick([0.001, 0.01, 0.05]) : 0,
    tailMs: electionMs * random.pick([0.5, 2, 10]),
    resetRatio: { control: loss * random.pick([0, 1]), append: loss * random.pick([1, 2]) },
    repeatRatio: 'repeat' in faults ? random.pick([0.01, 0.1, 0.5]) : 0,
    repeatMs: electionMs * random.pick([0.5, 2, 10]),
    framesMax: random.pick([2, 8, 64, 1024]),
    reconnectMs: random.pick([10, 100, 1000]),
    noticeMs: random.pick([500, 3000]),
    snapshot: {
      chunkMs: random.pick([0.5, 5, 50]),
      breakRatio: 'snapshot' in faults ? random.pick([0.05, 0.3]) : 0,
      repeatRatio: 'snapshot' in faults ? random.pick([0, 0.5]) : 0,
      denyRatio: 'snapshot' in faults ? random.pick([0, 0.3]) : 0,
    },
  }
}

function drawWorkload(random: SimRandom, electionMs: number): ClusterWorkload {
  const clients = random.range(2, 6)
  return {
    clients,
    keys: random.range(1, 4),
    thinkMs: random.pick([10, 50, 200]) * clients,
    readRatio: random.pick([0.2, 0.5, 0.8]),
    compareRatio: random.pick([0.1, 0.4]),
    pairRatio: random.pick([0, 0.1, 0.3]),
    patienceMs: electionMs * random.pick([1, 3, 8]),
    burstMax: random.pick([1, 1, 4]),
    durationMs: random.pick([10_000, 20_000, 40_000]),
  }
}
