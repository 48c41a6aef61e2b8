// SPDX-License-Identifier: Apache-2.0
// A reader: goes through a log with drawn filters and sizes, fetches single records, looks for times, reads by key, and waits for retained values. Everything it is told is compared with all that is known.
import { isPlatformError, messageOf } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { LogId, Position, ReadRequest } from '#contract/client/engine-client'
import type { LogChecker } from '../checker/log-checker.ts'
import { checkFetch, checkPositionAt, checkRead, wantedByFilters, wantedByKey } from '../checker/read-checker.ts'
import type { EngineProcess } from '../engine-node.ts'
import { EngineActor } from './engine-actor.ts'
import { drawPayload, keyOf } from './producer-actor.ts'

/** The node says so when it stops; any other rejection of a read is a failure. */
const STOPPING = [ERROR_CODES.stopping, ERROR_CODES.notReady]
/** Between the failure of a disk and the end of the process. */
const FAILING = [ERROR_CODES.diskFailed, ERROR_CODES.diskFull]
const BYTES_MAX = [1, 300, 4_000, 64 * 1024] as const
const TIMES_BACK_MS_MAX = 10_000

interface Scan {
  readonly process: EngineProcess
  readonly log: LogId
  readonly filters: readonly string[]
  next: Position
}

export class ReaderActor extends EngineActor {
  /** The process that was asked and has not answered. */
  #asked: EngineProcess | undefined
  #scan: Scan | undefined
  #reads = 0

  get settled(): boolean {
    return this.#asked === undefined
  }

  /** Answers so far. */
  get reads(): number {
    return this.#reads
  }

  protected lookAfterLost(): void {
    if (this.#asked !== undefined && !this.node.isAlive(this.#asked)) this.#asked = undefined
  }

  protected act(process: EngineProcess): void {
    if (this.#asked !== undefined || this.settling) return
    const kind = this.random.range(0, 9)
    if (kind === 0) this.#fetch(process)
    else if (kind === 1) this.#findTime(process)
    else if (kind === 3 && this.workload.keyed) this.#readKey(process)
    else if (kind === 2 && this.workload.retainRatio > 0) this.#awaitRetained(process)
    else this.#read(this.#scan?.process === process && this.random.chance(0.9) ? this.#scan : this.#begin(process))
  }

  #begin(process: EngineProcess): Scan {
    const { id } = this.random.pick(process.engine.logs())
    const { first, end } = process.engine.extent(id)
    this.node.log(process, id)?.extent(first, end)
    const next = this.random.pick([0, first, this.random.range(first, end), Math.max(first, end - 20), end + this.random.range(0, 5)])
    this.#scan = { process, log: id, filters: this.plan.drawFilters(this.random), next }
    return this.#scan
  }

  #read(scan: Scan): void {
    const { process, log: id, filters, next } = scan
    const request: ReadRequest = { log: id, from: next, filters, bytesMax: this.random.pick(BYTES_MAX) }
    const askedAtMs = this.node.nowMs
    this.#ask(process, id, process.engine.read(request), (log, result) => {
      const { end } = process.engine.extent(id)
      // True at this very moment, or of no use.
      if (result.atEnd !== (result.next === end))
        log.fail('read', `a read says ${result.atEnd} of being at the end, at ${result.next} of ${end}`)
      checkRead(log, next, wantedByFilters(filters), result, askedAtMs)
      scan.next = result.next
      // A reader at the end begins somewhere else: the tail is for those who follow.
      if (result.atEnd) this.#scan = undefined
    })
  }

  #fetch(process: EngineProcess): void {
    const { id } = this.random.pick(process.engine.logs())
    const { first, end } = process.engine.extent(id)
    const positions: Position[] = []
    let at = Math.max(0, this.random.range(first, end) - 5)
    for (let left = this.random.range(1, 12); left > 0; left--, at += this.random.range(1, 4)) positions.push(at)
    const askedAtMs = this.node.nowMs
    this.#ask(process, id, process.engine.fetch(id, positions), (log, batches) => checkFetch(log, positions, end, batches, askedAtMs))
  }

  #findTime(process: EngineProcess): void {
    const { id } = this.random.pick(process.engine.logs())
    const timeMs = this.node.realtimeOf(this.node.nowMs) - this.random.range(-10, TIMES_BACK_MS_MAX)
    this.#ask(process, id, process.engine.positionAt(id, timeMs), (log, position) => {
      checkPositionAt(log, timeMs, process.engine.extent(id).first, position, (worldMs) => this.node.realtimeOf(worldMs))
      this.#scan = { process, log: id, filters: this.plan.drawFilters(this.random), next: position }
    })
  }

  /** From any place, a call or two: each says where to go on. */
  #readKey(process: EngineProcess): void {
    const topic = this.plan.drawTopic(this.random)
    const key = keyOf(this.workload, drawPayload(this.random, this.workload.payloadBytesMax)) as Buffer
    const { id } = this.random.pick(process.engine.logs())
    const { end } = process.engine.extent(id)
    const from = this.random.pick([0, this.random.range(0, end)])
    const askedAtMs = this.node.nowMs
    const request = { log: id, topic, key, from, bytesMax: this.random.pick(BYTES_MAX) }
    this.#ask(process, id, process.engine.readKey(request), (log, result) =>
      checkRead(log, from, wantedByKey(topic, key), result, askedAtMs),
    )
  }

  #awaitRetained(process: EngineProcess): void {
    const { id } = this.random.pick(process.engine.logs())
    const { end } = process.engine.extent(id)
    // A log that is being created waits for more than its values.
    if (end > 0) this.#ask(process, id, process.engine.retainedUpTo(id, end), (log) => log.checkRetainedTo(end))
  }

  /** Answers of a log that was removed meanwhile say nothing. */
  #ask<T>(process: EngineProcess, id: LogId, call: Promise<T>, check: (log: LogChecker, answer: T) => void): void {
    this.#asked = process
    const done = (answer: T): void => {
      this.#asked = undefined
      this.#reads++
      const log = this.node.log(process, id)
      if (log === undefined) this.#scan = undefined
      else check(log, answer)
    }
    this.after(process, call, done, (error) => {
      this.#asked = undefined
      this.#scan = undefined
      if (isPlatformError(error) && (STOPPING.includes(error.code) || (FAILING.includes(error.code) && this.node.machine.mayExit))) return
      this.node.log(process, id)?.fail('read', `a call was rejected: ${messageOf(error)}`)
    })
  }
}
