// SPDX-License-Identifier: Apache-2.0
// Some fixed seeds of a cluster under faults, the partial failures that last for ever, and the stories of disks. A seed that has once found a bug is
// in FOUND with what it found.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { ClusterSimulation } from './cluster-simulation.ts'
import { STORIES } from './stories.ts'
import { TOPOLOGIES } from './topologies.ts'

const FIRST_SEED = 100
const SEEDS = 8

const FOUND: readonly (readonly [seed: number, what: string])[] = [
  [1, 'a snapshot is not offered while another one is being installed (R41)'],
  [34, 'a command that the transport repeats is done once, and its answer is that of the first'],
  [86, 'a ruined voter is replaced once faults are over, whatever the operator had planned'],
  [198, 'a voter that was alone ticks again when it is given company'],
  [90_029, 'a membership is settled on disks that sync for each entry, whatever clients ask for'],
]

const run = async (seed: number): Promise<void> => {
  await new ClusterSimulation({ seed }).run()
}

for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS; seed++)
  it(`cluster ${seed}: every invariant holds, and a majority serves`, () => run(seed))
for (const [seed, what] of FOUND) it(`cluster ${seed}: ${what}`, () => run(seed))

for (const topology of TOPOLOGIES) {
  it(`T11: ${topology.name}`, async () => {
    for (const seed of [2]) await new ClusterSimulation({ seed, topology }).run()
  })
}

for (const story of STORIES) {
  it(`R46: ${story.name}: nothing that was acknowledged is lost`, async () => {
    await new ClusterSimulation({ seed: 1, story }).run()
  })
}

it('T5: a cluster gives the same hash when it is run again', async () => {
  for (const seed of [3, 11]) {
    const hashes = []
    for (let time = 0; time < 2; time++) hashes.push((await new ClusterSimulation({ seed }).run()).hash)
    assert.equal(hashes[0], hashes[1])
  }
})
