// SPDX-License-Identifier: Apache-2.0
// The newest part of a log, in memory: entries without a gap, taken away at both ends.
import { must } from '#base/assert'
import type { Entry, LogIndex } from './message.ts'

export class EntryWindow {
  /** After `#head` slots that are no longer used. */
  #slots: (Entry | undefined)[] = []
  #head = 0
  /** Index of the entry in the first used slot, held or yet to come. */
  #first: LogIndex

  constructor(first: LogIndex) {
    this.#first = first
  }

  get first(): LogIndex {
    return this.#first
  }

  /** The index after the last entry. */
  get end(): LogIndex {
    return this.#first + this.#slots.length - this.#head
  }

  at(index: LogIndex): Entry {
    return must(this.#slots[this.#head + index - this.#first], 'an index in the window has an entry')
  }

  push(entry: Entry): void {
    this.#slots.push(entry)
  }

  pop(): Entry {
    return must(this.#slots.pop(), 'a window that is not empty has a last entry')
  }

  shift(): Entry {
    const entry = this.at(this.#first)
    this.#slots[this.#head++] = undefined
    this.#first++
    if (this.#head * 2 > this.#slots.length) {
      this.#slots = this.#slots.slice(this.#head)
      this.#head = 0
    }
    return entry
  }

  /** Entries [from, to), which are held. */
  slice(from: LogIndex, to: LogIndex): readonly Entry[] {
    const at = this.#head - this.#first
    return this.#slots.slice(at + from, at + to) as Entry[]
  }

  /** Forgets everything; the next entry is `first`. */
  reset(first: LogIndex): void {
    this.#slots = []
    this.#head = 0
    this.#first = first
  }
}
