// SPDX-License-Identifier: Apache-2.0
// The clocks of one machine: how fast they run, and how far the wall clock is off. Every incarnation has its own port to them.
import type { Timer } from '#base/port/clock'
import { SimClock } from '../clock.ts'
import type { Life } from '../life.ts'
import type { SimRandom } from '../random.ts'
import type { World } from '../world.ts'

export class NodeTime {
  /** Seconds of this machine in a second of the world. */
  readonly rate: number
  readonly turnMsMax: number
  realtimeOffsetMs: number

  constructor(rate: number, realtimeOffsetMs: number, turnMsMax: number) {
    this.rate = rate
    this.realtimeOffsetMs = realtimeOffsetMs
    this.turnMsMax = turnMsMax
  }

  /** The wall clock is set, forward or back. The monotonic clock does not notice. */
  step(byMs: number): void {
    this.realtimeOffsetMs += byMs
  }

  clock(world: World, life: Life, random: SimRandom): SimClock {
    return new DriftingClock(world, life, random, this)
  }
}

class DriftingClock extends SimClock {
  readonly #rate: number

  constructor(world: World, life: Life, random: SimRandom, time: NodeTime) {
    super(world, life, random, time)
    this.#rate = time.rate
  }

  override monotonic(): number {
    return super.monotonic() * this.#rate
  }

  override after(delayMs: number, fire: () => void): Timer {
    return super.after(delayMs / this.#rate, fire)
  }
}
