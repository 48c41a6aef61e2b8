// SPDX-License-Identifier: Apache-2.0
// Keeps a log store small: when it holds too much, the groups that keep its oldest bytes make their state durable and give up
// the log that it covers. Runs beside the write loop and never holds it up.
import { messageOf, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Logger } from '#base/port/logger'
import type { Probe } from '#base/port/probe'
import type { GroupId } from './core/message.ts'
import type { LogStore } from './log-store.ts'

/** A group as its reclaimer sees it. */
export interface CompactingGroup {
  /** Makes the state durable and drops the log up to it; resolves when the store knows the new start. */
  compact(): Promise<void>
}

export interface LogReclaimerOptions {
  /** Above this the store is asked to give space back. */
  readonly bytesMax: number
  readonly group: (id: GroupId) => CompactingGroup | undefined
  readonly crash: (reason: Error) => void
}

/** The store is looked at each time this part of its limit has been written. */
const CHECKS_PER_LIMIT = 16

export class LogReclaimer {
  readonly #store: LogStore
  readonly #logger: Logger
  readonly #probe: Probe
  readonly #options: LogReclaimerOptions
  #uncheckedBytes = 0
  #running: Promise<void> | undefined
  #stopped = false

  constructor(store: LogStore, logger: Logger, probe: Probe, options: LogReclaimerOptions) {
    this.#store = store
    this.#logger = logger
    this.#probe = probe
    this.#options = options
  }

  /** To be told of every write. */
  onWritten(bytes: number): void {
    this.#uncheckedBytes += bytes
    if (this.#uncheckedBytes >= this.#options.bytesMax / CHECKS_PER_LIMIT) this.check()
  }

  /** Begins to reclaim when the store is over its limit. */
  check(): void {
    if (this.#running !== undefined || this.#stopped) return
    this.#uncheckedBytes = 0
    const pressure = this.#store.pressure()
    if (pressure.bytes <= this.#options.bytesMax) return
    this.#probe.reached('raft.log.reclaim')
    this.#begin(this.#reclaim())
  }

  /** Reclaims all that can be, however much the store holds. */
  async reclaim(): Promise<void> {
    await this.#running
    if (this.#stopped) return
    this.#begin(this.#reclaimAll())
    await this.#running
  }

  /** Resolves when what was begun is done: then no group is compacting that `group` does not give any more. */
  async idle(): Promise<void> {
    await this.#running
  }

  /** Begins nothing new; resolves when what was begun is done. */
  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  #begin(work: Promise<void>): void {
    this.#running = work.then(
      () => {
        this.#running = undefined
      },
      (error: unknown) => this.#options.crash(reclaimError(error)),
    )
  }

  async #reclaimAll(): Promise<void> {
    for (let before = Number.POSITIVE_INFINITY; this.#store.pressure().bytes < before && this.#store.pressure().holders.length > 0; ) {
      before = this.#store.pressure().bytes
      await this.#reclaim()
    }
  }

  async #reclaim(): Promise<void> {
    const { bytes: before, holders } = this.#store.pressure()
    // A group that this node no longer runs keeps its log: data goes only when its deletion was decided (R50).
    for (const { group } of holders) await this.#options.group(group)?.compact()
    await this.#store.reclaim()
    this.#logger.log('debug', 'reclaimed log', { groups: holders.length, bytesBefore: before, bytesAfter: this.#store.pressure().bytes })
  }
}

const reclaimError = (error: unknown): Error =>
  new PlatformError(ERROR_CODES.diskFailed, `making state durable to reclaim the log failed: ${messageOf(error)}; the process ends`, {
    cause: error,
  })
