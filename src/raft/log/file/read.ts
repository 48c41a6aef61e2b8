// SPDX-License-Identifier: Apache-2.0
// Entries from the files: neighbours in one disk read, and each verified against the checksum that memory, or the index of a closed
// segment, has kept since it was written, so that neither rot nor a misdirected write is taken for data (E6).

import { must } from '#base/assert'
import { crc32c } from '#base/crc32c'
import type { Entry, LogIndex } from '../../core/message.ts'
import { damaged } from './damage.ts'
import { entryKindOf, type LogPosition } from './frame.ts'
import type { Stretch } from './group-entries.ts'
import type { GroupLog } from './group-table.ts'
import type { IndexPages } from './index-pages.ts'
import { type Segment, segmentAt } from './segment.ts'
import { ROW_BYTES, termAt } from './segment-index.ts'

/** Reading this much that nobody asked for is cheaper than another call. */
const GAP_BYTES_MAX = 16 * 1024
/** Bounds what one disk read allocates, unless a single entry is larger. */
const RUN_BYTES_MAX = 1024 * 1024

interface Piece {
  readonly entry: Omit<Entry, 'data'>
  readonly segment: Segment
  readonly position: LogPosition
  readonly length: number
  readonly crc: number
}

/** Pieces of one segment that are read at once. */
interface Run {
  readonly segment: Segment
  readonly pieces: Piece[]
}

/** What a read is made from. */
export interface ReadSource {
  readonly segments: readonly Segment[]
  readonly pages: IndexPages
}

/** Entries from `from`, at least one, then as many before `to` as fit into `bytesMax`. The range is held by `log`. */
export async function readEntries(
  { segments, pages }: ReadSource,
  log: GroupLog,
  from: LogIndex,
  to: LogIndex,
  bytesMax: number,
): Promise<readonly Entry[]> {
  // What is read is decided and the files are pinned in one turn: what happens to the log meanwhile cannot touch this read.
  const stretches = log.entries.stretches(from, to).map((stretch) => ({ ...stretch }))
  const recent = recentPieces(segments, log, from, to, bytesMax)
  const pinned = new Set([...stretches, ...recent].map(({ segment }) => segment))
  for (const segment of pinned) segment.pin()
  try {
    const plan = new Plan(bytesMax)
    for (const stretch of stretches) {
      if (plan.full) break
      await planStretch(plan, pages, stretch, Math.max(from, stretch.first), Math.min(to, stretch.last + 1))
    }
    for (const piece of recent) if (!plan.full) plan.add(piece)
    const entries: Entry[] = []
    for (const run of plan.runs) await readRun(run, entries)
    return entries
  } finally {
    for (const segment of pinned) await segment.unpin()
  }
}

/** Pieces in the order in which they are read, joined to runs. */
class Plan {
  readonly runs: Run[] = []
  full = false
  readonly #bytesMax: number
  #bytes = 0
  #runStart: LogPosition = 0
  #runEnd: LogPosition = 0

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** Adds the next piece, or is full. */
  add(piece: Piece): void {
    const { segment, position, length } = piece
    this.#bytes += length
    if (this.runs.length > 0 && this.#bytes > this.#bytesMax) {
      this.full = true
      return
    }
    const run = this.runs.at(-1)
    const isNear = position - this.#runEnd <= GAP_BYTES_MAX && position + length - this.#runStart <= RUN_BYTES_MAX
    if (run?.segment === segment && isNear) run.pieces.push(piece)
    else {
      this.runs.push({ segment, pieces: [piece] })
      this.#runStart = position
    }
    this.#runEnd = position + length
  }
}

function recentPieces(segments: readonly Segment[], log: GroupLog, from: LogIndex, to: LogIndex, bytesMax: number): readonly Piece[] {
  const { recent } = log.entries
  const pieces: Piece[] = []
  let bytes = 0
  for (let index = Math.max(from, recent.base + 1); index < to; index++) {
    const length = recent.length(index)
    bytes += length
    if (pieces.length > 0 && bytes > bytesMax) break
    const kind = must(entryKindOf(recent.kind(index)), 'only entries are in the index of entries')
    const position = recent.position(index)
    pieces.push({
      entry: { index, term: recent.term(index), kind },
      segment: segmentAt(segments, position),
      position,
      length,
      crc: recent.crc(index),
    })
  }
  return pieces
}

async function planStretch(plan: Plan, pages: IndexPages, stretch: Stretch, from: LogIndex, to: LogIndex): Promise<void> {
  const { segment, stored } = stretch
  for (let index = from; index < to && !plan.full; ) {
    const { bytes, at, count } = await pages.rows(stretch, index)
    const end = Math.min(to, index + count)
    for (let row = at; index < end && !plan.full; index++, row += ROW_BYTES) {
      const kind = must(entryKindOf(bytes.readUInt8(row + 12)), 'only entries are in an index')
      const position = segment.base + bytes.readUInt32BE(row)
      const entry = { index, term: termAt(stored.terms, index), kind }
      plan.add({ entry, segment, position, length: bytes.readUInt32BE(row + 4), crc: bytes.readUInt32BE(row + 8) })
    }
  }
}

async function readRun({ segment, pieces }: Run, into: Entry[]): Promise<void> {
  const start = pieces[0]!.position
  const last = pieces[pieces.length - 1]!
  const length = last.position + last.length - start
  const bytes = length === 0 ? Buffer.alloc(0) : await segment.file.read(start - segment.base, length)
  for (const piece of pieces) {
    const at = piece.position - start
    const data = bytes.subarray(at, at + piece.length)
    if (data.length !== piece.length || crc32c(data) !== piece.crc)
      throw damaged(
        segment.fullPath,
        piece.position - segment.base,
        `entry ${piece.entry.index} does not match the checksum it was written with`,
      )
    into.push({ ...piece.entry, data })
  }
}
