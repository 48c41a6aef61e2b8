// SPDX-License-Identifier: Apache-2.0
// What was drawn for a cluster, without some of its faults: what else was drawn stays as it is.
import type { ClusterConfiguration, FaultKind } from './cluster-configuration.ts'
import { calm } from './conditions.ts'

type Faulty = Pick<ClusterConfiguration, 'faults' | 'peers' | 'driftMax'>

export function reduced<Configuration extends Faulty>(drawn: Configuration, without: ReadonlySet<FaultKind>): Configuration {
  if (without.size === 0) return drawn
  const faults = Object.fromEntries(Object.entries(drawn.faults).filter(([kind]) => !without.has(kind as FaultKind)))
  const { peers } = drawn
  const still = calm(peers)
  return {
    ...drawn,
    faults,
    driftMax: without.has('clockDrift') ? 0 : drawn.driftMax,
    peers: {
      ...peers,
      resetRatio: without.has('loss') ? still.resetRatio : peers.resetRatio,
      repeatRatio: without.has('repeat') ? 0 : peers.repeatRatio,
      tailRatio: without.has('tail') ? 0 : peers.tailRatio,
      snapshot: without.has('snapshot') ? still.snapshot : peers.snapshot,
    },
  }
}
