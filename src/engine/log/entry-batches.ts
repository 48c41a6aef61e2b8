// SPDX-License-Identifier: Apache-2.0
// Record batches read back from the Raft log by the index of their entry. Neighbours cost one read, and the most recent ones are kept, because
// several sessions that catch up on the same log follow each other closely.
import { must } from '#base/assert'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { RecordBatch } from '#contract/record/record-batch'
import type { Entry, EntryPiece } from '#raft'
import { isBatch } from './control-record.ts'
import type { EntryCache, EntryShelf } from './entry-cache.ts'

/** Committed entries of one log, each verified against the checksum with which it was written. */
export interface EntryReader {
  /** Entries [from, to), at least one and then at most `bytesMax` of data. Rejects with offsetOutOfRange when retention has removed them, and with dataDamaged. */
  read(from: number, to: number, bytesMax: number): Promise<readonly Entry[]>
  /** Some bytes of entries that ascend, not verified. Rejects with offsetOutOfRange too. */
  readPieces(pieces: readonly EntryPiece[]): Promise<readonly Buffer[]>
}

/** Most bytes of one read. */
const READ_BYTES_MAX = 1024 * 1024
/** Reads under way at once: each waits for the disk. */
const READS_MAX = 16

/** 'gone': retention has removed it, or a neighbour that was read with it. 'other': it holds no records. */
export type EntryContent = RecordBatch | 'gone' | 'other'

/** Neighbouring entries, [from, to). */
interface Stretch {
  readonly from: number
  to: number
}

export class EntryBatches {
  #reader: EntryReader | undefined
  readonly #cache: EntryCache
  readonly #kept: EntryShelf = new Map()
  /** Entries that readers needed: kept here, and read. */
  hits = 0
  misses = 0

  constructor(cache: EntryCache) {
    this.#cache = cache
  }

  connect(reader: EntryReader): void {
    this.#reader = reader
  }

  /** What these entries hold, ascending: the first, and of the others as many as come to about `bytesMax`. */
  async read(indexes: readonly number[], bytesMax: number): Promise<readonly EntryContent[]> {
    const contents: EntryContent[] = []
    let bytes = 0
    while (contents.length < indexes.length && (contents.length === 0 || bytes < bytesMax)) {
      const found = await this.#readSome(indexes, contents.length, bytesMax - bytes)
      for (let at = contents.length; at < indexes.length; at++) {
        const content = found.get(indexes[at] as number)
        if (content === undefined) break
        contents.push(content)
        if (content instanceof RecordBatch) bytes += content.bytes.length
      }
    }
    return contents
  }

  /** Reads entries [from, to) from the disk, whatever is kept here. Rejects with dataDamaged. */
  async verify(from: number, to: number): Promise<void> {
    for (let at = from; at < to; ) {
      const entries = await this.#entries(at, to, READ_BYTES_MAX)
      if (entries === undefined) return
      for (const { kind, data } of entries) if (kind === 'normal' && isBatch(data)) RecordBatch.parse(data)
      at += Math.max(1, entries.length)
    }
  }

  /** The next stretches from `at` on, as far as one round of reads gets: the first is in it for certain. */
  async #readSome(indexes: readonly number[], at: number, bytesMax: number): Promise<Map<number, EntryContent>> {
    const found = new Map<number, EntryContent>()
    const stretches: Stretch[] = []
    for (let next = at; next < indexes.length; next++) {
      const index = indexes[next] as number
      const kept = this.#kept.get(index)
      const stretch = stretches.at(-1)
      if (kept !== undefined) {
        found.set(index, kept)
        this.hits++
      } else if (stretch?.to === index) stretch.to++
      else if (stretches.length < READS_MAX) stretches.push({ from: index, to: index + 1 })
      else break
    }
    const eachMax = Math.min(READ_BYTES_MAX, Math.max(1, Math.floor(bytesMax / Math.max(1, stretches.length))))
    await Promise.all(stretches.map((stretch) => this.#readStretch(stretch, eachMax, found)))
    return found
  }

  async #readStretch({ from, to }: Stretch, bytesMax: number, found: Map<number, EntryContent>): Promise<void> {
    const entries = await this.#entries(from, to, bytesMax)
    this.misses += entries?.length ?? 0
    if (entries === undefined) for (let index = from; index < to; index++) found.set(index, 'gone')
    else
      for (const { index, kind, data } of entries) {
        if (kind !== 'normal' || !isBatch(data)) {
          found.set(index, 'other')
          continue
        }
        const batch = RecordBatch.parseVerified(data)
        found.set(index, batch)
        this.#cache.keep(this.#kept, index, batch)
      }
  }

  /** Some bytes of entries that ascend, not verified; undefined when retention has removed some of them. Rejects with dataDamaged. */
  readPieces(pieces: readonly EntryPiece[]): Promise<readonly Buffer[] | undefined> {
    return unlessGone(this.#connected.readPieces(pieces))
  }

  /** Undefined when retention has removed some of them. */
  #entries(from: number, to: number, bytesMax: number): Promise<readonly Entry[] | undefined> {
    return unlessGone(this.#connected.read(from, to, bytesMax))
  }

  get #connected(): EntryReader {
    return must(this.#reader, 'a log of type segment is connected to its entries')
  }
}

async function unlessGone<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading
  } catch (error) {
    if (isPlatformError(error, ERROR_CODES.offsetOutOfRange)) return undefined
    throw error
  }
}
