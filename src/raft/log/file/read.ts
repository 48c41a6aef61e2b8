// SPDX-License-Identifier: Apache-2.0
// Entries from the files: neighbours in one disk read, and each verified against the checksum that memory has kept since it was written, so that
// neither rot nor a misdirected write is taken for data (E6).

import { must } from '#base/assert'
import { crc32c } from '#base/crc32c'
import type { Entry, LogIndex } from '../../core/message.ts'
import { damaged } from './damage.ts'
import { entryKindOf, type LogPosition } from './frame.ts'
import type { GroupLog } from './group-table.ts'
import { type Segment, segmentAt } from './segment.ts'

/** Reading this much that nobody asked for is cheaper than another call. */
const GAP_BYTES_MAX = 16 * 1024
/** Bounds what one disk read allocates, unless a single entry is larger. */
const RUN_BYTES_MAX = 1024 * 1024

interface Piece {
  readonly entry: Omit<Entry, 'data'>
  readonly position: LogPosition
  readonly length: number
  readonly crc: number
}

/** Pieces of one segment that are read at once. */
interface Run {
  readonly segment: Segment
  readonly pieces: Piece[]
}

/** Entries from `from`, at least one, then as many before `to` as fit into `bytesMax`. The range is held by `log`. */
export async function readEntries(
  segments: readonly Segment[],
  log: GroupLog,
  from: LogIndex,
  to: LogIndex,
  bytesMax: number,
): Promise<readonly Entry[]> {
  // The plan is made and the files are pinned in one turn: what happens to the log meanwhile cannot touch this read.
  const runs = plan(segments, log, from, to, bytesMax)
  for (const { segment } of runs) segment.pin()
  try {
    const entries: Entry[] = []
    for (const run of runs) await readRun(run, entries)
    return entries
  } finally {
    for (const { segment } of runs) await segment.unpin()
  }
}

function plan(segments: readonly Segment[], log: GroupLog, from: LogIndex, to: LogIndex, bytesMax: number): readonly Run[] {
  const { entries } = log
  const runs: Run[] = []
  let bytes = 0
  let run: Run | undefined
  let runStart = 0
  let runEnd = 0
  for (let index = from; index < to; index++) {
    const length = entries.length(index)
    bytes += length
    if (index > from && bytes > bytesMax) break
    const position = entries.position(index)
    const near = run !== undefined && position - runEnd <= GAP_BYTES_MAX && position + length - runStart <= RUN_BYTES_MAX
    if (run === undefined || !near || position >= run.segment.end) {
      run = { segment: segmentAt(segments, position), pieces: [] }
      runs.push(run)
      runStart = position
    }
    const kind = must(entryKindOf(entries.kind(index)), 'only entries are in the index of entries')
    run.pieces.push({ entry: { index, term: entries.term(index), kind }, position, length, crc: entries.crc(index) })
    runEnd = position + length
  }
  return runs
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
