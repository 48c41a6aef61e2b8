// SPDX-License-Identifier: Apache-2.0
// Whether what brokers were told of sessions fits one order of takeovers (Q9): epochs rise, each has one owner, nothing is written below the current one, the next owner gets what the
// last one was acknowledged, and Session Present says so (Q11); a session expires only when it may (Q12), and a will is given out once (Q13).
import { EXPIRY_NEVER, type Session } from '#contract/record/session'
import { checkCursors } from './cursor-checker.ts'
import { FILTERS } from './held-session.ts'
import { epochOf, SessionBroken, SessionHistory } from './session-history.ts'
import type { Listing, SessionCall, SessionLedger, ToldOpening } from './session-ledger.ts'

/** Throws what does not fit. */
export function checkSessions(ledger: SessionLedger): void {
  const history = new SessionHistory(ledger)
  checkOrder(history)
  for (const clientId of history.clients()) {
    const openings = history.toldOf(clientId)
    for (const [at, opening] of openings.entries()) {
      checkPrevious(history, opening, openings[at - 1])
      if (opening.told.present) checkSubscriptions(history, opening, openings[at - 1])
      else if (opening.told.subscriptions.length + opening.told.cursors.length > 0)
        broken(opening, 'begins with the state of an earlier session')
    }
  }
  for (const call of ledger.calls) checkFence(history, call)
  for (const listing of ledger.listings) checkListing(history, listing)
  checkWills(history)
  checkCursors(history)
}

/** All openings are counted by one group: who is told later has the higher epoch, whoever the client is. */
function checkOrder({ told }: SessionHistory): void {
  const returns = [...told].sort((a, b) => a.returned - b.returned)
  let latest = 0
  let at = 0
  for (const opening of [...told].sort((a, b) => a.called - b.called)) {
    for (let before = returns[at]; before !== undefined && before.returned < opening.called; before = returns[++at])
      latest = Math.max(latest, epochOf(before))
    if (epochOf(opening) <= latest) broken(opening, `was opened after epoch ${latest} had been told`)
  }
}

/** `last`: the latest opening before it that was answered. */
function checkPrevious(history: SessionHistory, opening: ToldOpening, last: ToldOpening | undefined): void {
  const { told, request } = opening
  const { previous, present } = told
  const goesOn = !request.cleanStart && previous !== undefined && isAlive(previous, request.nowMs)
  if (present !== goesOn) broken(opening, `is told that its session is ${present ? 'present' : 'new'}, after ${describe(previous)}`)
  if (present ? told.session.uid !== previous?.uid : told.session.uid === previous?.uid)
    broken(opening, `has uid ${told.session.uid}, after ${describe(previous)}`)
  if (previous === undefined) {
    if (last !== undefined && !history.mayHaveEnded(request.clientId, epochOf(last), opening.returned))
      broken(opening, `finds no session, although that of epoch ${epochOf(last)} was not ended`)
    return
  }
  if (previous.epoch >= told.session.epoch || previous.epoch < (last === undefined ? 0 : epochOf(last)))
    broken(opening, `follows on ${describe(previous)}, not on ${describe(last?.told.session)}`)
  if (previous.epoch === last?.told.session.epoch) checkLeft(history, opening, last, previous)
  else if (!history.unknownOf(request.clientId).some(({ called }) => called < opening.returned))
    broken(opening, `follows on ${describe(previous)}, which nobody has opened`)
}

/** What an owner has left: what it was acknowledged has been done. */
function checkLeft(history: SessionHistory, opening: ToldOpening, last: ToldOpening, left: Session): void {
  const calls = history.callsOf(left.epoch).filter(({ called }) => called < opening.returned)
  const closes = calls.flatMap(({ action, outcome }) => (action.kind === 'close' ? [{ ...action, outcome }] : []))
  const isClosed = left.owner === undefined
  if (isClosed ? closes.length === 0 : closes.some(({ outcome }) => outcome === 'done'))
    broken(opening, `finds ${describe(left)}, which was ${isClosed ? 'not ' : ''}closed`)
  const ends = isClosed ? closes : [{ nowMs: 0, expirySeconds: last.request.expirySeconds }]
  if (!ends.some(({ nowMs, expirySeconds }) => nowMs === left.disconnectedAtMs && expirySeconds === left.expirySeconds))
    broken(opening, `finds ${describe(left)}, with an end that nobody has given it`)
  if (left.uid !== last.told.session.uid) broken(opening, `finds ${describe(left)}, which had uid ${last.told.session.uid}`)
  if (left.will !== undefined && left.will.payload.toString() !== String(last.tag))
    broken(opening, `finds ${describe(left)}, with the will of another`)
  const taken = calls.some(({ action }) => action.kind === 'takeWill' || (action.kind === 'close' && !action.keepWill))
  if (left.will === undefined && last.request.will !== undefined && !taken) broken(opening, `finds ${describe(left)}, whose will is lost`)
}

