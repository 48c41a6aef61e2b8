// SPDX-License-Identifier: Apache-2.0
// Which versions of the protocol between nodes this program speaks (R55): of meetings, frames and snapshots. What services and entries hold is the
// concern of the cluster version. Two nodes speak the highest version that both know, so that a cluster is upgraded node by node.

/** Both ends included. */
export interface ProtocolRange {
  readonly min: number
  readonly max: number
}

/**
 * `max` rises by one with the first change that the release before does not understand; `min` follows when that release is not to be met any more, at
 * the earliest one release later.
 */
export const PROTOCOL: ProtocolRange = Object.freeze({ min: 1, max: 1 })

/** Undefined when there is none. */
export function highestCommon(some: ProtocolRange, others: ProtocolRange): number | undefined {
  const highest = Math.min(some.max, others.max)
  return highest >= Math.max(some.min, others.min) ? highest : undefined
}
