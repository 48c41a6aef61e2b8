// SPDX-License-Identifier: Apache-2.0
// Carries the retained records of one log into meta's retained view: in the order of the log, one call at a time (D10, Q14).
// A record is acknowledged only after its value is there (Q1). After a restart everything from the watermark on is written again; the higher position wins.

import { isPlatformError, messageOf } from '#base/error'
import type { Clock } from '#base/port/clock'
import type { Logger } from '#base/port/logger'
import type { LogId, Position } from '#contract/client/engine-client'
import type { MetaClient, RetainedWrite } from '#contract/client/meta-client'
import { type RecordBatch, RecordCursor } from '#contract/record/record-batch'

const CALL_WRITES_MAX = 1024
const CALL_BYTES_MAX = 1024 * 1024
const RETRY_MS_MIN = 50
const RETRY_MS_MAX = 2000

export interface RetainedViewPorts {
  readonly clock: Clock
  readonly logger: Logger
  readonly crash: (reason: Error) => void
}

/** Reads stored records for the writing again. Batches in order, and where to go on. */
export type ReadAgain = (from: Position, to: Position) => Promise<{ readonly batches: readonly RecordBatch[]; readonly next: Position }>

/** 'refused': meta will never take one of the values. 'abandoned': they are somebody else's task now, another leader's or the next start's. */
export type RetainedOutcome = 'stored' | 'refused' | 'abandoned'
export type Settled = (outcome: RetainedOutcome) => void

/** Retained values of one batch, or a stretch of the log to be read again. */
interface Pending {
  readonly base: Position
  readonly writes: readonly RetainedWrite[]
  readonly sizeBytes: number
  readonly readAgainTo: Position | undefined
}

export class RetainedView {
  readonly #log: LogId
  readonly #meta: Pick<MetaClient, 'retain'>
  readonly #ports: RetainedViewPorts
  readonly #readAgain: ReadAgain
  readonly #cursor = new RecordCursor()
  #pending: Pending[] = []
  #waiters: { readonly position: Position; readonly settled: Settled }[] = []
  #leading = false
  #running = false
  #stopped = false
  /** Frozen while another replica leads, and during start. */
  #watermark: Position = 0

  constructor(log: LogId, meta: Pick<MetaClient, 'retain'>, ports: RetainedViewPorts, readAgain: ReadAgain) {
    this.#log = log
    this.#meta = meta
    this.#ports = ports
    this.#readAgain = readAgain
  }

  /** Continues from the stored watermark. */
  begin(watermark: Position): void {
    this.#watermark = watermark
  }

  /** This replica leads: writes what may be missing in meta, then what is committed from now on. `end`: of the log. */
  lead(end: Position): void {
    this.#leading = true
    if (this.#watermark >= end) return
    this.#pending = [{ base: this.#watermark, writes: [], sizeBytes: 0, readAgainTo: end }]
    this.#run()
  }

  /** Another replica leads, and writes. What was pending here is its task now. */
  follow(end: Position): void {
    this.#watermark = this.upTo(end)
    this.#leading = false
    this.#pending = []
    this.#giveUp()
  }

  /** What is pending is written again by the next start. */
  stop(): void {
    this.#stopped = true
    this.#giveUp()
  }

  #giveUp(): void {
    for (const waiter of this.#waiters.splice(0)) waiter.settled('abandoned')
  }

  /** Takes the retained records of a committed batch. */
  add(batch: RecordBatch): void {
    if (!this.#leading) return
    this.#pending.push({
      base: batch.basePosition,
      writes: this.#writesOf(batch, false),
      sizeBytes: batch.bytes.length,
      readAgainTo: undefined,
    })
    this.#run()
  }

  /** The retained values of all records before it are in meta. `end`: of the log. */
  upTo(end: Position): Position {
    return this.#leading ? (this.#pending[0]?.base ?? end) : this.#watermark
  }

  /** Calls `settled` once the retained values of all records before `position` are in meta; at once when that is known. */
  whenSettled(position: Position, settled: Settled): void {
    if (!this.#leading || this.#stopped) settled('abandoned')
    else if (this.#isSettled(position)) settled('stored')
    else this.#waiters.push({ position, settled })
  }

  #isSettled(position: Position): boolean {
    const first = this.#pending[0]
    return first === undefined || first.base >= position
  }

  #run(): void {
    if (this.#running || this.#stopped) return
    this.#running = true
    this.#drain().catch((error: Error) => this.#ports.crash(error))
  }

  async #drain(): Promise<void> {
    for (let first = this.#pending[0]; first !== undefined && !this.#stopped; first = this.#pending[0]) {
      if (first.readAgainTo !== undefined) await this.#writeAgain(first, first.readAgainTo)
      else await this.#writeNext()
    }
    this.#running = false
  }

