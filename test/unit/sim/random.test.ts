// SPDX-License-Identifier: Apache-2.0
// Seeded randomness: reproducible, uniform enough, and split into streams that do not disturb each other (T6).
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { SimRandom } from '../../sim/random.ts'

const draw = (random: SimRandom, count: number): number[] => Array.from({ length: count }, () => random.uint32())

it('T6: one seed gives one sequence, another seed another', () => {
  assert.deepEqual(draw(new SimRandom(7), 8), draw(new SimRandom(7), 8))
  assert.notDeepEqual(draw(new SimRandom(7), 8), draw(new SimRandom(8), 8))
})

it('T6: a draw in one stream does not shift another', () => {
  const quiet = new SimRandom(1)
  const busy = new SimRandom(1)
  draw(busy, 100)
  draw(busy.stream('network'), 100)
  assert.deepEqual(draw(busy.stream('disk'), 8), draw(quiet.stream('disk'), 8))
})

it('T6: the second stream of a name is not the first one again', () => {
  const random = new SimRandom(1)
  assert.notDeepEqual(draw(random.stream('raft'), 4), draw(random.stream('raft'), 4))
})

it('a range reaches both of its ends and nothing else', () => {
  const random = new SimRandom(3)
  const seen = new Set(Array.from({ length: 1000 }, () => random.range(-2, 3)))
  assert.deepEqual(
    [...seen].sort((a, b) => a - b),
    [-2, -1, 0, 1, 2, 3],
  )
})

it('a chance of one in four comes true one time in four', () => {
  const random = new SimRandom(4)
  const hits = Array.from({ length: 40_000 }, () => random.chance(0.25)).filter(Boolean).length
  assert.ok(Math.abs(hits - 10_000) < 400, `${hits} of 40000`)
  assert.equal(random.chance(0), false)
  assert.equal(random.chance(1), true)
})
