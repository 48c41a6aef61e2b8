// SPDX-License-Identifier: Apache-2.0
// The loop of R57 for one log store: everything the groups have ready goes into one write with one sync; what came meanwhile
// makes the next one. So batches grow by themselves while the disk is busy (D7, M1).
import { isPlatformError, messageOf, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Clock } from '#base/port/clock'
import type { Histogram, Metrics } from '#base/port/metrics'
import type { Ready } from './core/ready.ts'
import type { GroupWrite, LogStore } from './log-store.ts'

/** A group as its pipeline sees it. */
export interface WritingGroup {
  readonly id: number
  /** What is to be written now; undefined when there is nothing. */
  collect(): Ready | undefined
  /** What was collected is durable. */
  written(): void
  /** Applies what is committed and settles who waited for it. */
  applyCommitted(): void
}

export interface WritePipelineOptions {
  /** Label of the metrics. */
  readonly name: string
  /** A write takes no further group once it has this many bytes of entries. */
  readonly writeBytesMax: number
  /** Called with the bytes of entries of each write that is done. */
  readonly onWritten: (bytes: number) => void
  readonly crash: (reason: Error) => void
}

interface SingleWrite {
  readonly write: GroupWrite
  readonly done: () => void
}

const DURATION_BUCKETS_SECONDS = [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5]
const SIZE_BUCKETS_BYTES = [256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 16_777_216]
const COUNT_BUCKETS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]

export class WritePipeline {
  readonly #store: LogStore
  readonly #clock: Clock
  readonly #options: WritePipelineOptions
  readonly #duration: Histogram
  readonly #size: Histogram
  readonly #entryCount: Histogram
  /** In order of arrival, so that no group waits behind another that keeps coming back. */
  readonly #dirty = new Set<WritingGroup>()
  #state: 'idle' | 'scheduled' | 'writing' | 'halted' = 'idle'
  /** What no group collects, to go with the next write. */
  #singles: SingleWrite[] = []
  /** Waits for the write under way. */
  #stopped: (() => void) | undefined

  constructor(store: LogStore, clock: Clock, metrics: Metrics, options: WritePipelineOptions) {
    this.#store = store
    this.#clock = clock
    this.#options = options
    const labels = { store: options.name }
    this.#duration = metrics.histogram(
      'robustmq_raft_write_duration_seconds',
      'Time until a write of the log was durable.',
      DURATION_BUCKETS_SECONDS,
      labels,
    )
    this.#size = metrics.histogram(
      'robustmq_raft_write_size_bytes',
      'Bytes of entries in one write of the log.',
      SIZE_BUCKETS_BYTES,
      labels,
    )
    this.#entryCount = metrics.histogram('robustmq_raft_write_entries', 'Entries in one write of the log.', COUNT_BUCKETS, labels)
  }

  /** The group has something to write. Taken at the end of the running job, or when the write in flight is done. */
  schedule(group: WritingGroup): void {
    this.#dirty.add(group)
    this.#wake()
  }

  /** Writes that a group begins, or is gone: no group of that id is scheduled meanwhile. Resolves when it is durable. */
  writeOnce(write: GroupWrite): Promise<void> {
    return new Promise((done) => {
      this.#singles.push({ write, done })
      this.#wake()
    })
  }

  /** Nothing is written or acknowledged any more. */
  halt(): void {
    this.#state = 'halted'
  }

  /** Begins no write any more; resolves when the one under way is done. */
  stop(): Promise<void> {
    if (this.#state !== 'writing') {
      this.halt()
      return Promise.resolve()
    }
    return new Promise((resolve) => {
      this.#stopped = resolve
    })
  }

  #wake(): void {
    if (this.#state !== 'idle') return
    this.#state = 'scheduled'
    queueMicrotask(() => this.#drain())
  }

  #drain(): void {
    if (this.#state === 'halted') return
    this.#state = 'idle'
    const singles = this.#singles
    if (singles.length > 0) this.#singles = []
    const batch = singles.map(({ write }) => write)
    const groups: WritingGroup[] = []
    const unwritten: WritingGroup[] = []
    let mustSync = singles.length > 0
    let bytes = 0
    let entryCount = 0
    for (const group of this.#dirty) {
      if (bytes >= this.#options.writeBytesMax) break
      this.#dirty.delete(group)
      const ready = group.collect()
      if (ready === undefined) continue
      if (isWriteless(ready)) {
        unwritten.push(group)
        continue
      }
      batch.push(groupWrite(group.id, ready))
      groups.push(group)
      mustSync ||= ready.mustSync
      entryCount += ready.entries.length
      for (const entry of ready.entries) bytes += entry.data.length
    }
    if (batch.length > 0) this.#write(batch, groups, singles, mustSync, bytes, entryCount)
    for (const group of unwritten) {
      group.written()
      group.applyCommitted()
    }
  }

  #write(
    batch: readonly GroupWrite[],
    groups: readonly WritingGroup[],
    singles: readonly SingleWrite[],
    mustSync: boolean,
    bytes: number,
    entryCount: number,
  ): void {
    this.#state = 'writing'
    const startedMs = this.#clock.monotonic()
    this.#store
      .write(batch, { sync: mustSync })
      .then(
        () => {
          if (this.#stopped !== undefined) this.halt()
          this.#stopped?.()
          if (this.#state === 'halted') return
          this.#duration.observe((this.#clock.monotonic() - startedMs) / 1000)
          this.#size.observe(bytes)
          this.#entryCount.observe(entryCount)
          this.#completed(groups)
          for (const { done } of singles) done()
          this.#options.onWritten(bytes)
        },
        (error: unknown) => this.#options.crash(this.#writeError(error)),
      )
      .catch((bug: Error) => this.#options.crash(bug))
  }

  /** The next write begins before the entries of this one are applied, so that the disk does not wait for the state machines. */
  #completed(groups: readonly WritingGroup[]): void {
    for (const group of groups) group.written()
    this.#drain()
    for (const group of groups) group.applyCommitted()
  }

  /** A second try could not tell what the first one has left on the disk (R48). */
  #writeError(error: unknown): PlatformError {
    const text = `writing the ${this.#options.name} log failed, and the process ends: ${messageOf(error)}`
    return new PlatformError(isPlatformError(error) ? error.code : ERROR_CODES.diskFailed, text, { cause: error })
  }
}

/** Only messages that waited for a write which is done by now, such as the answer to an entry that is already there. */
const isWriteless = ({ entries, hardState, start }: Ready): boolean =>
  entries.length === 0 && hardState === undefined && start === undefined

function groupWrite(group: number, ready: Ready): GroupWrite {
  const write: { -readonly [Key in keyof GroupWrite]: GroupWrite[Key] } = { group, entries: ready.entries }
  if (ready.hardState !== undefined) write.hardState = ready.hardState
  if (ready.start !== undefined) write.start = ready.start
  return write
}
