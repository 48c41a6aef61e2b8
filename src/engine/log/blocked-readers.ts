// SPDX-License-Identifier: Apache-2.0
// Which readers can't go on because the next record they are owed is damaged: nothing is skipped in silence (E6), so somebody must be able to see whom it holds up.
import type { Clock } from '#base/port/clock'
import type { LogId, Position } from '#contract/client/engine-client'
import type { DamagedRange } from './scrubber.ts'

/** Readers remembered; the first ones are forgotten. */
const READERS_MAX = 10_000

export interface BlockedReader {
  /** As it names itself: a client, or a shared group. */
  readonly reader: string
  readonly log: LogId
  /** Everything before it was read. */
  readonly position: Position
  /** When it was held up first at this position, ms since 1970. */
  readonly sinceMs: number
}

export class BlockedReaders {
  readonly #clock: Clock
  /** By log and name, the first ones first. */
  readonly #readers = new Map<string, BlockedReader>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A read from `position` on has met damage. */
  note(reader: string, log: LogId, position: Position): void {
    const key = keyOf(reader, log)
    if (this.#readers.get(key)?.position === position) return
    this.#readers.set(key, { reader, log, position, sinceMs: this.#clock.realtime() })
    for (const oldest of this.#readers.keys()) {
      if (this.#readers.size <= READERS_MAX) return
      this.#readers.delete(oldest)
    }
  }

  /** A read has met none. */
  clear(reader: string, log: LogId): void {
    if (this.#readers.size > 0) this.#readers.delete(keyOf(reader, log))
  }

  /** Those that have one of these ranges before them. */
  before(damaged: readonly DamagedRange[]): readonly BlockedReader[] {
    const isHeldUp = ({ log, position }: BlockedReader): boolean => damaged.some((range) => range.log === log && range.to > position)
    return [...this.#readers.values()].filter(isHeldUp)
  }
}

const keyOf = (reader: string, log: LogId): string => `${log} ${reader}`
