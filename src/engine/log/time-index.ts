// SPDX-License-Identifier: Apache-2.0
// Finds the place of a time in a log. Append times never fall within a log, so halving does: about log2 of the records that are kept, in reads of one chunk.
import { must } from '#base/assert'
import type { Position } from '#contract/client/engine-client'
import type { ReadableLog } from './catch-up.ts'
import { CHUNK_SPAN_MS_MAX } from './chunk-builder.ts'
import type { Tail } from './tail.ts'

/**
 * Where to begin to read in order to miss no record appended at or after `timeMs`. A chunk has the time of its first batch only, so up to
 * CHUNK_SPAN_MS_MAX of earlier records may come first. The end of the log when all records are older.
 */
export async function positionAt(log: ReadableLog, timeMs: number): Promise<Position> {
  const oldest = log.tail.entry(0)
  if (log.stored === undefined || (oldest !== undefined && oldest.batch.appendTimeMs < timeMs)) return positionInTail(log.tail, timeMs)
  return await positionInStore(log, timeMs)
}

function positionInTail(tail: Tail, timeMs: number): Position {
  let low = 0
  let high = tail.count
  while (low < high) {
    const middle = (low + high) >>> 1
    const { batch } = must(tail.entry(middle), 'an index below the count has an entry')
    if (batch.appendTimeMs < timeMs) low = middle + 1
    else high = middle
  }
  return tail.entry(low)?.base ?? tail.end
}

/** Looks for the last chunk that begins before the time. All after it begin later. */
async function positionInStore(log: ReadableLog, timeMs: number): Promise<Position> {
  const stored = must(log.stored, 'a log in memory has no chunks')
  let low = log.start
  let high = log.tail.first
  let found = log.start
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2)
    // Between chunks there are gaps, where all records of some have been removed: the one before tells as much.
    const chunk = await stored.log.chunkUpTo(middle)
    if (chunk === undefined) low = middle + 1
    else if (chunk.appendTimeMs >= timeMs) high = chunk.base
    else {
      found = chunk.appendTimeMs + CHUNK_SPAN_MS_MAX < timeMs ? chunk.end : chunk.base
      low = Math.max(chunk.end, middle + 1)
    }
  }
  return Math.max(found, log.start)
}
