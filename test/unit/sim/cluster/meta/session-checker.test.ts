// SPDX-License-Identifier: Apache-2.0
// The checker of sessions accepts takeovers that went as they must, and finds each way in which an old owner, a lost write or a will too many shows (Q9, Q11, Q12, Q13).
import assert from 'node:assert/strict'
import { it } from 'node:test'
import type { Cursor, Session, Subscription } from '#contract/record/session'
import { checkSessions } from '../../../../sim/cluster/meta/session-checker.ts'
import { SessionBroken } from '../../../../sim/cluster/meta/session-history.ts'
import { type CallOutcome, type SessionAction, SessionLedger, taggedOwner } from '../../../../sim/cluster/meta/session-ledger.ts'

const CLIENT = 'client-1'
const FILTER = 'c'
const HOUR_SECONDS = 3600

interface Given {
  readonly node?: number
  readonly cleanStart?: boolean
  readonly expirySeconds?: number
  readonly hasWill?: boolean
  readonly present?: boolean
  readonly uid?: number
  readonly previous?: Session | undefined
  readonly subscriptions?: readonly number[]
  readonly cursors?: readonly Cursor[]
}

/** Tells a history call by call: each takes from `at` to `at + 1`. */
class Story {
  readonly ledger = new SessionLedger()
  #at = 0

