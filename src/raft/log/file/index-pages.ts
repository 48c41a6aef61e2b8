// SPDX-License-Identifier: Apache-2.0
// Rows of closed segments, read a page at a time. The pages that were used last stay in memory: readers come back for the entries that follow.
import { must } from '#base/assert'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Stretch } from './group-entries.ts'
import type { Segment } from './segment.ts'
import { isPageSound, pageOf, ROW_BYTES } from './segment-index.ts'

/** 4 KiB each. */
const PAGES_KEPT = 256

/** Rows of consecutive entries. */
export interface Rows {
  readonly bytes: Buffer
  /** Offset in `bytes` of the row that was asked for. */
  readonly at: number
  /** Rows from there on. */
  readonly count: number
}

export class IndexPages {
  /** By segment and offset, the oldest first. */
  readonly #kept = new Map<string, Buffer>()
  /** Pages that were asked for: found in memory, and read. */
  hits = 0
  misses = 0

  /** The row of an entry, and those after it in the same page. The segment is pinned. Rejects with dataDamaged. */
  async rows({ segment, stored }: Stretch, index: number): Promise<Rows> {
    const row = index - stored.first
    const place = pageOf(stored, row)
    const bytes = await this.#page(segment, place.offset, place.bytes)
    const at = (row - place.rowsBefore) * ROW_BYTES
    return { bytes, at, count: Math.floor((bytes.length - at) / ROW_BYTES) }
  }

  async #page(segment: Segment, offset: number, length: number): Promise<Buffer> {
    const key = `${segment.base}:${offset}`
    const kept = this.#kept.get(key)
    if (kept !== undefined) {
      this.hits++
      return kept
    }
    this.misses++
    const page = await must(segment.index, 'a closed segment has an index').read(offset, length)
    if (page.length !== length || !isPageSound(page, segment.base, offset))
      throw new PlatformError(
        ERROR_CODES.dataDamaged,
        `${segment.fullPath}: its index is damaged at byte ${offset}. Check the disk. The index is only a cache: it is made again from the log at the next start.`,
        { detail: { path: segment.indexPath, offset, isCache: true } },
      )
    this.#kept.set(key, page)
    if (this.#kept.size > PAGES_KEPT) this.#kept.delete(must(this.#kept.keys().next().value, 'what is too large has a first key'))
    return page
  }
}