/** Of each filter: what the last owner was acknowledged last, or found if it wrote nothing, or something that it may have written. */
function checkSubscriptions(history: SessionHistory, opening: ToldOpening, last: ToldOpening | undefined): void {
  const { session } = opening.told
  const before = last?.told.session.uid === session.uid ? last : undefined
  const writes = before === undefined ? [] : history.callsOf(epochOf(before)).filter(({ called }) => called < opening.returned)
  for (const filter of FILTERS) {
    const of = ({ action }: SessionCall): number | undefined => (action.kind === 'subscriptions' ? action.set.get(filter) : undefined)
    const ofFilter = writes.filter((write) => of(write) !== undefined)
    // Each was asked for when the one before it was answered; one that was not may come at any time.
    const latest = ofFilter.findLast(({ outcome }) => outcome === 'done')
    const allowed = ofFilter.filter(({ outcome }) => outcome === 'unknown').map(of)
    allowed.push(latest === undefined ? (before === undefined ? 0 : identifierOf(before, filter)) : of(latest))
    const found = identifierOf(opening, filter)
    if (!allowed.includes(found)) broken(opening, `finds ${filter} with ${found}, not ${allowed.join(' or ')}`)
  }
}

/** 0 when there is no such subscription. */
const identifierOf = ({ told }: ToldOpening, filter: string): number =>
  told.subscriptions.find((subscription) => subscription.filter === filter)?.identifier ?? 0

/** A call is fenced when a higher epoch was told before it, and only when there may have been one, or its session has ended. */
function checkFence(history: SessionHistory, call: SessionCall): void {
  const { clientId, epoch, action, outcome } = call
  if (outcome !== 'done' && outcome !== 'fenced') return
  const openings = history.toldOf(clientId)
  const current = openings.findLast(({ returned }) => returned < call.called)
  const told = `${action.kind} of ${clientId} in the name of epoch ${epoch}`
  if (outcome === 'done') {
    if (current === undefined || epochOf(current) <= epoch) return
    // What has ended already may be ended again.
    if (action.kind === 'end' && history.mayHaveEnded(clientId, epochOf(current), call.returned)) return
    throw new SessionBroken(`${told} was done, although epoch ${epochOf(current)} had been told`)
  }
  const displaced =
    openings.some((opening) => epochOf(opening) > epoch && opening.called < call.returned) ||
    history.unknownOf(clientId).some(({ called }) => called < call.returned)
  if (displaced || history.mayHaveEnded(clientId, epoch, call.returned)) return
  if (action.kind === 'takeWill' && !isWillOwed(history, call)) return
  throw new SessionBroken(`${told} was fenced, although there is no other owner`)
}

/** Somebody must be given it who asks: it was there, and nobody else may have it. */
function isWillOwed(history: SessionHistory, asked: SessionCall): boolean {
  const opening = history.toldOf(asked.clientId).find((candidate) => epochOf(candidate) === asked.epoch)
  if (opening?.request.will === undefined) return false
  return !history
    .callsOf(asked.epoch)
    .some((call) => call !== asked && (call.action.kind === 'takeWill' || (call.action.kind === 'close' && !call.action.keepWill)))
}

/** A session that was there all the time is in every list of them. */
function checkListing(history: SessionHistory, { called, returned, sessions }: Listing): void {
  for (const clientId of history.clients()) {
    const last = history.toldOf(clientId).findLast((opening) => opening.returned < called)
    if (last === undefined || history.mayHaveEnded(clientId, epochOf(last), returned)) continue
    const listed = sessions.find((session) => session.clientId === clientId)
    if (listed === undefined || listed.epoch < epochOf(last))
      throw new SessionBroken(`a list of ${called.toFixed(3)} has ${describe(listed)}, not ${describe(last.told.session)}`)
  }
}

/** A will is given to who takes it, or to who opens the session next; to nobody after its session was closed without it. */
function checkWills(history: SessionHistory): void {
  const given = new Map<string, string>()
  const give = (will: Buffer, to: string, called: number): void => {
    const tag = will.toString()
    const other = given.get(tag)
    if (other !== undefined) throw new SessionBroken(`the will of opening ${tag} was given to ${other}, and to ${to}`)
    given.set(tag, to)
    const opening = history.told.find((candidate) => String(candidate.tag) === tag)
    const cancelled = opening && history.callsOf(epochOf(opening)).find(isCancelled)
    if (cancelled !== undefined && cancelled.returned < called)
      throw new SessionBroken(`the will of opening ${tag} was given to ${to}, although it was cancelled`)
  }
  for (const { will, clientId, epoch, called } of history.ledger.calls)
    if (will !== undefined) give(will.payload, `who took it from epoch ${epoch} of ${clientId}`, called)
  for (const { told, called } of history.told)
    if (told.previous?.will !== undefined)
      give(told.previous.will.payload, `epoch ${told.session.epoch} of ${told.session.clientId}`, called)
}

const isCancelled = ({ action, outcome }: SessionCall): boolean => action.kind === 'close' && !action.keepWill && outcome === 'done'

/** For who comes at that time, by its clock. */
function isAlive({ expirySeconds, owner, disconnectedAtMs }: Session, nowMs: number): boolean {
  if (expirySeconds === 0 || owner !== undefined || expirySeconds === EXPIRY_NEVER) return expirySeconds !== 0
  return disconnectedAtMs + expirySeconds * 1000 > nowMs
}

function describe(session: Session | undefined): string {
  if (session === undefined) return 'no session'
  const { uid, epoch, owner, expirySeconds, disconnectedAtMs } = session
  return `epoch ${epoch} of uid ${uid} (${owner === undefined ? `away since ${disconnectedAtMs}` : 'open'}, expiry ${expirySeconds} s)`
}

function broken({ tag, called, request, told }: ToldOpening, text: string): never {
  throw new SessionBroken(`opening ${tag} of ${called.toFixed(3)}, epoch ${told.session.epoch} of ${request.clientId}, ${text}`)
}