  open(epoch: number, given: Given = {}): Session {
    const { node = 1, cleanStart = false, expirySeconds = HOUR_SECONDS, hasWill = false, present = false, uid = 1, previous } = given
    const tag = this.ledger.nextTag()
    const owner = taggedOwner({ node, bootEpoch: 1 }, tag)
    const will = hasWill ? { ...WILL, payload: Buffer.from(String(tag)) } : undefined
    const key = { tenant: 'default', clientId: CLIENT }
    const opening = this.ledger.opening(tag, { ...key, owner, cleanStart, expirySeconds, will, nowMs: 0 }, ++this.#at)
    const session = { ...key, uid, epoch, owner, expirySeconds, disconnectedAtMs: 0, will }
    const subscriptions = (given.subscriptions ?? []).map((identifier) => ({ ...PLAIN, filter: FILTER, identifier }))
    this.ledger.told(opening, { session, present, previous, subscriptions, cursors: given.cursors ?? [] }, ++this.#at)
    return session
  }

  takeOver(epoch: number, previous: Session, given: Given = {}): Session {
    return this.open(epoch, { present: true, uid: previous.uid, previous, ...given })
  }

  subscribe({ epoch }: Session, identifier: number, outcome: CallOutcome = 'done'): void {
    this.call(epoch, { kind: 'subscriptions', set: new Map([[FILTER, identifier]]) }, outcome)
  }

  call(epoch: number, action: SessionAction, outcome: CallOutcome = 'done', will?: Session['will']): void {
    const call = this.ledger.call(CLIENT, epoch, action, ++this.#at)
    call.outcome = outcome
    call.will = will
    if (outcome !== 'unknown') call.returned = ++this.#at
  }

  save({ uid, epoch }: Session, cursor: Cursor, outcome: CallOutcome = 'done'): void {
    const saving = this.ledger.saving(uid, epoch, cursor, ++this.#at)
    saving.outcome = outcome
    if (outcome !== 'unknown') saving.returned = ++this.#at
  }

  list(...sessions: readonly Session[]): void {
    this.ledger.listings.push({ called: ++this.#at, returned: ++this.#at, sessions })
  }

  holds(): void {
    checkSessions(this.ledger)
  }

  isBroken(by: RegExp): void {
    assert.throws(
      () => checkSessions(this.ledger),
      (error) => error instanceof SessionBroken && by.test(error.message),
    )
  }
}

const PLAIN: Omit<Subscription, 'filter' | 'identifier'> = { qos: 1, noLocal: false, retainAsPublished: false, since: [] }
const WILL = { topic: 'will', qos: 1, retain: false, headers: Buffer.alloc(0), delaySeconds: 0, messageExpirySeconds: undefined }

const cursor = (next: number): Cursor => ({
  log: 1,
  next,
  seen: next,
  inFlight: [{ position: next, packetId: next, order: 0, qos: 1, released: false }],
})

it('Q9: a takeover that gets what the last owner was acknowledged, and fences it, is accepted', () => {
  const story = new Story()
  const first = story.open(1)
  story.subscribe(first, 7)
  story.save(first, cursor(5))
  const second = story.takeOver(2, first, { node: 2, subscriptions: [7], cursors: [cursor(5)] })
  story.subscribe(first, 8, 'fenced')
  story.save(first, cursor(6))
  story.list(second)
  story.takeOver(3, second, { subscriptions: [7], cursors: [cursor(5)] })
  story.holds()
})

it('Q9: an epoch with two owners, and one that does not rise, are found', () => {
  const same = new Story()
  same.takeOver(1, same.open(1))
  same.isBroken(/two owners/)
  const lower = new Story()
  lower.open(2)
  lower.open(1)
  lower.isBroken(/after epoch 2 had been told/)
})

it('Q9: a write of an old owner that was done is found, and so is one of the owner that was fenced', () => {
  const displaced = new Story()
  const first = displaced.open(1)
  displaced.takeOver(2, first)
  displaced.subscribe(first, 8)
  displaced.isBroken(/although epoch 2 had been told/)
  const owner = new Story()
  owner.subscribe(owner.open(1), 8, 'fenced')
  owner.isBroken(/there is no other owner/)
})

it('Q9: an acknowledged subscription that the next owner does not get is found; one that was refused must not be there, an unknown one may be', () => {
  const lost = new Story()
  const first = lost.open(1)
  lost.subscribe(first, 7)
  lost.takeOver(2, first)
  lost.isBroken(/finds c with 0, not 7/)
  const refused = new Story()
  const owner = refused.open(1)
  refused.subscribe(owner, 7, 'refused')
  refused.takeOver(2, owner, { subscriptions: [7] })
  refused.isBroken(/finds c with 7, not 0/)
  for (const subscriptions of [[], [7]]) {
    const unknown = new Story()
    const opened = unknown.open(1)
    unknown.subscribe(opened, 7, 'unknown')
    unknown.takeOver(2, opened, { subscriptions })
    unknown.holds()
  }
})

it('Q9: an acknowledged cursor that is lost, and one that an old owner has overwritten, are found', () => {
  const lost = new Story()
  const first = lost.open(1)
  lost.save(first, cursor(5))
  lost.save(first, cursor(6))
  lost.takeOver(2, first, { cursors: [cursor(5)] })
  lost.isBroken(/at 5, after 6 of epoch 1/)
  const overwritten = new Story()
  const old = overwritten.open(1)
  const owner = overwritten.takeOver(2, old)
  overwritten.save(owner, cursor(9))
  overwritten.save(old, cursor(4))
  overwritten.takeOver(3, owner, { cursors: [cursor(4)] })
  overwritten.isBroken(/at 4, after 9 of epoch 2/)
})

it('Q9: a cursor that a takeover had not found and an old owner has saved since is found', () => {
  const story = new Story()
  const old = story.open(1)
  const owner = story.takeOver(2, old)
  story.save(old, cursor(4))
  story.takeOver(3, owner, { cursors: [cursor(4)] })
  story.isBroken(/at 4, after undefined of epoch 2/)
})

it('Q6: a cursor whose ids in flight are not those that were saved is found', () => {
  const story = new Story()
  const first = story.open(1)
  story.save(first, cursor(5))
  story.takeOver(2, first, { cursors: [{ ...cursor(5), inFlight: [] }] })
  story.isBroken(/which nobody has saved/)
})

it('Q11: a session that is told to be new although it goes on is found, and one that is told to be there although it has expired', () => {
  const forgotten = new Story()
  const first = forgotten.open(1)
  forgotten.open(2, { uid: 2, previous: first })
  forgotten.isBroken(/is told that its session is new/)
  const vanished = new Story()
  vanished.open(1)
  vanished.open(2, { uid: 2 })
  vanished.isBroken(/finds no session/)
  const expired = new Story()
  const gone = expired.open(1)
  expired.call(1, { kind: 'close', nowMs: -2000, expirySeconds: 1, keepWill: false })
  expired.takeOver(2, { ...gone, owner: undefined, disconnectedAtMs: -2000, expirySeconds: 1 })
  expired.isBroken(/is told that its session is present/)
})

it('Q12: a clean start that finds what was there before is found', () => {
  const story = new Story()
  const first = story.open(1)
  story.subscribe(first, 7)
  story.open(2, { cleanStart: true, uid: 2, previous: first, subscriptions: [7] })
  story.isBroken(/the state of an earlier session/)
})

it('Q13: a will that is given out twice, after it was cancelled, or not at all is found', () => {
  const twice = new Story()
  const first = twice.open(1, { hasWill: true })
  twice.call(1, { kind: 'takeWill' }, 'done', first.will)
  twice.takeOver(2, first)
  twice.isBroken(/was given to who took it from epoch 1 of client-1, and to epoch 2/)
  const cancelled = new Story()
  const owner = cancelled.open(1, { hasWill: true })
  cancelled.call(1, { kind: 'close', nowMs: 5, expirySeconds: HOUR_SECONDS, keepWill: false })
  cancelled.call(1, { kind: 'takeWill' }, 'done', owner.will)
  cancelled.isBroken(/although it was cancelled/)
  const lost = new Story()
  const opened = lost.open(1, { hasWill: true })
  lost.takeOver(2, { ...opened, will: undefined })
  lost.isBroken(/whose will is lost/)
})

it('Q9: a list of sessions without one that was there all the time is found', () => {
  const story = new Story()
  story.open(1)
  story.list()
  story.isBroken(/a list of/)
})
