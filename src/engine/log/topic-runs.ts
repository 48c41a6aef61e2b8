// SPDX-License-Identifier: Apache-2.0
// The runs of several topics, merged by the base position of their chunks. Reads a few runs of each topic ahead.
import type { Position } from '#contract/client/engine-client'
import type { RecordBatch } from '#contract/record/record-batch'
import type { StoredLog } from './stored-log.ts'
import type { Topic } from './topic.ts'

/** Runs read at first, over all topics; at least one of each. */
const FIRST_COUNT = 1
const PAGE_COUNT_MAX = 64

/** The runs of one topic. */
interface Lane {
  readonly topicId: number
  runs: readonly RecordBatch[]
  at: number
  /** The store has no more of them. */
  last: boolean
}

export class TopicRuns {
  readonly #log: StoredLog
  readonly #to: Position
  readonly #from: Position
  readonly #topics: readonly Topic[]
  #lanes: Lane[] | undefined

  /** Runs whose base is in [from, to). */
  constructor(log: StoredLog, topics: readonly Topic[], from: Position, to: Position) {
    this.#log = log
    this.#topics = topics
    this.#from = from
    this.#to = to
  }

  /** The runs at the lowest base that is left; empty at the end. `bytesLeft` is how much the reader still takes. */
  async next(bytesLeft: number): Promise<RecordBatch[]> {
    if (this.#lanes === undefined) {
      const count = Math.max(1, Math.floor(FIRST_COUNT / this.#topics.length))
      this.#lanes = await Promise.all(this.#topics.map((topic) => this.#open(topic, count)))
    }
    const empty = this.#lanes.filter((lane) => lane.at === lane.runs.length && !lane.last)
    if (empty.length > 0) await Promise.all(empty.map((lane) => this.#refill(lane, bytesLeft)))
    let base = Number.POSITIVE_INFINITY
    for (const lane of this.#lanes) base = Math.min(base, baseOf(lane))
    const runs: RecordBatch[] = []
    if (base === Number.POSITIVE_INFINITY) return runs
    for (const lane of this.#lanes) if (baseOf(lane) === base) runs.push(lane.runs[lane.at++] as RecordBatch)
    return runs
  }

  async #open(topic: Topic, count: number): Promise<Lane> {
    const runs = await this.#log.runs(topic.id, this.#from, this.#to, count)
    return { topicId: topic.id, runs, at: 0, last: runs.length < count }
  }

  /** As many runs as the reader is likely to take, judged by the size of the last ones. */
  async #refill(lane: Lane, bytesLeft: number): Promise<void> {
    const previous = lane.runs
    const bytes = previous.reduce((sum, run) => sum + run.bytes.length, 0)
    const fitting = Math.floor((Math.max(bytesLeft, 0) * previous.length) / Math.max(bytes, 1) / (this.#lanes?.length ?? 1)) + 1
    const count = Math.min(PAGE_COUNT_MAX, Math.max(fitting, 1))
    const after = (previous.at(-1)?.basePosition ?? this.#from) + 1
    lane.runs = await this.#log.runs(lane.topicId, after, this.#to, count)
    lane.at = 0
    lane.last = lane.runs.length < count
  }
}

const baseOf = (lane: Lane): number => lane.runs[lane.at]?.basePosition ?? Number.POSITIVE_INFINITY
