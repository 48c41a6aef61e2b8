// SPDX-License-Identifier: Apache-2.0
// Whether the answer to a read agrees with everything else that is known of the log (T15): the same record at a position for everybody, nothing skipped, nothing twice.
import { matches } from '#base/topic-filter'
import type { Position, ReadResult } from '#contract/client/engine-client'
import { type RecordBatch, RecordCursor } from '#contract/record/record-batch'
import type { LogChecker, Wanted } from './log-checker.ts'
import { CHUNK_SPAN_MS } from './removal-rules.ts'

/** Positions before an answer to `positionAt` that are compared with it. */
const TIMES_LOOKED_MAX = 500

export const wantedByFilters = (filters: readonly string[]): Wanted => ({
  what: `the read of ${filters.slice(0, 3).join(' ')}`,
  everything: filters.includes('#'),
  matches: ({ topic }) => filters.some((filter) => matches(filter, topic)),
})

export const wantedByKey = (topic: string, key: Buffer): Wanted => ({
  what: `the read of ${key} of ${topic}`,
  everything: false,
  matches: (content) => content.topic === topic && content.key?.equals(key) === true,
})

/** `from`: where it was to begin. */
export function checkRead(log: LogChecker, from: Position, wanted: Wanted, result: ReadResult, askedAtMs: number): void {
  const { what } = wanted
  if (result.next < result.from) log.fail('read', `${what} goes on at ${result.next}, before ${result.from}`)
  const found = new Set<Position>()
  let last = result.from - 1
  visit(result.batches, (batch, cursor) => {
    const { position } = cursor
    if (position <= last) log.fail('read', `${what} has ${position} after ${last}`)
    if (position >= result.next) log.fail('read', `${what} has ${position}, and goes on at ${result.next}`)
    last = position
    found.add(position)
    const record = log.observe(batch, cursor, what, askedAtMs)
    if (!wanted.matches(record.content)) log.fail('read', `${what} has ${record}`)
  })
  if (result.from > from) log.extent(result.from, Number.POSITIVE_INFINITY)
  if (result.from < from && result.from < log.knownEnd) log.fail('lost', `${what} begins at ${result.from}, as if the log had ended there`)
  log.expectAll(result.from, result.next, wanted, found)
}

/** `end`: of the log when it was asked. */
export function checkFetch(
  log: LogChecker,
  positions: readonly Position[],
  end: Position,
  batches: readonly RecordBatch[],
  askedAtMs: number,
): void {
  const wanted = new Set(positions)
  const found = new Set<Position>()
  let last = -1
  visit(batches, (batch, cursor) => {
    const { position } = cursor
    if (!wanted.has(position) || position <= last) log.fail('read', `a fetch has ${position} after ${last}`)
    last = position
    found.add(position)
    log.observe(batch, cursor, 'a fetch', askedAtMs)
  })
  for (const position of positions) {
    const record = log.at(position)
    if (position < end && record !== undefined && !found.has(position)) log.judgeAbsence(record, 'a fetch has not got it')
  }
}

/** `first`: position that the log begins at. `realtimeOf` tells the wall clock of the node at a time of the world. */
export function checkPositionAt(
  log: LogChecker,
  timeMs: number,
  first: Position,
  position: Position,
  realtimeOf: (worldMs: number) => number,
): void {
  for (let before = position - 1; before >= Math.max(first, position - TIMES_LOOKED_MAX); before--) {
    const record = log.at(before)
    if (record !== undefined && log.keeps(record) && realtimeOf(record.sentAtMs) >= timeMs)
      log.fail('time', `the place of ${timeMs} is ${position}, after ${record} at ${before}, sent at ${realtimeOf(record.sentAtMs)}`)
  }
  const record = log.at(position)
  if (record?.acknowledgedAtMs === undefined || log.mayLack(record)) return
  if (realtimeOf(record.acknowledgedAtMs) < timeMs - CHUNK_SPAN_MS)
    log.fail('time', `the place of ${timeMs} is ${position}, at ${record}, acknowledged at ${realtimeOf(record.acknowledgedAtMs)}`)
}

function visit(batches: readonly RecordBatch[], each: (batch: RecordBatch, cursor: RecordCursor) => void): void {
  const cursor = new RecordCursor()
  for (const batch of batches) {
    cursor.reset(batch)
    while (cursor.next()) each(batch, cursor)
  }
}
