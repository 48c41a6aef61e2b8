// SPDX-License-Identifier: Apache-2.0
// The core's view of a log. In memory are the entries that are not yet durable or not yet applied; of older ones only the
// term is asked, from the store. The marks: start <= applied <= commit <= last, and handed, stable <= last.
import { assert, must } from '#base/assert'
import type { Entry, EntryKind, LogIndex, LogStart, Term } from './message.ts'

/** The terms of durable entries, from the start of the log on. Synchronous; undefined outside. */
export interface StableTerms {
  term(index: LogIndex): Term | undefined
}

export interface RaftLogOptions {
  readonly stable: StableTerms
  readonly start: LogStart
  readonly lastIndex: LogIndex
  readonly commit: LogIndex
  readonly applied: LogIndex
}

/** Entries to apply next: 'held' in memory, or 'stored', to be read [from, to) from the store, possibly in several pages. */
export type CommittedPage =
  | { readonly kind: 'held'; readonly entries: readonly Entry[] }
  | { readonly kind: 'stored'; readonly from: LogIndex; readonly to: LogIndex }

/** What an entry weighs in the limits on bytes: its data, and what it costs when that is empty. */
export const entryCostBytes = (data: Buffer): number => data.length + ENTRY_OVERHEAD_BYTES

const ENTRY_OVERHEAD_BYTES = 64

export class RaftLog {
  readonly #stable: StableTerms
  #start: LogStart
  /** Contiguous, ending at `lastIndex`. Holds everything above min(stable, applied) that this process appended. */
  readonly #window: Entry[] = []
  #lastIndex: LogIndex
  /** Given out to be written, up to here. */
  #handedIndex: LogIndex
  /** Durable up to here. */
  #stableIndex: LogIndex
  #commit: LogIndex
  #applied: LogIndex
  #windowBytes = 0
  #uncommittedBytes = 0

  constructor(options: RaftLogOptions) {
    const { start, lastIndex, commit, applied } = options
    for (const index of [start.index, start.term, lastIndex, commit, applied]) {
      assert(Number.isSafeInteger(index) && index >= 0, 'indexes and terms are safe, non-negative integers')
    }
    assert(start.index <= applied && applied <= commit && commit <= lastIndex, 'start <= applied <= commit <= last index')
    this.#stable = options.stable
    this.#start = start
    this.#lastIndex = lastIndex
    this.#handedIndex = lastIndex
    this.#stableIndex = lastIndex
    this.#commit = commit
    this.#applied = applied
  }

  get start(): LogStart {
    return this.#start
  }

  get lastIndex(): LogIndex {
    return this.#lastIndex
  }

  get stableIndex(): LogIndex {
    return this.#stableIndex
  }

  get commit(): LogIndex {
    return this.#commit
  }

  get applied(): LogIndex {
    return this.#applied
  }

  /** Weight of the entries in memory: not yet durable or not yet applied. */
  get windowBytes(): number {
    return this.#windowBytes
  }

  /** Weight of the entries in memory above the commit index. */
  get uncommittedBytes(): number {
    return this.#uncommittedBytes
  }

  /** Whether there are entries that nobody was given to write. */
  get hasUnhanded(): boolean {
    return this.#handedIndex < this.#lastIndex
  }

  get lastTerm(): Term {
    return must(this.term(this.#lastIndex), 'the term of the last entry is known')
  }

  /** Undefined outside of [start, last]. */
  term(index: LogIndex): Term | undefined {
    if (index === this.#start.index) return this.#start.term
    if (index < this.#start.index || index > this.#lastIndex) return undefined
    const first = this.#windowFirst
    return index >= first ? this.#window[index - first]?.term : this.#stable.term(index)
  }

  append(term: Term, kind: EntryKind, data: Buffer): Entry {
    const entry: Entry = { index: this.#lastIndex + 1, term, kind, data }
    assert(Number.isSafeInteger(entry.index), 'the log ends before the safe integers do')
    this.#window.push(entry)
    this.#lastIndex = entry.index
    this.#windowBytes += entryCostBytes(data)
    this.#uncommittedBytes += entryCostBytes(data)
    return entry
  }

  /** The entries to write next. Each is given out once. */
  handOut(): readonly Entry[] {
    const entries = this.#window.slice(this.#handedIndex + 1 - this.#windowFirst)
    this.#handedIndex = this.#lastIndex
    return entries
  }

  /** The log is durable up to the entry of that index and term. Without effect when the entry has been replaced since (R7). */
  stableTo(index: LogIndex, term: Term): void {
    if (this.term(index) !== term || index <= this.#stableIndex) return
    assert(index <= this.#handedIndex, 'only entries that were given out become durable')
    this.#stableIndex = index
    this.#release()
  }

  /** Whether the commit index moved. It never goes back, and never past the log (R10, R25). */
  commitTo(index: LogIndex): boolean {
    if (index <= this.#commit) return false
    assert(index <= this.#lastIndex, 'commit <= last index: else this replica has lost log that it acknowledged')
    for (let at = Math.max(this.#commit + 1, this.#windowFirst); at <= index; at++) {
      this.#uncommittedBytes -= entryCostBytes(this.#held(at).data)
    }
    this.#commit = index
    return true
  }

  /**
   * The entries after the applied one that are committed and durable here: one at least and then at most `bytesMax` of them. An
   * entry that is not yet durable here is never given out, though others may have committed it (R6).
   */
  nextCommitted(bytesMax: number): CommittedPage | undefined {
    const from = this.#applied + 1
    const to = Math.min(this.#commit, this.#stableIndex) + 1
    if (from >= to) return undefined
    const first = this.#windowFirst
    if (from < first) return { kind: 'stored', from, to: Math.min(to, first) }
    let end = from
    for (let bytes = 0; end < to; end++) {
      bytes += entryCostBytes(this.#held(end).data)
      if (bytes > bytesMax && end > from) break
    }
    return { kind: 'held', entries: this.#window.slice(from - first, end - first) }
  }

  appliedTo(index: LogIndex): void {
    assert(index >= this.#applied, 'the applied index never goes back')
    assert(index <= this.#commit && index <= this.#stableIndex, 'only what is committed and durable is applied')
    this.#applied = index
    this.#release()
  }

  /** Begins the log after `index`. Whether there was anything to drop. */
  compact(index: LogIndex): boolean {
    assert(index <= this.#applied, 'the log is compacted only up to what is in the state machine (R42)')
    if (index <= this.#start.index) return false
    this.#start = { index, term: must(this.term(index), 'the term of an applied entry is known'), conf: this.#start.conf }
    return true
  }

  get #windowFirst(): LogIndex {
    return this.#lastIndex + 1 - this.#window.length
  }

  #held(index: LogIndex): Entry {
    return must(this.#window[index - this.#windowFirst], 'an index in the window has an entry')
  }

  #release(): void {
    const count = Math.min(this.#stableIndex, this.#applied) + 1 - this.#windowFirst
    if (count <= 0) return
    for (const entry of this.#window.splice(0, count)) this.#windowBytes -= entryCostBytes(entry.data)
  }
}
