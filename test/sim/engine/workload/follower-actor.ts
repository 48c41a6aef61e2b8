// SPDX-License-Identifier: Apache-2.0
// The broker's side of the tail: registers the same filters with each process, more of them in time, and others that it takes back again.

import type { SimRandom } from '../../random.ts'
import type { EngineProcess } from '../engine-node.ts'
import { type ActorSurroundings, EngineActor } from './engine-actor.ts'

const ACTION_MS = 100
/** Filters that are taken back after a while. */
const PASSING_MAX = 3

export class FollowerActor extends EngineActor {
  readonly #filters: readonly string[]
  #process: EngineProcess | undefined
  /** As many of the filters as this process has. */
  #registered = 0
  #passing: string[] = []

  constructor(surroundings: ActorSurroundings, random: SimRandom) {
    super(surroundings, random, ACTION_MS)
    const some = Array.from({ length: random.range(1, 4) }, () => surroundings.plan.drawFilters(random)[0] as string)
    this.#filters = random.chance(0.6) ? ['#', ...some] : some
  }

  get settled(): boolean {
    return true
  }

  protected lookAfterLost(): void {}

  protected act(process: EngineProcess): void {
    if (this.#process !== process) {
      this.#process = process
      this.#registered = 0
      this.#passing = []
    }
    const filter = this.#filters[this.#registered]
    if (filter !== undefined && (this.#registered === 0 || this.random.chance(0.3))) {
      this.#registered++
      this.#register(process, filter)
    } else if (this.#passing.length < PASSING_MAX && this.random.chance(0.2)) this.#pass(process)
    else if (this.random.chance(0.2)) this.#takeBack(process)
  }

  #register(process: EngineProcess, filter: string): void {
    // It may be told of records before it knows from where on.
    process.tail.pass(filter, 1)
    this.after(
      process,
      process.engine.register(filter),
      (positions) => {
        process.tail.register(filter, positions)
        process.tail.pass(filter, -1)
      },
      (error) => {
        throw error
      },
    )
  }

  #pass(process: EngineProcess): void {
    const filter = this.plan.drawFilters(this.random)[0] as string
    this.#passing.push(filter)
    process.tail.pass(filter, 1)
    const failed = (error: unknown): void => {
      throw error
    }
    this.after(process, process.engine.register(filter), () => undefined, failed)
  }

  #takeBack(process: EngineProcess): void {
    const filter = this.#passing.shift()
    if (filter === undefined) return
    process.engine.deregister(filter)
    process.tail.pass(filter, -1)
  }
}
