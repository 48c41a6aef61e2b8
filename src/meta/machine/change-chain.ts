// SPDX-License-Identifier: Apache-2.0
// A hash over all changes of a group's state, in their order: replicas that have applied the same entries have the same (R51). It knows entries
// and changes, not batches, which differ among replicas.
import { writeUint64 } from '#base/bytes'
import { crc32c } from '#base/crc32c'

/** Hashes are remembered for multiples of this index, which is where replicas compare. */
export const HASHED_EVERY = 64
/** How many are remembered: a replica this far behind is compared later. */
const REMEMBERED_MAX = 64
const DELETED = 0xffffffff

export class ChangeChain {
  /** Undefined on a state that was begun without a chain: it cannot be compared. */
  #hash: number | undefined = 0
  readonly #remembered = new Map<number, number>()
  readonly #header = Buffer.alloc(8)

  get hash(): number | undefined {
    return this.#hash
  }

  /** Of the state as it was after the entry `index`; undefined when it is not remembered. */
  hashAt(index: number): number | undefined {
    return this.#remembered.get(index)
  }

  /** Goes on from what is stored with the state. */
  restore(hash: number | undefined): void {
    this.#hash = hash
    this.#remembered.clear()
  }

  change(key: Buffer, value: Buffer | undefined): void {
    if (this.#hash === undefined) return
    this.#header.writeUInt32BE(key.length, 0)
    this.#header.writeUInt32BE(value === undefined ? DELETED : value.length, 4)
    const hash = crc32c(key, crc32c(this.#header, this.#hash))
    this.#hash = value === undefined ? hash : crc32c(value, hash)
  }

  endEntry(index: number): void {
    if (this.#hash === undefined) return
    writeUint64(this.#header, index, 0)
    this.#hash = crc32c(this.#header, this.#hash)
    if (index % HASHED_EVERY !== 0) return
    this.#remembered.set(index, this.#hash)
    this.#remembered.delete(index - HASHED_EVERY * REMEMBERED_MAX)
  }
}
