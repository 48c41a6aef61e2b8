// SPDX-License-Identifier: Apache-2.0
// What the log store of one node has durably, of one group, as its writes have told: terms and places of membership changes, and the hard state.
import { must } from '#base/assert'
import type { Entry, GroupWrite, HardState, LogIndex, LogStart, RecoveredGroup, Term } from '#raft'

export class ReplicaLog {
  hardState: HardState
  start: LogStart
  /** Of the entries after `start`, in order. */
  #terms: Term[] = []
  /** Ascending. */
  #confIndexes: LogIndex[] = []

  constructor(hardState: HardState, start: LogStart) {
    this.hardState = hardState
    this.start = start
  }

  /** As a store that was just opened has it. */
  static recovered(recovered: RecoveredGroup, termOf: (index: LogIndex) => Term | undefined): ReplicaLog {
    const log = new ReplicaLog(recovered.hardState, recovered.start)
    for (let index = recovered.start.index + 1; index <= recovered.lastIndex; index++) {
      log.#terms.push(must(termOf(index), 'a log store knows the terms of its entries'))
    }
    log.#confIndexes = recovered.confEntries.map(({ index }) => index)
    return log
  }

  get lastIndex(): LogIndex {
    return this.start.index + this.#terms.length
  }

  get lastTerm(): Term {
    return this.#terms.at(-1) ?? this.start.term
  }

  /** Undefined outside of the log; its start is inside. */
  term(index: LogIndex): Term | undefined {
    return index === this.start.index ? this.start.term : this.#terms[index - this.start.index - 1]
  }

  /** Whether the entry, or a state that it is in, is here. */
  holds(index: LogIndex, term: Term): boolean {
    return index < this.start.index || this.term(index) === term
  }

  confChangesAbove(index: LogIndex): number {
    let count = 0
    for (let at = this.#confIndexes.length - 1; at >= 0 && (this.#confIndexes[at] as LogIndex) > index; at--) count++
    return count
  }

  write({ entries, hardState, start }: GroupWrite): void {
    if (start !== undefined) this.#begin(start)
    const first = entries[0]
    if (first !== undefined) this.#append(first.index, entries)
    if (hardState !== undefined) this.hardState = hardState
  }

  #begin(start: LogStart): void {
    // What follows the new start stays only if it continues it.
    this.#terms = this.term(start.index) === start.term ? this.#terms.slice(start.index - this.start.index) : []
    this.start = start
    const last = this.lastIndex
    this.#confIndexes = this.#confIndexes.filter((index) => index > start.index && index <= last)
  }

  #append(first: LogIndex, entries: readonly Entry[]): void {
    this.#terms.length = Math.min(this.#terms.length, first - this.start.index - 1)
    while ((this.#confIndexes.at(-1) ?? 0) >= first) this.#confIndexes.pop()
    for (const { index, term, kind } of entries) {
      this.#terms.push(term)
      if (kind === 'conf') this.#confIndexes.push(index)
    }
  }
}
