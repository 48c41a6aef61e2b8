// SPDX-License-Identifier: Apache-2.0
// What all actors of the engine's workload are: they act now and then while a process serves, until they are told to settle.
import type { SimRandom } from '../../random.ts'
import type { World } from '../../world.ts'
import type { EngineWorkload } from '../engine-configuration.ts'
import type { EngineNode, EngineProcess } from '../engine-node.ts'
import type { TopicPlan } from './topic-plan.ts'

export interface ActorSurroundings {
  readonly world: World
  readonly node: EngineNode
  readonly plan: TopicPlan
  readonly workload: EngineWorkload
}

export abstract class EngineActor {
  protected readonly world: World
  protected readonly node: EngineNode
  protected readonly plan: TopicPlan
  protected readonly workload: EngineWorkload
  protected readonly random: SimRandom
  protected settling = false

  constructor({ world, node, plan, workload }: ActorSurroundings, random: SimRandom, periodMs: number) {
    this.world = world
    this.node = node
    this.plan = plan
    this.workload = workload
    this.random = random
    const next = (): void => {
      world.schedule('client', undefined, random.delayMs(periodMs), () => {
        this.lookAfterLost()
        const { process } = node
        if (process !== undefined) this.act(process)
        next()
      })
    }
    next()
  }

  /** From now on nothing new: it ends what it has begun. */
  settle(): void {
    this.settling = true
  }

  /** Nothing that it has begun is left. */
  abstract get settled(): boolean

  /** Called first: calls of processes that are gone will not be answered. */
  protected abstract lookAfterLost(): void

  protected abstract act(process: EngineProcess): void

  /** Runs what follows an asynchronous call, unless its process is gone. What it throws ends the run. */
  protected after<T>(process: EngineProcess, call: Promise<T>, done: (value: T) => void, failed: (error: unknown) => void): void {
    const guarded =
      <V>(then: (value: V) => void) =>
      (value: V): void => {
        if (!this.node.isAlive(process)) return
        try {
          then(value)
        } catch (error) {
          this.world.fail(error)
        }
      }
    call.then(guarded(done), guarded(failed))
  }
}
