// SPDX-License-Identifier: Apache-2.0
// Random runs of five replicas: every promise of Raft is checked after every step, and at the end that the cluster can still make progress.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ClusterRun } from './cluster-run.ts'

const RUNS = Number(process.env['RUNS'] ?? 1000)
const FIRST_SEED = Number(process.env['SEED'] ?? 1)
const STEPS = 1000

test('whatever the network, the disks and the operators do, nothing that was committed is lost or doubled (R3-R37, R41)', () => {
  const seen = { leaders: 0, snapshots: 0, confs: 0, reads: 0, transfers: 0, crashes: 0 }
  for (let seed = FIRST_SEED; seed < FIRST_SEED + RUNS; seed++) {
    const run = new ClusterRun(seed)
    try {
      for (let step = 0; step < STEPS; step++) run.act()
      run.heal(400)
    } catch (error) {
      throw new Error(`seed ${seed}: ${(error as Error).message}`, { cause: error })
    }
    for (const kind of Object.keys(seen) as (keyof typeof seen)[]) seen[kind] += run.seen[kind]
  }
  // A run in which nothing happens proves nothing.
  for (const [kind, count] of Object.entries(seen)) assert.ok(count > RUNS / 50, `${count} ${kind} in ${RUNS} runs`)
  if (process.env['RUNS'] !== undefined) console.log(seen)
})
