// SPDX-License-Identifier: Apache-2.0
// Partial failures that last for ever and leave a majority that could work (T11): each of them has kept some system from electing a leader.
import type { NodeId } from '#raft'
import type { Cluster } from './cluster.ts'
import type { HostSettings } from './cluster-configuration.ts'

export interface Topology {
  readonly name: string
  readonly voters: number
  /** In place of what is drawn. */
  readonly settings?: Partial<HostSettings>
  /** Done once there is a leader. Returns who must still be able to serve: clients ask only these. */
  readonly apply: (cluster: Cluster, leader: NodeId) => readonly NodeId[]
  /** Leaders that may come and go before one stays. */
  readonly electionsMax: number
}

/** Who was away for a moment needs a snapshot. */
export const SMALL_LOG: Partial<HostSettings> = { segmentBytes: 1024, walBytesMax: 2048, trailingBytes: 0 }

const FLAP_MS = 700
const SLOW_SYNC_MS = 500
/** Of an election: how late a slow link or a slow store is. */
const LATE_RATIO = 0.3

export const TOPOLOGIES: readonly Topology[] = [
  {
    name: 'one broken link between the leader and a follower of three',
    voters: 3,
    apply: (cluster, leader) => {
      const [other, third] = othersThan(cluster, leader)
      cutBoth(cluster, leader, other as NodeId)
      return [leader, third as NodeId]
    },
    electionsMax: 4,
  },
  {
    name: 'of five, the fourth reaches only the second and the fifth only the third',
    voters: 5,
    apply: (cluster) => {
      for (const [a, b] of [
        [1, 4],
        [3, 4],
        [5, 4],
        [1, 5],
        [2, 5],
      ] as const)
        cutBoth(cluster, a, b)
      return [1, 2, 3]
    },
    electionsMax: 6,
  },
  {
    name: 'a leader that sends and does not hear',
    voters: 3,
    apply: (cluster, leader) => {
      const others = othersThan(cluster, leader)
      for (const other of others) cluster.peers.cut(other, leader)
      return others
    },
    electionsMax: 4,
  },
  {
    name: 'a leader that hears and does not send',
    voters: 3,
    apply: (cluster, leader) => {
      const others = othersThan(cluster, leader)
      for (const other of others) cluster.peers.cut(leader, other)
      return others
    },
    electionsMax: 4,
  },
  {
    name: 'a leader with a slow disk',
    voters: 3,
    apply: (cluster, leader) => {
      // Where each write took longer than the patience of clients, nobody would be served.
      cluster.node(leader)?.slowDisk(Math.min(100, SLOW_SYNC_MS / cluster.configuration.machine.disk.syncDelayMs))
      return cluster.nodes().map(({ id }) => id)
    },
    electionsMax: 6,
  },
  {
    name: 'a slow link between the leader and a follower',
    voters: 3,
    apply: (cluster, leader) => {
      const [other, third] = othersThan(cluster, leader)
      cluster.peers.slow(leader, other as NodeId, 0.9 * electionMs(cluster))
      return [leader, third as NodeId]
    },
    electionsMax: 4,
  },
  {
    name: 'a follower that comes and goes',
    voters: 3,
    apply: (cluster, leader) => {
      const [other, third] = othersThan(cluster, leader)
      flap(cluster, other as NodeId, false)
      return [leader, third as NodeId]
    },
    electionsMax: 4,
  },
  {
    // A follower applies and answers what its leader has committed and not applied: reads of the leader must wait for it (R27).
    name: 'a leader that applies late and is answered late',
    voters: 3,
    settings: { applyBytesMax: 1 << 22 },
    apply: (cluster, leader) => {
      const lateMs = LATE_RATIO * electionMs(cluster)
      cluster.node(leader)?.slowStore((2 * lateMs) / cluster.configuration.machine.kv.delayMs)
      for (const other of othersThan(cluster, leader)) cluster.peers.slow(other, leader, lateMs)
      return cluster.nodes().map(({ id }) => id)
    },
    electionsMax: 4,
  },
  {
    // Between a snapshot and its repetition the receiver has gone on, and has given up the log of the time of the snapshot (R41).
    name: 'a follower that comes and goes, and is sent every snapshot once more, late',
    voters: 3,
    settings: SMALL_LOG,
    apply: (cluster, leader) => {
      const { peers } = cluster.configuration
      cluster.peers.conditions = { ...peers, snapshot: { ...peers.snapshot, repeatRatio: 1 } }
      const [other, third] = othersThan(cluster, leader)
      flap(cluster, other as NodeId, false)
      return [leader, third as NodeId]
    },
    electionsMax: 4,
  },
]

const electionMs = ({ configuration: { host } }: Cluster): number => host.tickMs * host.timing.electionTicks

const othersThan = (cluster: Cluster, leader: NodeId): readonly NodeId[] =>
  cluster
    .nodes()
    .map(({ id }) => id)
    .filter((id) => id !== leader)

function cutBoth({ peers }: Cluster, a: NodeId, b: NodeId): void {
  peers.cut(a, b)
  peers.cut(b, a)
}

function flap(cluster: Cluster, node: NodeId, cut: boolean): void {
  for (const other of othersThan(cluster, node)) {
    if (cut) cutBoth(cluster, node, other)
    else
      for (const [a, b] of [
        [node, other],
        [other, node],
      ] as const)
        cluster.peers.restore(a, b)
  }
  cluster.world.schedule('fault', undefined, FLAP_MS, () => flap(cluster, node, !cut))
}
