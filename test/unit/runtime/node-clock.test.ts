// SPDX-License-Identifier: Apache-2.0
// The real clock. Delays are short, and only bounds that hold on a slow machine are checked.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { NodeClock } from '#runtime'

const clock = new NodeClock()
const fired = (delayMs: number): Promise<number> => new Promise((resolve) => clock.after(delayMs, () => resolve(clock.monotonic())))

describe('NodeClock', () => {
  it('a timer is never early, not even by a part of a millisecond', async () => {
    for (let round = 0; round < 30; round++) {
      const delayMs = 1 + (round % 5) * 0.7
      const beganMs = clock.monotonic()
      const firedMs = await fired(delayMs)
      assert.ok(firedMs - beganMs >= delayMs, `${firedMs - beganMs} is at least ${delayMs}`)
    }
  })

  it('a cancelled timer does not fire, and may be cancelled again', async () => {
    const timer = clock.after(1, () => assert.fail('it was cancelled'))
    timer.cancel()
    await fired(5)
    timer.cancel()
  })

  it('a timer longer than the loop can count does not fire at once', async () => {
    const timer = clock.after(2 ** 40, () => assert.fail('it is due in 34 years'))
    await fired(5)
    timer.cancel()
  })

  it('the end of the turn comes after promises and before timers that are not due', async () => {
    const order: string[] = []
    const later = fired(50).then(() => order.push('timer'))
    const turn = new Promise<void>((resolve) => {
      clock.endOfTurn(() => {
        order.push('turn')
        resolve()
      })
    })
    await Promise.resolve().then(() => order.push('promise'))
    await Promise.all([turn, later])
    assert.deepEqual(order, ['promise', 'turn', 'timer'])
  })

  it('wall time is in milliseconds since 1970', () => {
    assert.ok(Math.abs(clock.realtime() - Date.now()) < 1000)
  })
})
