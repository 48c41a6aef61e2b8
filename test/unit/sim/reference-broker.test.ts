// SPDX-License-Identifier: Apache-2.0
// The simulator judged by itself: it accepts a correct broker, and finds every planted bug.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { composeReference, type PlantedBug } from '../../sim/reference-broker.ts'
import { Simulation } from '../../sim/simulation.ts'

/** Seeds that find each bug, and what the finding must say. */
const FINDINGS: Readonly<Record<PlantedBug, readonly [seed: number, finding: RegExp]>> = {
  'acknowledges before it is durable': [16, /never reached/],
  'forgets a subscription on restart': [1, /never reached/],
  'forgets its sessions on restart': [1, /the session is lost/],
  'forgets received QoS 2 ids on restart': [5, /copy 2, but 1 can match/],
  'repeats out of order': [1, /repeated messages come in their original order/],
  'repeats without DUP': [1, /a repeated PUBLISH has DUP set/],
  'drops retained writes now and then': [1, /retained value of .* can only be one of/],
  'publishes the will after a farewell': [5, /the will of a client that said goodbye/],
  'forgets the will on restart': [1, /-will:.* never reached/],
  'exceeds the receive maximum': [1, /the receive maximum is kept/],
  'delivers what has expired': [5, /retained value of .* can only be one of/],
  'forwards the whole lifetime': [5, /are more than what is left/],
  'takes seconds of life for milliseconds': [2, /are less than what is left/],
  'ignores the will delay': [1, /a will before its delay has passed/],
  'publishes the will of a client that is back': [1, /back before its delay had passed/],
  'loses the will with the session': [1, /-will:.* never reached/],
  'loses history on restart': [1, /not in the history/],
  'replays backwards': [1, /replay of .* came after/],
  'begins a replay too late': [1, /left out/],
  'stores a repeated will': [1, /copy 2 of .*-will/],
  'keeps the first meaning of a topic alias': [1, /it was published to/],
  'keeps its topic aliases over connections': [1, /has no meaning on this connection/],
}

for (const seed of [1, 5, 16, 48]) {
  it(`a correct broker keeps every promise, seed ${seed}`, async () => {
    const result = await new Simulation({ seed, compose: composeReference() }).run()
    assert.ok(result.deliveries > 0)
  })
}

for (const [bug, [seed, finding]] of Object.entries(FINDINGS)) {
  it(`a broker that ${bug} is found out, seed ${seed}`, async () => {
    await assert.rejects(new Simulation({ seed, compose: composeReference(bug as PlantedBug) }).run(), finding)
  })
}

it('one seed gives one hash, another seed another', async () => {
  const hashOf = async (seed: number): Promise<string> => (await new Simulation({ seed, compose: composeReference() }).run()).hash
  assert.equal(await hashOf(2), await hashOf(2))
  assert.notEqual(await hashOf(2), await hashOf(3))
})
