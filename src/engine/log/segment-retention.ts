// SPDX-License-Identifier: Apache-2.0
// Retention of the logs of type segment. Their records are in files that all of them share, and a file goes when no log needs it: by age each log gives
// up its own oldest, and over the bytes those logs give up records that hold the oldest file, however few they are.
import type { LogId } from '#contract/client/engine-client'
import type { Retention } from './retention.ts'

/** The files that the logs of type segment share. */
export interface SegmentStore {
  /** Bytes of all files, and the logs that keep the oldest from going, with the last of their entries in it. */
  pressure(): SegmentPressure
  /** Lets every log begin where it is needed from, and removes the files that no log needs. */
  reclaim(): Promise<void>
}

export interface SegmentPressure {
  readonly bytes: number
  readonly holders: readonly { readonly log: LogId; readonly through: number }[]
}

export class SegmentRetention {
  readonly #store: SegmentStore
  readonly #retentions: ReadonlyMap<LogId, Retention>
  /** Read in each round; 0 for no limit. */
  readonly #bytesMax: () => number

  constructor(store: SegmentStore, retentions: ReadonlyMap<LogId, Retention>, bytesMax: () => number) {
    this.#store = store
    this.#retentions = retentions
    this.#bytesMax = bytesMax
  }

  /** One round. Ends early when nothing can be given up: values that meta has not taken yet hold their records. */
  async run(nowMs: number, stopped: () => boolean): Promise<void> {
    for (const retention of this.#retentions.values()) await retention.run(nowMs, stopped)
    await this.#store.reclaim()
    while (!stopped()) {
      const { bytes, holders } = this.#store.pressure()
      if (this.#bytesMax() === 0 || bytes <= this.#bytesMax()) return
      let released = false
      for (const { log, through } of holders) if (await this.#retentions.get(log)?.run(nowMs, stopped, through)) released = true
      if (!released) return
      await this.#store.reclaim()
    }
  }
}
