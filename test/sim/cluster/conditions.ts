// SPDX-License-Identifier: Apache-2.0
// What the network between the nodes of a cluster is like. Rates are probabilities for each frame; a rate of 0 leaves the fault out.
import type { TrafficClass } from '#base/port/peer-transport'

export interface PeerConditions {
  readonly delayMsMin: number
  readonly delayMsMean: number
  /** How often a frame is late by up to `tailMs`. */
  readonly tailRatio: number
  readonly tailMs: number
  /** A connection breaks and loses what is under way on it. */
  readonly resetRatio: Readonly<Record<TrafficClass, number>>
  /** A frame comes again, up to `repeatMs` later. */
  readonly repeatRatio: number
  readonly repeatMs: number
  /** Frames under way on one connection; more are dropped. */
  readonly framesMax: number
  /** Until a connection that broke is made again. */
  readonly reconnectMs: number
  /** Until a side notices that nothing gets through: the keep-alive of the connection. */
  readonly noticeMs: number
  readonly snapshot: SnapshotConditions
}

export interface SnapshotConditions {
  readonly chunkMs: number
  /** For each chunk. */
  readonly breakRatio: number
  /** A snapshot that has arrived arrives again. */
  readonly repeatRatio: number
  /** It has arrived, and the sender is told that it has not. */
  readonly denyRatio: number
}

/** Nothing is lost and nothing is late: what remains of the conditions once faults are over. */
export function calm(conditions: PeerConditions): PeerConditions {
  return {
    ...conditions,
    tailRatio: 0,
    resetRatio: { control: 0, append: 0 },
    repeatRatio: 0,
    framesMax: Math.max(conditions.framesMax, 64),
    snapshot: { ...conditions.snapshot, breakRatio: 0, repeatRatio: 0, denyRatio: 0 },
  }
}
