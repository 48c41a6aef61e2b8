// SPDX-License-Identifier: Apache-2.0
// Counts the rare paths that were reached, and injects faults at named points: each point is enabled or not for a whole run, and an
// enabled one fires now and then (T8).
import type { Probe } from '#base/port/probe'
import type { SimRandom } from './random.ts'

export interface FaultRates {
  /** Probability that a point is enabled in this run. */
  readonly enabledRatio: number
  /** Probability that an enabled point fires when it is passed. */
  readonly firesRatio: number
}

interface FaultPoint {
  readonly random: SimRandom
  readonly enabled: boolean
}

export class SimProbe implements Probe {
  readonly #random: SimRandom
  readonly #rates: FaultRates
  readonly #counts = new Map<string, number>()
  readonly #points = new Map<string, FaultPoint>()
  #healed = false

  constructor(random: SimRandom, rates: FaultRates) {
    this.#random = random
    this.#rates = rates
  }

  reached(name: string): void {
    this.#counts.set(name, (this.#counts.get(name) ?? 0) + 1)
  }

  /** Every point draws from a stream of its own, so that a new one leaves the others as they were. */
  fault(name: string): boolean {
    if (this.#healed) return false
    let point = this.#points.get(name)
    if (point === undefined) {
      const random = this.#random.stream(name)
      point = { random, enabled: random.chance(this.#rates.enabledRatio) }
      this.#points.set(name, point)
    }
    const fires = point.enabled && point.random.chance(this.#rates.firesRatio)
    if (fires) this.reached(`fault ${name}`)
    return fires
  }

  /** No fault happens from here on: the liveness phase has begun (T9). */
  heal(): void {
    this.#healed = true
  }

  /** How often each path was reached, by name. */
  counts(): ReadonlyMap<string, number> {
    return this.#counts
  }
}
