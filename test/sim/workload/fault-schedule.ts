// SPDX-License-Identifier: Apache-2.0
// What happens to a node: kills, power losses, stops, pauses and failed disks, each at its own rate, until it is healed.
import type { FaultPeriods } from '../configuration.ts'
import type { SimNode } from '../node.ts'
import type { SimRandom } from '../random.ts'
import type { World } from '../world.ts'

/** Mean time for which a node stays down. */
const DOWN_MS = 1_500
/** How often a node whose process has ended by itself is looked for. */
const WATCH_MS = 500
const PAUSE_MS_MAX = 8_000
const FULL_MS_MAX = 3_000
/** Room that is left on a disk that is about to run full. */
const ROOM_BYTES_MAX = 20_000

export class FaultSchedule {
  readonly #world: World
  readonly #random: SimRandom
  readonly #node: SimNode
  #healed = false
  #faults = 0

  constructor(world: World, random: SimRandom, node: SimNode, periods: FaultPeriods) {
    this.#world = world
    this.#random = random
    this.#node = node
    this.#repeat(periods.killMs, () => node.kill())
    this.#repeat(periods.crashMs, () => node.crash())
    this.#repeat(periods.stopMs, () => this.#stop())
    this.#repeat(periods.pauseMs, () => {
      if (node.serving) node.pause(random.fraction() * PAUSE_MS_MAX)
    })
    this.#repeat(periods.syncFailureMs, () => node.failNextSync())
    this.#repeat(periods.fullDiskMs, () => this.#fillDisk())
    this.#watch()
  }

  get faults(): number {
    return this.#faults
  }

  /** Nothing fails from now on, and the node is brought up if it is down. */
  heal(): void {
    this.#healed = true
    this.#node.heal()
  }

  /** Every kind draws from a stream of its own. */
  #repeat(periodMs: number | undefined, strike: () => void): void {
    if (periodMs === undefined) return
    const random = this.#random.stream('period')
    const next = (): void => {
      this.#world.schedule('fault', undefined, random.delayMs(periodMs), () => {
        if (this.#healed) return
        if (this.#node.alive) {
          this.#faults++
          strike()
        }
        next()
      })
    }
    next()
  }

  #stop(): void {
    if (this.#node.serving) this.#node.stop(() => {})
  }

  #fillDisk(): void {
    this.#node.limitDisk(this.#random.range(0, ROOM_BYTES_MAX))
    this.#world.schedule('fault', undefined, this.#random.fraction() * FULL_MS_MAX, () => {
      if (!this.#healed) this.#node.limitDisk(undefined)
    })
  }

  /** Brings a node that is down up again after a while. */
  #watch(): void {
    this.#world.schedule('fault', undefined, this.#random.delayMs(this.#node.alive ? WATCH_MS : DOWN_MS), () => {
      if (!this.#node.alive) this.#node.start()
      this.#watch()
    })
  }
}
