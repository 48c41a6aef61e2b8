// SPDX-License-Identifier: Apache-2.0
// The sequences a log remembers for each publisher until they are released (D14, Q4). Entries at or above the log's committed end
// are proposals in flight: only the leader has them, and they vanish when its proposals fail.
import type { Position } from '#contract/client/engine-client'

export class SequenceTable {
  readonly #publishers = new Map<number, Map<number, Position>>()
  #size = 0

  get size(): number {
    return this.#size
  }

  /** Position of the record that carries the sequence; undefined when it is unknown. */
  position(publisher: number, sequence: number): Position | undefined {
    return this.#publishers.get(publisher)?.get(sequence)
  }

  knows(publisher: number): boolean {
    return this.#publishers.has(publisher)
  }

  set(publisher: number, sequence: number, position: Position): void {
    let sequences = this.#publishers.get(publisher)
    if (sequences === undefined) {
      sequences = new Map()
      this.#publishers.set(publisher, sequences)
    }
    const before = sequences.size
    sequences.set(sequence, position)
    this.#size += sequences.size - before
  }

  /** Removes a committed sequence. One in flight stays: the release was ordered before it. */
  release(publisher: number, sequence: number, committedEnd: Position): boolean {
    const position = this.position(publisher, sequence)
    if (position === undefined || position >= committedEnd) return false
    this.#remove(publisher, sequence)
    return true
  }

  /** Takes back a proposal in flight, unless the sequence has meanwhile got another position. */
  withdraw(publisher: number, sequence: number, position: Position): void {
    if (this.position(publisher, sequence) === position) this.#remove(publisher, sequence)
  }

  /** Takes back everything in flight. */
  withdrawAll(committedEnd: Position): void {
    for (const [publisher, sequences] of this.#publishers)
      for (const [sequence, position] of sequences) if (position >= committedEnd) this.#remove(publisher, sequence)
  }

  /** Committed sequences of a publisher, in the order of their records. */
  committed(publisher: number, committedEnd: Position): number[] {
    const sequences = this.#publishers.get(publisher)
    if (sequences === undefined) return []
    return [...sequences]
      .filter(([, position]) => position < committedEnd)
      .sort((a, b) => a[1] - b[1])
      .map(([sequence]) => sequence)
  }

  #remove(publisher: number, sequence: number): void {
    const sequences = this.#publishers.get(publisher)
    if (sequences === undefined || !sequences.delete(sequence)) return
    this.#size--
    if (sequences.size === 0) this.#publishers.delete(publisher)
  }
}
