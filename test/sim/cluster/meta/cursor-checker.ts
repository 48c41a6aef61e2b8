// SPDX-License-Identifier: Apache-2.0
// What the owner of a session was acknowledged of its cursors is what the next one gets, whole, and no earlier owner overwrites it (Q8, Q9). The takeover is told to the
// cursors by a claim of their own: from then on they have a new holder.
import type { Cursor } from '#contract/record/session'
import { epochOf, listOf, SessionBroken, type SessionHistory } from './session-history.ts'
import type { CursorSaving, ToldOpening } from './session-ledger.ts'

/** A cursor that was there at some time: saved, or found by a takeover. */
interface Place {
  readonly epoch: number
  /** Undefined: there was none. */
  readonly next: number | undefined
  readonly called: number
  readonly returned: number
}

export function checkCursors(history: SessionHistory): void {
  const savings = new Map<number, CursorSaving[]>()
  for (const saving of history.ledger.savings) if (saving.outcome !== 'refused') listOf(savings, saving.uid).push(saving)
  const openings = new Map<number, ToldOpening[]>()
  for (const opening of history.told) listOf(openings, opening.told.session.uid).push(opening)
  for (const [uid, ofUid] of openings) {
    const logs = new Set(
      [...(savings.get(uid) ?? []), ...ofUid.flatMap(({ told }) => told.cursors.map((cursor) => ({ cursor })))].map(logOf),
    )
    for (const log of logs) {
      const saved = (savings.get(uid) ?? []).filter(({ cursor }) => cursor.log === log)
      for (const opening of ofUid) if (opening.told.present) checkTakeover(history, opening, log, saved, ofUid)
    }
  }
}

function checkTakeover(
  history: SessionHistory,
  opening: ToldOpening,
  log: number,
  saved: readonly CursorSaving[],
  openings: readonly ToldOpening[],
): void {
  const found = opening.told.cursors.find((cursor) => cursor.log === log)
  const saving = saved.find(({ cursor }) => cursor.next === found?.next)
  if (found !== undefined && JSON.stringify(found) !== JSON.stringify(saving?.cursor))
    broken(opening, log, `${JSON.stringify(found)}, which nobody has saved`)
  // Between the opening and the claim somebody else may have ended the session: nobody holds its cursors then, and nobody gets them any more.
  if (mayHaveEnded(history, opening)) return
  // Or has taken it over, and saved cursors.
  if (saving !== undefined && saving.epoch >= epochOf(opening)) {
    if (saving.called >= opening.returned) broken(opening, log, `${found?.next}, which was saved later`)
    return
  }
  for (const place of placesBefore(history, opening, log, saved, openings)) {
    if (place.next === found?.next) continue
    const isOlder = saving === undefined ? place.next !== undefined : saving.epoch < place.epoch || saving.returned < place.called
    if (isOlder) broken(opening, log, `${found?.next}, after ${place.next} of epoch ${place.epoch}`)
  }
}

function mayHaveEnded(history: SessionHistory, opening: ToldOpening): boolean {
  const { clientId } = opening.request
  if (history.mayHaveEnded(clientId, epochOf(opening), opening.returned)) return true
  const later = history.toldOf(clientId).filter((other) => epochOf(other) > epochOf(opening))
  const isNext = later[0]?.told.previous?.epoch === epochOf(opening)
  if (isNext && later[0] !== undefined && later[0].called >= opening.returned) return false
  return [...later.filter(({ told }) => !told.present), ...history.unknownOf(clientId)].some(({ called }) => called < opening.returned)
}

/** What was certainly there before the opening: saved by who was the holder at that time, or found by a takeover. */
function placesBefore(
  history: SessionHistory,
  opening: ToldOpening,
  log: number,
  saved: readonly CursorSaving[],
  openings: readonly ToldOpening[],
): readonly Place[] {
  const places: Place[] = []
  for (const { epoch, cursor, called, returned, outcome } of saved) {
    if (outcome !== 'done' || epoch >= epochOf(opening) || returned >= opening.called) continue
    if (!mayBeFenced(history, epoch, returned, openings)) places.push({ epoch, next: cursor.next, called, returned })
  }
  for (const other of openings) {
    if (!other.told.present || epochOf(other) >= epochOf(opening) || other.returned >= opening.called) continue
    const next = other.told.cursors.find((cursor) => cursor.log === log)?.next
    places.push({ epoch: epochOf(other), next, called: other.called, returned: other.returned })
  }
  return places
}

/** Whether there may have been a later owner by then. One that nobody was told of is seen by who comes after it, unless another such one is in between. */
function mayBeFenced(history: SessionHistory, epoch: number, atMs: number, openings: readonly ToldOpening[]): boolean {
  const next = openings.find((other) => epochOf(other) > epoch)
  if (next === undefined || next.called < atMs) return true
  if (next.told.previous?.epoch === epoch) return false
  return history.unknownOf(next.request.clientId).some(({ called }) => called < atMs)
}

function broken(opening: ToldOpening, log: number, what: string): never {
  const { session } = opening.told
  throw new SessionBroken(`epoch ${session.epoch} of ${session.clientId}, uid ${session.uid}, finds the cursor of log ${log} at ${what}`)
}

const logOf = ({ cursor }: { readonly cursor: Cursor }): number => cursor.log
