// SPDX-License-Identifier: Apache-2.0
// The core's view of a log. In memory are the entries that are not yet durable or not yet applied, and some older ones for followers that are
// a little behind; of what is older still only the term is asked, from the store. The marks: start <= applied <= commit <= last, and handed, stable <= last.
import { assert, must } from '#base/assert'
import { EntryWindow } from './entry-window.ts'
import type { ConfState, Entry, EntryKind, LogIndex, LogStart, Term } from './message.ts'

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
  /** Ends at `lastIndex`. Holds everything above `#releasedIndex` that this process has appended, and trailing entries below. */
  readonly #window: EntryWindow
  #lastIndex: LogIndex
  /** Given out to be written, up to here. */
  #handedIndex: LogIndex
  /** Durable up to here. */
  #stableIndex: LogIndex
  #commit: LogIndex
  #applied: LogIndex
  /** The beginning of the log that a snapshot has given it, while the state machine does not have that snapshot yet. */
  #installing: LogStart | undefined
  /** What need not be in memory: at least min(stable, applied). */
  #releasedIndex: LogIndex
  #windowBytes = 0
  #uncommittedBytes = 0
  #trailingBytes = 0
  #trailingBytesMax = 0

  constructor(options: RaftLogOptions) {
    const { start, lastIndex, commit, applied } = options
    for (const index of [start.index, start.term, lastIndex, commit, applied]) {
      assert(Number.isSafeInteger(index) && index >= 0, 'indexes and terms are safe, non-negative integers')
    }
    assert(start.index <= applied && applied <= commit && commit <= lastIndex, 'start <= applied <= commit <= last index')
    this.#stable = options.stable
    this.#start = start
    this.#window = new EntryWindow(lastIndex + 1)
    this.#lastIndex = lastIndex
    this.#handedIndex = lastIndex
    this.#stableIndex = lastIndex
    this.#commit = commit
    this.#applied = applied
    this.#releasedIndex = lastIndex
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

  /** The snapshot that the state machine has yet to be given. */
  get installing(): LogStart | undefined {
    return this.#installing
  }

  /** Weight of the entries in memory that are not yet durable or not yet applied. */
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

  /** Entries from here on are in memory. */
  get heldFrom(): LogIndex {
    return this.#window.first
  }

  get lastTerm(): Term {
    return must(this.term(this.#lastIndex), 'the term of the last entry is known')
  }

  /** Undefined outside of [start, last]. */
  term(index: LogIndex): Term | undefined {
    if (index === this.#start.index) return this.#start.term
    if (index < this.#start.index || index > this.#lastIndex) return undefined
    return index >= this.#window.first ? this.#window.at(index).term : this.#stable.term(index)
  }

  /** Whether a log that ends so is at least as complete as this one (R12). */
  isCoveredBy(lastIndex: LogIndex, lastTerm: Term): boolean {
    const own = this.lastTerm
    return lastTerm > own || (lastTerm === own && lastIndex >= this.#lastIndex)
  }

  /** The last index up to `index` whose entry is of `term` or an older one; the start of the log if there is none (R24). */
  lastOfTerm(index: LogIndex, term: Term): LogIndex {
    let at = Math.min(index, this.#lastIndex)
    while (at > this.#start.index && must(this.term(at), 'the log has no gap') > term) at--
    return at
  }

  append(term: Term, kind: EntryKind, data: Buffer): Entry {
    const entry: Entry = { index: this.#lastIndex + 1, term, kind, data }
    this.#push(entry)
    return entry
  }

  /**
   * Takes over entries that follow on one of this log. What is there already stays, also what is beyond: only an entry of another term shows
   * that the rest is from a leader that has lost (R22). Returns the index of the first new entry, or undefined when there was none.
   */
  accept(entries: readonly Entry[]): LogIndex | undefined {
    let first: LogIndex | undefined
    for (const entry of entries) {
      if (entry.index <= this.#lastIndex) {
        if (this.term(entry.index) === entry.term) continue
        this.#truncateFrom(entry.index)
      }
      first ??= entry.index
      this.#push(entry)
    }
    return first
  }

  /** Entries from `from` on, which are in memory: one, and then at most `bytesMax` of them. */
  heldEntries(from: LogIndex, bytesMax: number): readonly Entry[] {
    return this.#window.slice(from, this.#pageEnd(from, this.#lastIndex + 1, bytesMax))
  }

  /** The entries to write next. Each is given out once. */
  handOut(): readonly Entry[] {
    const entries = this.#window.slice(this.#handedIndex + 1, this.#lastIndex + 1)
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
    for (let at = Math.max(this.#commit + 1, this.#window.first); at <= index; at++) {
      this.#uncommittedBytes -= entryCostBytes(this.#window.at(at).data)
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
    if (from >= to || this.#installing !== undefined) return undefined
    const { first } = this.#window
    if (from < first) return { kind: 'stored', from, to: Math.min(to, first) }
    return { kind: 'held', entries: this.#window.slice(from, this.#pageEnd(from, to, bytesMax)) }
  }

  appliedTo(index: LogIndex): void {
    assert(index >= this.#applied, 'the applied index never goes back')
    assert(index <= this.#commit && index <= this.#stableIndex, 'only what is committed and durable is applied')
    this.#applied = index
    this.#release()
  }

  /** Begins the log after `index`, where `conf` was in effect. Whether there was anything to drop. */
  compact(index: LogIndex, conf: ConfState): boolean {
    assert(index <= this.#applied, 'the log is compacted only up to what is in the state machine (R42)')
    if (index <= this.#start.index) return false
    this.#start = { index, term: must(this.term(index), 'the term of an applied entry is known'), conf }
    return true
  }

  /** Replaces the log by a snapshot, which ends at `start`. Nothing is applied before the state machine has it. */
  restore(start: LogStart): void {
    assert(start.index > this.#commit, 'a snapshot that replaces the log is ahead of it (R41)')
    this.#start = start
    this.#installing = start
    this.#window.reset(start.index + 1)
    this.#lastIndex = start.index
    this.#handedIndex = start.index
    this.#stableIndex = start.index
    this.#releasedIndex = start.index
    this.#commit = start.index
    this.#windowBytes = 0
    this.#uncommittedBytes = 0
    this.#trailingBytes = 0
  }

  /** The state machine has the snapshot, durably. */
  installed(start: LogStart): void {
    this.#applied = start.index
    // A later one may have come meanwhile, and is still to be installed.
    if (this.#installing === start) this.#installing = undefined
  }

  /** How much to keep in memory of what is durable and applied, for followers that are a little behind. */
  keepTrailing(bytesMax: number): void {
    this.#trailingBytesMax = bytesMax
    this.#trim()
  }

  /** Lets go of what is durable, committed and not applied, as far as it weighs more than `bytesMax`: it is read from the store when it is applied. */
  shrink(bytesMax: number): void {
    const to = Math.min(this.#stableIndex, this.#commit)
    while (this.#windowBytes > bytesMax && this.#window.first <= to) {
      const { index, data } = this.#window.shift()
      if (index <= this.#releasedIndex) this.#trailingBytes -= entryCostBytes(data)
      else {
        this.#windowBytes -= entryCostBytes(data)
        this.#releasedIndex = index
      }
    }
  }

  #push(entry: Entry): void {
    assert(
      entry.index === this.#lastIndex + 1 && Number.isSafeInteger(entry.index),
      'entries follow on each other, below the end of the safe integers',
    )
    this.#window.push(entry)
    this.#lastIndex = entry.index
    this.#windowBytes += entryCostBytes(entry.data)
    this.#uncommittedBytes += entryCostBytes(entry.data)
  }

  #truncateFrom(index: LogIndex): void {
    assert(index > this.#commit, 'what is committed is never replaced: else two leaders have committed different entries')
    while (this.#window.end > Math.max(index, this.#window.first)) {
      const costBytes = entryCostBytes(this.#window.pop().data)
      this.#windowBytes -= costBytes
      this.#uncommittedBytes -= costBytes
    }
    if (index < this.#window.first) this.#window.reset(index)
    this.#lastIndex = index - 1
    this.#handedIndex = Math.min(this.#handedIndex, index - 1)
    this.#stableIndex = Math.min(this.#stableIndex, index - 1)
    this.#releasedIndex = Math.min(this.#releasedIndex, index - 1)
  }

  #pageEnd(from: LogIndex, to: LogIndex, bytesMax: number): LogIndex {
    let end = from
    for (let bytes = 0; end < to; end++) {
      bytes += entryCostBytes(this.#window.at(end).data)
      if (bytes > bytesMax && end > from) break
    }
    return end
  }

  #release(): void {
    const to = Math.min(this.#stableIndex, this.#applied)
    for (let index = Math.max(this.#releasedIndex + 1, this.#window.first); index <= to; index++) {
      const costBytes = entryCostBytes(this.#window.at(index).data)
      this.#windowBytes -= costBytes
      this.#trailingBytes += costBytes
    }
    if (to > this.#releasedIndex) this.#releasedIndex = to
    this.#trim()
  }

  #trim(): void {
    while (this.#trailingBytes > this.#trailingBytesMax) this.#trailingBytes -= entryCostBytes(this.#window.shift().data)
  }
}
