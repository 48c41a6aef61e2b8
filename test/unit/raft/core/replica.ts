// SPDX-License-Identifier: Apache-2.0
// A core with the disk and the state machine that a driver would give it, each step of which the test takes itself.
import assert from 'node:assert/strict'
import type { CommittedPage } from '../../../../src/raft/core/log.ts'
import { CONF_NONE, type ConfState, type Entry, type HardState, type LogIndex, type LogStart } from '../../../../src/raft/core/message.ts'
import { RaftCore, type RaftLimits, type RaftTiming } from '../../../../src/raft/core/raft-core.ts'
import type { Ready } from '../../../../src/raft/core/ready.ts'

export const ONE_VOTER: ConfState = { ...CONF_NONE, voters: [1] }
export const WIDE_LIMITS: RaftLimits = {
  uncommittedBytesMax: 1_000_000,
  windowBytesMax: 2_000_000,
  trailingBytes: 0,
  readsMax: 100,
  messageBytesMax: 1_000_000,
  inflightMessagesMax: 100,
  inflightBytesMax: 10_000_000,
}
export const TIMING: RaftTiming = { electionTicks: 10, heartbeatTicks: 1 }

export class Replica {
  readonly #limits: RaftLimits
  core: RaftCore
  /** What survives a crash. */
  hardState: HardState = { term: 0, vote: 0, commit: 0 }
  start: LogStart = { index: 0, term: 0, conf: ONE_VOTER }
  entries: Entry[] = []
  /** What the state machine has, which survives a crash too. */
  readonly applied: Entry[] = []
  inFlight: Ready | undefined

  constructor(limits: RaftLimits = WIDE_LIMITS) {
    this.#limits = limits
    this.core = this.#load()
  }

  get appliedIndex(): LogIndex {
    return this.applied.at(-1)?.index ?? 0
  }

  get lastDurable(): LogIndex {
    return this.entries.at(-1)?.index ?? this.start.index
  }

  /** Takes what the core wants written; it is not durable yet. */
  take(): Ready {
    this.inFlight = this.core.ready()
    return this.inFlight
  }

  /** The disk has what was taken, and the core has not heard of it. */
  store(): void {
    const ready = this.inFlight
    assert.ok(ready)
    const first = ready.entries[0]?.index
    if (first !== undefined) this.entries = [...this.entries.filter((entry) => entry.index < first), ...ready.entries]
    this.hardState = ready.hardState ?? this.hardState
    this.start = ready.start ?? this.start
    this.entries = this.entries.filter((entry) => entry.index > this.start.index)
  }

  acknowledge(): void {
    this.inFlight = undefined
    this.core.advance()
  }

  /** Writes until the core has nothing more to write. */
  settle(): void {
    while (this.core.hasReady()) {
      this.take()
      this.store()
      this.acknowledge()
    }
  }

  /** Applies one page. */
  apply(bytesMax = 1_000_000): readonly Entry[] {
    const page = this.core.nextCommitted(bytesMax)
    if (page === undefined) return []
    const entries = this.#entriesOf(page)
    this.applied.push(...entries)
    for (const entry of entries) if (entry.kind === 'conf') this.core.applyConf(entry)
    this.core.appliedTo(this.appliedIndex)
    return entries
  }

  /** The process ends and begins again with what is on the disk. */
  restart(): void {
    this.inFlight = undefined
    this.core = this.#load()
  }

  #entriesOf(page: CommittedPage): readonly Entry[] {
    return page.kind === 'held' ? page.entries : this.entries.filter(({ index }) => index >= page.from && index < page.to)
  }

  #load(): RaftCore {
    return new RaftCore({
      node: 1,
      hardState: this.hardState,
      start: this.start,
      lastIndex: this.lastDurable,
      applied: this.appliedIndex,
      confEntries: this.entries.filter(({ kind }) => kind === 'conf'),
      limits: this.#limits,
      timing: TIMING,
      random: (min) => min,
      stable: {
        term: (index) => (index === this.start.index ? this.start.term : this.entries.find((entry) => entry.index === index)?.term),
      },
    })
  }
}
