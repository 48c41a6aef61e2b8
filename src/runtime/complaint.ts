// SPDX-License-Identifier: Apache-2.0
// A log line about something that peers can cause as often as they like: written at most once in a period.
import { performance } from 'node:perf_hooks'
import type { LogFields, Logger, LogLevel } from '#base/port/logger'

export class Complaint {
  readonly #logger: Logger
  readonly #level: LogLevel
  readonly #message: string
  readonly #periodMs: number
  #saidAtMs = Number.NEGATIVE_INFINITY
  #unsaidCount = 0

  constructor(logger: Logger, level: LogLevel, message: string, periodMs: number) {
    this.#logger = logger
    this.#level = level
    this.#message = message
    this.#periodMs = periodMs
  }

  /** The line tells how many there were since the last one that nobody was told of. */
  say(fields: LogFields): void {
    const nowMs = performance.now()
    if (nowMs - this.#saidAtMs < this.#periodMs) {
      this.#unsaidCount++
      return
    }
    this.#logger.log(this.#level, this.#message, { ...fields, unsaid: this.#unsaidCount === 0 ? undefined : this.#unsaidCount })
    this.#saidAtMs = nowMs
    this.#unsaidCount = 0
  }
}
