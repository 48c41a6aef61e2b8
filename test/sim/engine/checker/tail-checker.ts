// SPDX-License-Identifier: Apache-2.0
// The broker's end of the tail in one process: each committed batch comes once, in order, whole, and none that a registered filter wants is left out (D4).
import { matches } from '#base/topic-filter'
import type { LogId, LogPosition, Position, TailSink } from '#contract/client/engine-client'
import type { RecordBatch } from '#contract/record/record-batch'
import type { LogChecker } from './log-checker.ts'

/** A registration that is never taken back: everything from its positions on is owed to it. */
interface Registration {
  readonly filter: string
  readonly from: ReadonlyMap<LogId, Position>
}

/** What came from one log: stretches [begin, end) in order. */
interface Delivered {
  readonly checker: LogChecker
  readonly begins: Position[]
  readonly ends: Position[]
}

export class TailChecker implements TailSink {
  readonly #logOf: (log: LogId) => LogChecker | undefined
  readonly #registrations: Registration[] = []
  /** Registrations that come and go; how often each stands. */
  readonly #passing = new Map<string, number>()
  readonly #delivered = new Map<LogId, Delivered>()
  #batches = 0

  constructor(logOf: (log: LogId) => LogChecker | undefined) {
    this.#logOf = logOf
  }

  get batches(): number {
    return this.#batches
  }

  register(filter: string, positions: readonly LogPosition[]): void {
    this.#registrations.push({ filter, from: new Map(positions.map(({ log, position }) => [log, position])) })
  }

  /** `count`: 1 when it is about to be registered, -1 when it was taken back. */
  pass(filter: string, count: 1 | -1): void {
    this.#passing.set(filter, (this.#passing.get(filter) ?? 0) + count)
  }

  onCommitted(log: LogId, batch: RecordBatch): void {
    this.#batches++
    const base = batch.basePosition
    const delivered = this.#of(log)
    // Of a log that is being removed the last batches belong to nobody.
    if (delivered === undefined) return
    const { checker, begins, ends } = delivered
    const last = ends.at(-1) ?? 0
    if (base < last) checker.fail('tail', `a batch at ${base} comes after one that ends at ${last}`)
    begins.push(base)
    ends.push(base + batch.recordCount)
    checker.observeWhole(batch, 'the tail')
    if (!batch.topics.some((topic) => this.#wants(topic))) checker.fail('tail', `the batch at ${base} has no topic that anybody wants`)
  }

  /** Up to `end` everything must have come from a log. */
  checkTo(log: LogId, end: Position): void {
    const delivered = this.#of(log)
    if (delivered !== undefined) this.#check(log, delivered, end)
  }

  /** To be called when more is known of the logs: between what came, nothing may be missing. */
  check(): void {
    for (const [log, delivered] of this.#delivered) this.#check(log, delivered, delivered.ends.at(-1) ?? 0)
  }

  #check(log: LogId, { checker, begins, ends }: Delivered, to: Position): void {
    for (const { filter, from } of this.#registrations) {
      // A log that has come since begins at 0 for everybody; one that was removed before is nobody's.
      if (!from.has(log) && checker.mayVanish) continue
      let stretch = 0
      for (let position = from.get(log) ?? 0; position < to; position++) {
        while (stretch < ends.length && (ends[stretch] as Position) <= position) stretch++
        if (position >= (begins[stretch] ?? Number.POSITIVE_INFINITY)) continue
        const record = checker.at(position)
        if (record !== undefined && matches(filter, record.content.topic))
          checker.fail('tail', `${record} at ${position} was never told to ${filter}, registered at ${from.get(log)}`)
      }
    }
  }

  #wants(topic: string): boolean {
    if (this.#registrations.some(({ filter }) => matches(filter, topic))) return true
    return [...this.#passing].some(([filter, count]) => count > 0 && matches(filter, topic))
  }

  #of(log: LogId): Delivered | undefined {
    const known = this.#delivered.get(log)
    const checker = known?.checker ?? this.#logOf(log)
    if (known !== undefined || checker === undefined) return known
    const delivered: Delivered = { checker, begins: [], ends: [] }
    this.#delivered.set(log, delivered)
    return delivered
  }
}
