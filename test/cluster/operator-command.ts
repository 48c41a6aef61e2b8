// SPDX-License-Identifier: Apache-2.0
// How commands of the operator are expected to go.
import assert from 'node:assert/strict'
import type { ClusterPicture } from '../../src/cli/cluster-look.ts'
import type { CommandOutcome, MetaCluster } from './meta-cluster.ts'

/** What it said. */
export async function done(outcome: Promise<CommandOutcome>): Promise<string> {
  const { code, stdout, stderr } = await outcome
  assert.equal(code, 0, stderr)
  return stdout
}

export async function refused(outcome: Promise<CommandOutcome>, words: RegExp): Promise<void> {
  const { code, stderr } = await outcome
  assert.equal(code, 1)
  assert.match(stderr, words)
}

export const picture = async (cluster: MetaCluster): Promise<ClusterPicture> =>
  JSON.parse(await done(cluster.ctl('status', '--json'))) as ClusterPicture
