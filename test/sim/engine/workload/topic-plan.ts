// SPDX-License-Identifier: Apache-2.0
// The topics of a run, which of them share a log, and filters that match some of them.
import { must } from '#base/assert'
import type { StorageType } from '#contract/client/engine-client'
import type { SimRandom } from '../../random.ts'
import type { LogChecker } from '../checker/log-checker.ts'
import type { EngineWorkload } from '../engine-configuration.ts'
import type { EngineNode, EngineProcess } from '../engine-node.ts'

const BATCH_TOPICS_MAX = 5
/** More exact filters than are merged run by run. */
const MANY_TOPICS = 300

export interface Target {
  readonly log: LogChecker
  readonly topics: readonly string[]
}

/** 't/<room>/<n>': two rooms, so that wildcards match some and not all. */
const topicOf = (index: number): string => `t/${index % 2}/${index}`

export class TopicPlan {
  readonly topics: readonly string[]
  readonly #node: EngineNode
  readonly #storages: readonly StorageType[]
  /** There are logs that belong to one topic. */
  readonly #independent: boolean

  constructor(node: EngineNode, { topics, storages }: EngineWorkload, independent: boolean) {
    this.#node = node
    this.topics = Array.from({ length: topics }, (_, index) => topicOf(index))
    this.#storages = storages
    this.#independent = independent
  }

  /** A log that is written to, and some of its topics. `durable`: not one in memory. */
  drawTarget(random: SimRandom, process: EngineProcess, durable: boolean): Target {
    const storage = random.pick(durable ? this.#storages.filter((type) => type !== 'memory') : this.#storages)
    const topic = random.pick(this.topics)
    const { engine } = process
    const id = engine.logOf(storage, topic, this.#independent && random.chance(0.3) ? 'independent' : 'shared')
    const log = must(this.#node.log(process, id), 'a log that is told is there')
    const topics = [topic]
    if (log.topic === undefined)
      for (let left = random.range(0, BATCH_TOPICS_MAX - 1); left > 0; left--) {
        const other = random.pick(this.topics)
        if (engine.logOf(storage, other) === id) topics.push(other)
      }
    return { log, topics }
  }

  drawStorage(random: SimRandom): StorageType {
    return random.pick(this.#storages)
  }

  drawTopic(random: SimRandom): string {
    return random.pick(this.topics)
  }

  /** What a reader of one log asks for: each way of reading has its turn. */
  drawFilters(random: SimRandom): readonly string[] {
    const index = random.range(0, this.topics.length - 1)
    switch (random.range(0, 4)) {
      case 0:
        return [topicOf(index)]
      case 1:
        return [random.pick([`t/${index % 2}/+`, `t/+/${index}`, `+/${index % 2}/#`])]
      case 2:
        return Array.from({ length: random.pick([2, 20, MANY_TOPICS]) }, () => random.pick(this.topics))
      case 3:
        return [topicOf(index), `t/${(index + 1) % 2}/#`]
      default:
        return ['#']
    }
  }
}
