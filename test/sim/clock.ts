// SPDX-License-Identifier: Apache-2.0
// The Clock port of one incarnation, on virtual time.
import { must } from '#base/assert'
import type { Clock, Timer } from '#base/port/clock'
import type { Life } from './life.ts'
import type { SimRandom } from './random.ts'
import type { World } from './world.ts'

/** Where virtual wall time begins: 2026-01-01T00:00:00Z. */
export const EPOCH_MS = 1_767_225_600_000

export interface ClockOptions {
  /** How far this node's wall clock is off. */
  readonly realtimeOffsetMs: number
  /** Longest loop turn: what arrives within it is batched. */
  readonly turnMsMax: number
}

export class SimClock implements Clock {
  readonly #world: World
  readonly #life: Life
  readonly #random: SimRandom
  readonly #options: ClockOptions
  readonly #turnEnd: (() => void)[] = []
  #ending = false

  constructor(world: World, life: Life, random: SimRandom, options: ClockOptions) {
    this.#world = world
    this.#life = life
    this.#random = random
    this.#options = options
  }

  monotonic(): number {
    return this.#world.nowMs
  }

  realtime(): number {
    return EPOCH_MS + Math.floor(this.#world.nowMs + this.#options.realtimeOffsetMs)
  }

  after(delayMs: number, fire: () => void): Timer {
    const event = this.#world.schedule('timer', this.#life, Math.max(0, delayMs), fire)
    return {
      cancel: () => {
        event.run = undefined
      },
    }
  }

  /** Each callback is an event of its own, as each is a job of its own in a real loop; those of one turn follow each other. */
  endOfTurn(fire: () => void): void {
    this.#turnEnd.push(fire)
    if (this.#turnEnd.length === 1 && !this.#ending) this.#scheduleEnd()
  }

  #scheduleEnd(): void {
    const delayMs = this.#random.chance(0.5) ? 0 : this.#random.fraction() * this.#options.turnMsMax
    this.#world.schedule('turn', this.#life, delayMs, () => this.#endTurn(this.#turnEnd.length), 1)
  }

  /** Runs the callbacks that were registered when the turn ended. What they register belongs to the next turn. */
  #endTurn(left: number): void {
    const fire = must(this.#turnEnd.shift(), 'a turn ends only when a callback waits for it')
    this.#ending = left > 1
    if (left > 1) this.#world.schedule('turn', this.#life, 0, () => this.#endTurn(left - 1), 1)
    else if (this.#turnEnd.length > 0) this.#scheduleEnd()
    fire()
  }
}
