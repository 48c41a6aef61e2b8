// SPDX-License-Identifier: Apache-2.0
// Removes the oldest records of one log, by age and by bytes. The start of the log is raised durably first, then the keys below it go (L28):
// after a crash in between, the next round finds what was left, because it begins at the first key there is.
import { must } from '#base/assert'
import type { KvOperation } from '#base/port/kv'
import type { Position } from '#contract/client/engine-client'
import type { Chunk } from './key-layout.ts'
import type { StripeMachine, StripeStore } from './stripe-machine.ts'
import type { StripeMetrics } from './stripe-metrics.ts'

/** Chunks looked at in one step. */
const CHUNKS_STEP = 256
/** Keys deleted in one write, and topics dropped in one step. */
const KEYS_STEP = 2048
/** Steps in which a round looks for keys of records that are gone. */
const SWEEP_STEPS = 64

export interface RetentionLimits {
  /** Records older than this are removed; 0 for no limit. */
  readonly maxAgeMs: number
  /** Oldest records are removed while those of the log have more bytes than this; 0 for no limit. */
  readonly maxBytes: number
}

export class Retention {
  readonly #machine: StripeMachine
  readonly #store: StripeStore
  readonly #limits: RetentionLimits
  readonly #metrics: StripeMetrics
  /** Chunks before it are gone, so that tombstones are not searched again. */
  #cleared: Position = 0
  /** The state is durable up to this entry. */
  #persisted = 0
  /** Keys of records before this position are gone, and which of them have been looked at for a later one. */
  #swept: Position = 0
  #sweptThrough: Buffer | undefined

  constructor(machine: StripeMachine, limits: RetentionLimits, metrics: StripeMetrics) {
    this.#machine = machine
    this.#store = must(machine.stored, 'only a log that is stored has something to retain')
    this.#limits = limits
    this.#metrics = metrics
  }

  /**
   * One round: removes all that is over the limits now, and the records in entries up to `through`. One at a time. `stopped` is asked between steps. Whether anything
   * was given up.
   */
  async run(nowMs: number, stopped: () => boolean, through = 0): Promise<boolean> {
    const { start, neededFrom } = this.#machine
    await this.#removeAll(nowMs, stopped, through)
    await this.#sweepKeys(stopped)
    await this.#release()
    return this.#machine.start > start || this.#machine.neededFrom > neededFrom
  }

  async #removeAll(nowMs: number, stopped: () => boolean, through: number): Promise<void> {
    while (!stopped()) {
      const expired = await this.#expired(nowMs, through)
      const last = expired.at(-1)
      if (last !== undefined) await this.#remove(expired, last.end)
      const droppedAll = this.#dropTopics()
      if (expired.length < CHUNKS_STEP && droppedAll) return
    }
  }

  /** Removes what the index of keys has of records that are gone. Readers pass over it, so it may take several rounds. */
  async #sweepKeys(stopped: () => boolean): Promise<void> {
    const { start } = this.#machine
    if (start === this.#swept) return
    for (let step = 0; step < SWEEP_STEPS && !stopped(); step++) {
      const { old, last } = await this.#store.log.recordKeysBefore(start, this.#sweptThrough, KEYS_STEP)
      if (old.length > 0)
        await this.#write(
          old.map((key) => ({ key, value: undefined })),
          0,
        )
      this.#sweptThrough = last
      if (last !== undefined) continue
      this.#swept = start
      return
    }
  }

  /** The oldest chunks, as far as they are over a limit or below the start already. */
  async #expired(nowMs: number, through: number): Promise<Chunk[]> {
    const { maxAgeMs, maxBytes } = this.#limits
    const bound = this.#bound()
    const chunks = await this.#store.log.chunks(this.#cleared, bound, CHUNKS_STEP)
    let bytesOver = maxBytes === 0 ? 0 : this.#store.writer.storedBytes - maxBytes
    let count = 0
    for (const chunk of chunks) {
      const isOld = maxAgeMs > 0 && chunk.appendTimeMs < nowMs - maxAgeMs
      const isCaught = chunk.extent !== undefined && chunk.extent.first <= through
      if (chunk.end > bound || !(chunk.end <= this.#machine.start || isOld || isCaught || bytesOver > 0)) break
      bytesOver -= chunk.bytes
      count++
    }
    return chunks.slice(0, count)
  }

  /** Nothing is removed that the retained view may still lack, nor anything that is not in the store. */
  #bound(): Position {
    return Math.min(this.#machine.tail.storedEnd, this.#machine.retainedUpTo)
  }

  /** Lets the Raft log of a log of type segment begin where its records do, when the start is durable (L28). */
  async #release(): Promise<void> {
    if (this.#machine.entries === undefined) return
    const { writer, log } = this.#store
    const written = writer.writtenIndex
    // A start after a power loss applies again what was not durable: at most what a round has brought.
    if (written > this.#persisted) this.#persisted = await writer.persist()
    const [first] = await log.chunks(this.#machine.start, Number.MAX_SAFE_INTEGER, 1)
    this.#machine.releaseBefore(first?.extent?.first ?? written + 1)
  }

  async #remove(chunks: readonly Chunk[], end: Position): Promise<void> {
    const before = this.#machine.start
    if (end > before) {
      this.#machine.raiseStart(end)
      await this.#store.writer.persist()
      this.#metrics.retentionRecords.add(end - before)
    }
    const { keys } = this.#store.log
    let operations: KvOperation[] = []
    let freed = 0
    for (const chunk of chunks) {
      for (const id of chunk.topicIds) operations.push({ key: keys.run(id, chunk.base), value: undefined })
      operations.push({ key: keys.chunk(chunk.base), value: undefined })
      freed += chunk.bytes
      if (operations.length < KEYS_STEP) continue
      await this.#write(operations, freed)
      operations = []
      freed = 0
    }
    if (operations.length > 0) await this.#write(operations, freed)
    this.#cleared = end
  }

  async #write(operations: readonly KvOperation[], freedBytes: number): Promise<void> {
    this.#metrics.retentionBytes.add(freedBytes)
    this.#store.writer.add(operations, freedBytes)
    await this.#store.writer.room()
  }

  /** Drops topics that have no records any more. False when there may be others. */
  #dropTopics(): boolean {
    const { dictionary, writer, log } = this.#store
    const dropped = dictionary.removeBefore(this.#machine.start, KEYS_STEP)
    if (dropped.length > 0)
      writer.add(
        dropped.map((topic) => ({ key: log.keys.topic(topic.name), value: undefined })),
        0,
      )
    return dropped.length < KEYS_STEP
  }
}
