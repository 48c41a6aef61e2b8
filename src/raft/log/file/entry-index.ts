// SPDX-License-Identifier: Apache-2.0
// Where the entries of one group are in the file that is written to: 25 bytes of memory for each, so that terms and positions never cost a read.
import { assert } from '#base/assert'
import type { LogIndex, Term } from '../../core/message.ts'
import type { LogPosition } from './frame.ts'
import type { TermStart } from './segment-index.ts'

const CAPACITY_MIN = 16
/** What an entry takes in memory. */
const ENTRY_BYTES = 25

/** A dense run of entries, (base, last]. Positions rise with the index, because an entry that is written anew discards all after it. */
export class EntryIndex {
  #base: LogIndex = 0
  #count = 0
  /** Slot of entry base + 1. */
  #head = 0
  #positions = new Float64Array(0)
  #terms = new Float64Array(0)
  #lengths = new Uint32Array(0)
  #crcs = new Uint32Array(0)
  #kinds = new Uint8Array(0)

  /** The index before the first entry. */
  get base(): LogIndex {
    return this.#base
  }

  /** Index of the last entry; equal to `base` when there is none. */
  get last(): LogIndex {
    return this.#base + this.#count
  }

  get memoryBytes(): number {
    return ENTRY_BYTES * this.#positions.length
  }

  /** Forgets everything and goes on after `base`. */
  reset(base: LogIndex): void {
    this.#base = base
    this.#count = 0
    this.#head = 0
  }

  /** Adds entry last + 1. */
  append(kind: number, term: Term, position: LogPosition, length: number, crc: number): void {
    if (this.#head + this.#count === this.#positions.length) this.#makeRoom()
    const slot = this.#head + this.#count++
    this.#positions[slot] = position
    this.#terms[slot] = term
    this.#lengths[slot] = length
    this.#crcs[slot] = crc
    this.#kinds[slot] = kind
  }

  /** Discards `index` and all after it. */
  truncateFrom(index: LogIndex): void {
    if (index <= this.#base) this.reset(index - 1)
    else if (index <= this.last) this.#count = index - 1 - this.#base
  }

  /** Discards `index` and all before it. */
  dropThrough(index: LogIndex): void {
    if (index <= this.#base) return
    if (index >= this.last) {
      this.reset(index)
      return
    }
    this.#head += index - this.#base
    this.#count -= index - this.#base
    this.#base = index
  }

  /** Whether the entry is held. */
  has(index: LogIndex): boolean {
    return index > this.#base && index <= this.last
  }

  term(index: LogIndex): Term {
    return this.#terms[this.#slot(index)]!
  }

  position(index: LogIndex): LogPosition {
    return this.#positions[this.#slot(index)]!
  }

  length(index: LogIndex): number {
    return this.#lengths[this.#slot(index)]!
  }

  crc(index: LogIndex): number {
    return this.#crcs[this.#slot(index)]!
  }

  kind(index: LogIndex): number {
    return this.#kinds[this.#slot(index)]!
  }

  /** The entries of one kind, ascending. */
  indexesOf(kind: number): readonly LogIndex[] {
    const indexes: LogIndex[] = []
    for (
      let slot = this.#kinds.indexOf(kind, this.#head);
      slot >= 0 && slot < this.#head + this.#count;
      slot = this.#kinds.indexOf(kind, slot + 1)
    ) {
      indexes.push(this.#base + 1 + slot - this.#head)
    }
    return indexes
  }

  /** Where each term begins. Terms never fall, so that a term ends where a search by halves says. */
  termStarts(): readonly TermStart[] {
    const starts: TermStart[] = []
    for (let index = this.#base + 1; index <= this.last; ) {
      const term = this.term(index)
      starts.push({ index, term })
      let [low, high] = [index + 1, this.last + 1]
      while (low < high) {
        const middle = Math.floor((low + high) / 2)
        if (this.term(middle) === term) low = middle + 1
        else high = middle
      }
      index = low
    }
    return starts
  }

  /** Index of the last entry that begins before `position`; `base` when none does. */
  lastBefore(position: LogPosition): LogIndex {
    let low = 0
    let high = this.#count
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#positions[this.#head + middle]! < position) low = middle + 1
      else high = middle
    }
    return this.#base + low
  }

  #slot(index: LogIndex): number {
    assert(this.has(index), 'only entries that are held are looked up')
    return this.#head + index - this.#base - 1
  }

  /** Slides the entries down when half of the room is in front of them, else doubles it. */
  #makeRoom(): void {
    const [from, to] = [this.#head, this.#head + this.#count]
    const capacity = this.#head > this.#count ? this.#positions.length : Math.max(CAPACITY_MIN, this.#positions.length * 2)
    const grown = <T extends Float64Array | Uint32Array | Uint8Array>(into: T, old: T): T => {
      into.set(old.subarray(from, to))
      return into
    }
    this.#positions = grown(new Float64Array(capacity), this.#positions)
    this.#terms = grown(new Float64Array(capacity), this.#terms)
    this.#lengths = grown(new Uint32Array(capacity), this.#lengths)
    this.#crcs = grown(new Uint32Array(capacity), this.#crcs)
    this.#kinds = grown(new Uint8Array(capacity), this.#kinds)
    this.#head = 0
  }
}
