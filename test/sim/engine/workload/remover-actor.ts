// SPDX-License-Identifier: Apache-2.0
// An operator who removes a topic now and then. What was acknowledged before must be gone for good when the engine says so.
import { must } from '#base/assert'
import type { SimRandom } from '../../random.ts'
import type { LogChecker } from '../checker/log-checker.ts'
import type { EngineProcess } from '../engine-node.ts'
import { type ActorSurroundings, EngineActor } from './engine-actor.ts'

export class RemoverActor extends EngineActor {
  #asked: { readonly process: EngineProcess; readonly giveUp: () => void } | undefined
  #removals = 0

  constructor(surroundings: ActorSurroundings, random: SimRandom, periodMs: number) {
    super(surroundings, random, periodMs)
  }

  get settled(): boolean {
    return this.#asked === undefined
  }

  /** Topics that were removed. */
  get removals(): number {
    return this.#removals
  }

  protected lookAfterLost(): void {
    if (this.#asked === undefined || this.node.isAlive(this.#asked.process)) return
    this.#asked.giveUp()
    this.#asked = undefined
  }

  protected act(process: EngineProcess): void {
    if (this.#asked !== undefined || this.settling) return
    const { engine } = process
    const storage = this.plan.drawStorage(this.random)
    const topic = this.plan.drawTopic(this.random)
    const id = engine.logOf(storage, topic)
    const log = must(this.node.log(process, id), 'stripes are there for good')
    const { rules } = this.node
    const removal = rules.removalBegins(log, topic, this.node.nowMs)
    this.#asked = { process, giveUp: () => rules.removalEnds(removal, this.node.nowMs, 'doubtful') }
    // What the retained view may still lack is left: first everything that is there must be in it.
    const settled = storage === 'memory' ? Promise.resolve() : engine.retainedUpTo(id, engine.extent(id).end)
    let own: LogChecker | undefined
    const call = settled.then(() => {
      const ownId = engine.logs().find((other) => other.storage === storage && other.topic === topic)?.id
      own = ownId === undefined ? undefined : this.node.log(process, ownId)
      if (own !== undefined) own.mayVanish = true
      return engine.removeTopic(storage, topic)
    })
    const end = (outcome: 'done' | 'nothing' | 'doubtful'): void => {
      this.#asked = undefined
      if (outcome === 'done') this.#removals++
      if (outcome === 'done' && own !== undefined) own.isRemoved = true
      // Stripes in memory know no topics: only a log of its own goes.
      rules.removalEnds(removal, this.node.nowMs, storage === 'memory' ? 'nothing' : outcome)
    }
    const done = (known: boolean): void => end(known ? 'done' : 'nothing')
    this.after(process, call, done, () => end('doubtful'))
  }
}
