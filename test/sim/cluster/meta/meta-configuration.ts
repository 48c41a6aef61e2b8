// SPDX-License-Identifier: Apache-2.0
// What a seed draws for a cluster that shares metadata: the machines, ways and faults of any cluster, and how clients reach it.
import type { SimRandom } from '../../random.ts'
import { type ClusterConfiguration, drawClusterConfiguration, type HostSettings, isSlow } from '../cluster-configuration.ts'
import type { RpcConditions } from './rpc-conditions.ts'

export interface MetaWorkload {
  readonly clients: number
  readonly keys: number
  readonly thinkMs: number
  /** Calls of one client, in one session, at the same time. */
  readonly lanes: number
  readonly readRatio: number
  /** Bytes by which values are longer than they need be, at most: logs grow, and are cut. */
  readonly paddingMax: number
  readonly watches: number
  readonly durationMs: number
}

export interface SessionHabits {
  /** Ids that all brokers contend for. */
  readonly clients: number
  /** Mean time between two takeovers by one broker. */
  readonly visitMs: number
  /** Of visits: the broker looks through all sessions instead of taking one over. */
  readonly listRatio: number
  /** Mean time between the writes of an owner. */
  readonly pauseMs: number
}

export interface MetaConfiguration extends Omit<ClusterConfiguration, 'workload'> {
  readonly rpc: RpcConditions
  readonly workload: MetaWorkload
  readonly sessions: SessionHabits
}

/** A transaction with its padding must fit in. */
const UNCOMMITTED_BYTES_MIN = 1 << 17
/** As few as production may be given. */
const ELECTION_TICKS_MIN = 10
/** A sync may take so many times as long as it does on average, and an election must not come of that (R16). */
const SYNC_TAIL = 10
/** Where one message is under way at a time. With one entry in each, fewer are replicated than brokers ask for: several of the largest must fit. */
const MESSAGE_BYTES_MIN = 1 << 16
/** On slow disks. With a sync for each entry they do fewer than brokers ask for, so that soon nothing is answered in time. */
const WRITE_BYTES_MIN = 1 << 16
/** A broker comes no sooner than after so many syncs: slow disks would not get done with what is asked of them, and answer nobody in time. */
const VISIT_SYNCS_MIN = 20

export function drawMetaConfiguration(random: SimRandom): MetaConfiguration {
  const drawn = drawClusterConfiguration(random)
  const host = relieved(drawn)
  const syncTicks = Math.ceil((SYNC_TAIL * drawn.machine.disk.syncDelayMs) / host.tickMs)
  const electionTicks = Math.max(host.timing.electionTicks, ELECTION_TICKS_MIN, syncTicks)
  return {
    ...drawn,
    voters: random.stream('members').pick([2, 3, 3, 3, 3, 5]),
    host: { ...host, timing: { ...host.timing, electionTicks } },
    rpc: drawRpc(random.stream('rpc'), Object.keys(drawn.faults).length > 0),
    workload: drawWorkload(random.stream('meta workload')),
    sessions: drawSessions(random.stream('sessions'), VISIT_SYNCS_MIN * drawn.machine.disk.syncDelayMs),
  }
}

/** The settings with which what is asked for is done in time. */
function relieved({ host: drawn, machine }: ClusterConfiguration): HostSettings {
  const host = { ...drawn, uncommittedBytesMax: Math.max(drawn.uncommittedBytesMax, UNCOMMITTED_BYTES_MIN) }
  if (drawn.inflightMessagesMax === 1 || drawn.inflightBytesMax < MESSAGE_BYTES_MIN)
    host.messageBytesMax = Math.max(drawn.messageBytesMax, MESSAGE_BYTES_MIN)
  if (isSlow(machine)) host.writeBytesMax = Math.max(drawn.writeBytesMax, WRITE_BYTES_MIN)
  return host
}

function drawRpc(random: SimRandom, faulty: boolean): RpcConditions {
  const loss = faulty ? random.pick([0, 0.005, 0.03]) : 0
  return {
    delayMsMean: random.pick([0.3, 1, 5]),
    tailRatio: faulty ? random.pick([0, 0.01, 0.05]) : 0,
    tailMs: random.pick([500, 5_000, 12_000]),
    lossRatio: loss,
    breakRatio: faulty ? random.pick([0, 0.01, 0.05]) : 0,
    windowMessages: random.pick([1, 4, 32]),
  }
}

function drawWorkload(random: SimRandom): MetaWorkload {
  const clients = random.range(2, 4)
  return {
    clients,
    keys: random.range(1, 4),
    thinkMs: random.pick([20, 60, 200]) * clients,
    lanes: random.pick([1, 1, 3]),
    readRatio: random.pick([0.2, 0.4]),
    paddingMax: random.pick([0, 200, 4000]),
    watches: random.range(2, 4),
    durationMs: random.pick([8_000, 15_000, 25_000]),
  }
}

function drawSessions(random: SimRandom, visitMsMin: number): SessionHabits {
  const clients = random.range(1, 3)
  const listRatio = random.pick([0.1, 0.8])
  const visitMs = listRatio < 0.5 ? random.pick([300, 1000, 3000]) : 100
  return { clients, listRatio, visitMs: Math.max(visitMs, visitMsMin), pauseMs: random.pick([20, 100, 400]) }
}

/** Calls are not lost and not late: what remains once faults are over. */
export const calmRpc = (conditions: RpcConditions): RpcConditions => ({ ...conditions, tailRatio: 0, lossRatio: 0, breakRatio: 0 })
