// SPDX-License-Identifier: Apache-2.0
// How the records of a stored log are got, once its chunks have said that they are there. One implementation for each storage type: logs of type rocksdb
// keep them beside the chunks, those of type segment in the Raft log (entry-records.ts).
import type { Position } from '#contract/client/engine-client'
import type { RecordBatch } from '#contract/record/record-batch'
import { type Chunk, damaged } from './key-layout.ts'
import type { StoredLog } from './stored-log.ts'
import type { Topic } from './topic.ts'
import { TopicRuns } from './topic-runs.ts'

/** Batches that begin at one position: to be merged. They may hold more than was asked for. */
export type RecordSet = readonly RecordBatch[]

export interface TopicReader {
  /** The next set in the order of the log; empty at the end. `bytesLeft` is how much the reader still takes. */
  next(bytesLeft: number): Promise<RecordSet>
}

export interface StoredRecords {
  /** Records of these topics in chunks whose base is in [from, to). */
  ofTopics(topics: readonly Topic[], from: Position, to: Position): TopicReader
  /**
   * At least the records of these topics in the chunks, in order; no set spans two chunks. Rejects with dataDamaged when records are missing that
   * the start of the log, as it is afterwards, does not excuse.
   */
  ofChunks(chunks: readonly Chunk[], topicIds: ReadonlySet<number>): Promise<readonly RecordSet[]>
}

export class RunRecords implements StoredRecords {
  readonly #log: StoredLog
  readonly #start: () => Position

  constructor(log: StoredLog, start: () => Position) {
    this.#log = log
    this.#start = start
  }

  ofTopics(topics: readonly Topic[], from: Position, to: Position): TopicReader {
    return new TopicRuns(this.#log, topics, from, to)
  }

  async ofChunks(chunks: readonly Chunk[], topicIds: ReadonlySet<number>): Promise<readonly RecordSet[]> {
    const places = chunks.flatMap(({ base, topicIds: ids }) => ids.filter((id) => topicIds.has(id)).map((topicId) => ({ topicId, base })))
    const runs = await this.#log.runsAt(places)
    const sets: RecordBatch[][] = []
    for (const [at, run] of runs.entries()) {
      const base = places[at]?.base ?? 0
      const set = sets.at(-1)
      if (run === undefined) {
        if (base >= this.#start() && (await this.#log.lists(base, places[at]?.topicId ?? 0)))
          throw damaged(`log ${this.#log.log}: a run of chunk ${base} is missing`)
      } else if (set?.[0]?.basePosition === base) set.push(run)
      else sets.push([run])
    }
    return sets
  }
}