  /** Writes the pending values at the front in one call. They stay pending, and visible in the watermark, until it has ended. */
  async #writeNext(): Promise<void> {
    const taken: Pending[] = []
    const writes: RetainedWrite[] = []
    let bytes = 0
    for (const item of this.#pending) {
      bytes += item.sizeBytes
      const full = writes.length + item.writes.length > CALL_WRITES_MAX || bytes > CALL_BYTES_MAX
      if (item.readAgainTo !== undefined || (full && taken.length > 0)) break
      taken.push(item)
      for (const write of item.writes) writes.push(write)
    }
    const outcome = await this.#retain(writes)
    if (outcome === 'abandoned') return
    // Nothing was pending any more if leadership was lost meanwhile.
    if (this.#pending[0] === taken[0]) this.#pending.splice(0, taken.length)
    this.#settle(outcome)
  }

  async #writeAgain(item: Pending, to: Position): Promise<void> {
    const { batches, next } = await this.#readAgain(item.base, to)
    const writes = batches.flatMap((batch) => (batch.hasRetained ? this.#writesOf(batch, true) : []))
    const outcome = writes.length === 0 ? 'stored' : await this.#retain(writes)
    if (outcome === 'abandoned' || this.#pending[0] !== item) return
    if (next < to) this.#pending[0] = { ...item, base: next }
    else this.#pending.shift()
    this.#settle('stored')
  }

  /**
   * Repeats the call until it succeeds or is refused for good; then each write is tried alone, so that one bad value holds up no other. What is abandoned stays
   * pending: the watermark that the stop stores must not pass it.
   */
  async #retain(writes: readonly RetainedWrite[]): Promise<RetainedOutcome> {
    for (let delayMs = RETRY_MS_MIN; !this.#stopped; delayMs = Math.min(delayMs * 2, RETRY_MS_MAX)) {
      try {
        await this.#meta.retain(writes)
        return 'stored'
      } catch (error) {
        if (!isPlatformError(error)) throw error
        if (error.retry === 'never') return await this.#refused(writes, error)
        await new Promise<void>((resolve) => this.#ports.clock.after(delayMs, resolve))
      }
    }
    return 'abandoned'
  }

  async #refused(writes: readonly RetainedWrite[], error: Error): Promise<RetainedOutcome> {
    const only = writes[0]
    if (writes.length > 1) {
      let outcome: RetainedOutcome = 'stored'
      for (const write of writes) {
        const one = await this.#retain([write])
        if (one === 'abandoned') return one
        if (outcome === 'stored') outcome = one
      }
      return outcome
    }
    this.#ports.logger.log('error', 'a retained value was refused and is not stored', {
      log: this.#log,
      position: only?.position,
      reason: messageOf(error),
    })
    return 'refused'
  }

  #settle(outcome: RetainedOutcome): void {
    const settled = this.#waiters.filter((waiter) => this.#isSettled(waiter.position))
    if (settled.length === 0) return
    this.#waiters = this.#waiters.filter((waiter) => !this.#isSettled(waiter.position))
    for (const waiter of settled) waiter.settled(outcome)
  }

  #writesOf(batch: RecordBatch, isRepeated: boolean): RetainedWrite[] {
    const writes: RetainedWrite[] = []
    const { appendTimeMs } = batch
    const cursor = this.#cursor
    cursor.reset(batch)
    while (cursor.next()) {
      if (!cursor.retain) continue
      const topic = batch.topics[cursor.topic] as string
      const message =
        cursor.payloadStart === cursor.end
          ? undefined
          : {
              topic,
              qos: cursor.qos,
              expiryMs: cursor.expiryMs,
              storedAtMs: appendTimeMs,
              publisher: cursor.publisher,
              headers: batch.bytes.subarray(cursor.headersStart, cursor.headersEnd),
              payload: batch.bytes.subarray(cursor.payloadStart, cursor.end),
            }
      writes.push({ topic, log: this.#log, position: cursor.position, appendTimeMs, isRepeated, message })
    }
    return writes
  }
}
