// SPDX-License-Identifier: Apache-2.0
// Pieces of entries from the files, in few disk reads. They are not verified here: whoever asks for a piece has a checksum of it, and no other bytes are looked at.
import { must } from '#base/assert'
import type { EntryPiece } from '../../log-store.ts'
import { damaged } from './damage.ts'
import type { Stretch } from './group-entries.ts'
import type { GroupLog } from './group-table.ts'
import type { IndexPages } from './index-pages.ts'
import type { ReadSource } from './read.ts'
import { type Segment, segmentAt } from './segment.ts'
import { ROW_BYTES } from './segment-index.ts'

/** Reading this much that nobody asked for is cheaper than another call. */
const GAP_BYTES_MAX = 64 * 1024
/** Bounds one disk read: what is passed over stays in the cache of the processor. */
const RUN_BYTES_MAX = 256 * 1024
/** Disk reads under way at once. */
const RUNS_MAX = 8

/** Bytes of a segment that are read at once, and the pieces among them: `count` from number `first` on. */
interface Run {
  readonly segment: Segment
  readonly start: number
  end: number
  readonly first: number
  count: number
}

/** The pieces: at least one, of entries that ascend and that the log holds. */
export async function readPieces(
  { segments, pages }: ReadSource,
  { entries }: GroupLog,
  pieces: readonly EntryPiece[],
): Promise<readonly Buffer[]> {
  const { recent } = entries
  const from = must(pieces[0], 'a read names at least one piece').index
  const to = (pieces.at(-1) as EntryPiece).index + 1
  // Which files these are is decided, and they are pinned, in one turn: what happens to the log meanwhile cannot touch this read.
  const stretches = entries.stretches(from, to).map((stretch) => ({ ...stretch }))
  const offsets: number[] = []
  const recentPlan = new Plan(pieces, offsets)
  for (let at = 0; at < pieces.length; at++) {
    const { index } = pieces[at] as EntryPiece
    if (index <= recent.base) continue
    const segment = segmentAt(segments, recent.position(index))
    recentPlan.add(at, segment, recent.position(index) - segment.base, recent.length(index))
  }
  const pinned = new Set([...stretches, ...recentPlan.runs].map(({ segment }) => segment))
  for (const segment of pinned) segment.pin()
  try {
    const plan = new Plan(pieces, offsets)
    let at = 0
    for (const stretch of stretches) at = await planStretch(plan, pages, stretch, pieces, at)
    return await readRuns([...plan.runs, ...recentPlan.runs], pieces, offsets)
  } finally {
    for (const segment of pinned) await segment.unpin()
  }
}

/** Pieces in the order in which they are read, joined to runs. */
class Plan {
  readonly runs: Run[] = []
  readonly #pieces: readonly EntryPiece[]
  /** Of each piece in its segment. */
  readonly #offsets: number[]

  constructor(pieces: readonly EntryPiece[], offsets: number[]) {
    this.#pieces = pieces
    this.#offsets = offsets
  }

  /** Adds the piece at a place of the list; its entry is at `entryOffset` of the segment. */
  add(at: number, segment: Segment, entryOffset: number, entryLength: number): void {
    const piece = this.#pieces[at] as EntryPiece
    const start = entryOffset + piece.offset
    const end = start + piece.length
    if (end > entryOffset + entryLength)
      throw damaged(segment.fullPath, start, `entry ${piece.index} is too short for what is looked for in it`)
    this.#offsets[at] = start
    const run = this.runs.at(-1)
    if (run?.segment !== segment || start < run.end || start - run.end > GAP_BYTES_MAX || end - run.start > RUN_BYTES_MAX)
      this.runs.push({ segment, start, end, first: at, count: 1 })
    else {
      run.end = end
      run.count++
    }
  }
}

/** Adds the pieces from `from` on that are in a stretch. Returns the place of the next one. */
async function planStretch(plan: Plan, pages: IndexPages, stretch: Stretch, pieces: readonly EntryPiece[], from: number): Promise<number> {
  let at = from
  while (at < pieces.length && (pieces[at] as EntryPiece).index <= stretch.last) {
    const first = (pieces[at] as EntryPiece).index
    const rows = await pages.rows(stretch, first)
    const end = Math.min(first + rows.count, stretch.last + 1)
    for (; at < pieces.length && (pieces[at] as EntryPiece).index < end; at++) {
      const row = rows.at + ((pieces[at] as EntryPiece).index - first) * ROW_BYTES
      plan.add(at, stretch.segment, rows.bytes.readUInt32BE(row), rows.bytes.readUInt32BE(row + 4))
    }
  }
  return at
}

async function readRuns(runs: readonly Run[], pieces: readonly EntryPiece[], offsets: readonly number[]): Promise<readonly Buffer[]> {
  const found: Buffer[] = []
  for (let at = 0; at < runs.length; at += RUNS_MAX) {
    const some = runs.slice(at, at + RUNS_MAX)
    const read = await Promise.all(some.map(({ segment, start, end }) => segment.file.read(start, end - start)))
    for (const [place, bytes] of read.entries()) {
      const { segment, start, end, first, count } = some[place] as Run
      if (bytes.length !== end - start) throw damaged(segment.fullPath, start + bytes.length, 'the file ends before its last entry does')
      for (let piece = first; piece < first + count; piece++) {
        const offset = (offsets[piece] as number) - start
        found.push(bytes.subarray(offset, offset + (pieces[piece] as EntryPiece).length))
      }
    }
  }
  return found
}
