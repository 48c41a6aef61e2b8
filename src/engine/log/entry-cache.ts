// SPDX-License-Identifier: Apache-2.0
// Bounds the batches that readers of segment logs keep, over all logs of a node: what was read first goes first.
import type { RecordBatch } from '#contract/record/record-batch'

/** What a batch that is kept takes besides its bytes, about. */
const OVERHEAD_BYTES = 256
/** Of a batch smaller than this a copy is kept: itself it would hold all that was read with it, or a slab of Node's pool, and nobody would count that. */
const COPIED_BYTES_MAX = 4096

/** The batches of one log, by the index of their entry. */
export type EntryShelf = Map<number, RecordBatch>

export class EntryCache {
  readonly #bytesMax: number
  /** Where each lies, in the order of reading. */
  readonly #places = new Map<RecordBatch, { readonly shelf: EntryShelf; readonly index: number }>()
  #bytes = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  keep(shelf: EntryShelf, index: number, batch: RecordBatch): void {
    if (shelf.has(index)) return
    const kept = batch.bytes.length < COPIED_BYTES_MAX ? batch.copy() : batch
    shelf.set(index, kept)
    this.#places.set(kept, { shelf, index })
    this.#bytes += sizeOf(kept)
    for (const [oldest, place] of this.#places) {
      if (this.#bytes <= this.#bytesMax) return
      this.#places.delete(oldest)
      place.shelf.delete(place.index)
      this.#bytes -= sizeOf(oldest)
    }
  }
}

const sizeOf = ({ bytes }: RecordBatch): number => bytes.length + OVERHEAD_BYTES
