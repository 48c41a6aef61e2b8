// SPDX-License-Identifier: Apache-2.0
// The world: virtual time, promise jobs, ties by seed, dead incarnations, poison.
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { SimClock } from '../../sim/clock.ts'
import { Life } from '../../sim/life.ts'
import { NondeterminismError } from '../../sim/poison.ts'
import { SimFailure, World } from '../../sim/world.ts'

const clockOf = (world: World, life: Life): SimClock =>
  new SimClock(world, life, world.random.stream('turns'), { realtimeOffsetMs: 0, turnMsMax: 1 })

it('T2: all promise jobs of an event run before the next event, however long their chain is', async () => {
  const world = new World({ seed: 1 })
  const order: string[] = []
  world.schedule('timer', undefined, 1, () => {
    void (async () => {
      for (let job = 0; job < 1000; job++) await null
      order.push('chain')
    })()
  })
  world.schedule('timer', undefined, 1.001, () => order.push('next event'))
  await world.runFor(2)
  assert.deepEqual(order, ['chain', 'next event'])
})

it('an hour of virtual time passes at once, and timers fire in order of time', async () => {
  const world = new World({ seed: 1 })
  const clock = clockOf(world, new Life(1, 1))
  const fired: number[] = []
  for (const delayMs of [3_600_000, 5, 70_000]) clock.after(delayMs, () => fired.push(clock.monotonic()))
  const cancelled = clock.after(6, () => fired.push(-1))
  cancelled.cancel()
  await world.runFor(3_600_001)
  assert.deepEqual(fired, [5, 70_000, 3_600_000])
})

it('T2: events of one instant come in an order that the seed decides', async () => {
  const orderOf = async (seed: number): Promise<string> => {
    const world = new World({ seed })
    let order = ''
    for (const name of 'abcdefgh') world.schedule('timer', undefined, 1, () => (order += name))
    await world.runFor(2)
    return order
  }
  assert.equal(await orderOf(5), await orderOf(5))
  assert.notEqual(await orderOf(5), await orderOf(6))
})

it('the end of a turn comes after the input of the same instant, and what it registers belongs to the next turn', async () => {
  const world = new World({ seed: 2 })
  const clock = new SimClock(world, new Life(1, 1), world.random.stream('turns'), { realtimeOffsetMs: 0, turnMsMax: 0 })
  const order: string[] = []
  world.schedule('timer', undefined, 1, () => {
    clock.endOfTurn(() => {
      order.push('first end')
      clock.endOfTurn(() => order.push('next turn'))
    })
    clock.endOfTurn(() => order.push('second end'))
    world.schedule('timer', undefined, 0, () => order.push('input'))
  })
  await world.runFor(2)
  assert.deepEqual(order, ['input', 'first end', 'second end', 'next turn'])
})

it('a dead incarnation never acts again: its timers do not fire, its promises do not settle', async () => {
  const world = new World({ seed: 3 })
  const life = new Life(1, 1)
  const acts: string[] = []
  clockOf(world, life).after(5, () => acts.push('timer'))
  const operation = new Promise<void>((resolve) => world.schedule('disk', undefined, 5, resolve))
  void life.guard(operation).then(() => acts.push('promise'))
  world.schedule('fault', undefined, 4, () => life.end())
  await world.runFor(10)
  assert.deepEqual(acts, [])
})

it('a paused process stands still and goes on with all that has come meanwhile', async () => {
  const world = new World({ seed: 3 })
  const life = new Life(1, 1)
  const clock = clockOf(world, life)
  const fired: number[] = []
  for (const delayMs of [1, 4, 20]) clock.after(delayMs, () => fired.push(world.nowMs))
  world.schedule('fault', undefined, 2, () => life.pauseUntil(10_000))
  await world.runFor(30)
  assert.deepEqual(fired, [1, 10, 20])
})

it('T3: what is not deterministic throws while a world runs, and only then', async () => {
  const world = new World({ seed: 1 })
  const caught: unknown[] = []
  const attempts = [
    () => Date.now(),
    () => new Date(),
    () => Math.random(),
    () => performance.now(),
    () => setTimeout(() => {}, 0),
    () => process.hrtime(),
  ]
  world.schedule('timer', undefined, 1, () => {
    for (const attempt of attempts) {
      try {
        attempt()
      } catch (error) {
        caught.push(error)
      }
    }
    assert.equal(new Date(0).toISOString(), '1970-01-01T00:00:00.000Z')
  })
  await world.runFor(2)
  assert.equal(caught.filter((error) => error instanceof NondeterminismError).length, attempts.length)
  assert.ok(Math.random() < 1 && Date.now() > 0)
})

it('a rejection that nobody handles, an exception in a callback and a checker each fail the run', async () => {
  const failing = async (prepare: (world: World) => void): Promise<void> => {
    const world = new World({ seed: 1 })
    prepare(world)
    await assert.rejects(world.runFor(5), /broken/)
  }
  await failing((world) => world.schedule('timer', undefined, 1, () => void Promise.reject(new Error('broken'))))
  await failing((world) =>
    world.schedule('timer', undefined, 1, () => {
      throw new Error('broken')
    }),
  )
  await failing((world) => {
    world.addChecker(() => {
      if (world.nowMs >= 3) throw new SimFailure('broken')
    })
    world.schedule('timer', undefined, 3, () => {})
  })
})
