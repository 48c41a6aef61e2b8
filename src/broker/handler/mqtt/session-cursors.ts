// SPDX-License-Identifier: Apache-2.0
// What is saved of a session's places in the logs (D5): those that have moved, and all that have a message in flight, so that the order of sending over all logs is always
// saved as a whole. A log without a saved cursor begins where the subscriptions did.
import type { LogId, Position } from '#contract/client/engine-client'
import type { Cursor, InFlight, Subscription } from '#contract/record/session'
import { beginIn, type ConcernedLogs } from '../../message/concerned-logs.ts'
import type { Consumer } from '../../message/consumer.ts'
import type { UnsavedCursors } from '../../message/cursor-saver.ts'
import { MovedLogs } from '../../message/moved-logs.ts'
import type { BrokerContext } from './context.ts'
import type { OutboundWindow } from './outbound-window.ts'
import type { SessionReplays } from './session-replays.ts'
import type { SharedSubscriptions } from './shared-subscriptions.ts'

/** The session, as far as its cursors need it. */
interface CursorOwner {
  readonly context: Pick<BrokerContext, 'store' | 'durableLogs'>
  readonly persistent: boolean
  readonly consumer: Pick<Consumer, 'positions' | 'position' | 'restore'>
  readonly outbound: Pick<OutboundWindow, 'entries'>
  readonly shared: Pick<SharedSubscriptions, 'stored'>
  readonly replays: Pick<SessionReplays, 'placesIn'>
}

export class SessionCursors {
  readonly #owner: CursorOwner
  readonly #moved = new MovedLogs()

  constructor(owner: CursorOwner) {
    this.#owner = owner
  }

  /** Something that was owed of this log is done with. What is in flight is saved without it. */
  mark(log: LogId): void {
    if (this.#owner.persistent) this.#moved.mark(log)
  }

  saved(mark: number): void {
    this.#moved.saved(mark)
  }

  /**
   * `leaving`: the client goes, and nothing is saved for it until it is back. Then the places in shared logs are saved too: others write there all the time, and a place that is
   * left behind is one day in front of what retention has kept.
   */
  unsaved(leaving: boolean): UnsavedCursors {
    const { context, consumer, outbound, shared, replays } = this.#owner
    const { store, durableLogs } = context
    const logs = new Set(this.#moved.logs())
    if (leaving) for (const { log } of consumer.positions()) if (store.describe(log)?.model === 'shared') logs.add(log)
    const inFlight = new Map<LogId, InFlight[]>()
    for (const { log, group, ...entry } of outbound.entries()) {
      const stored = group === undefined ? entry : shared.stored(entry, group)
      const ofLog = inFlight.get(log)
      if (ofLog === undefined) inFlight.set(log, [stored])
      else ofLog.push(stored)
      logs.add(log)
    }
    const cursors: Cursor[] = []
    for (const log of logs) {
      if (!durableLogs.has(log) && !isGone(store, log)) continue
      const places = replays.placesIn(log)
      const cursor = { log, next: consumer.position(log), seen: store.extent(log).end, inFlight: inFlight.get(log) ?? [] }
      cursors.push(places.length === 0 ? cursor : { ...cursor, replays: places })
    }
    return { cursors, mark: this.#moved.count }
  }

  /**
   * Takes up the places of an earlier connection, in the turn in which the subscriptions become live. A log that came while the client was away is read from its beginning. One
   * of a single topic that has nothing new is not followed: what comes is live. One that is gone is read once more, for the session to be told what it lacks.
   */
  restore(cursors: readonly Cursor[], subscriptions: Iterable<Subscription>, concerned: ConcernedLogs): void {
    const { context, consumer } = this.#owner
    const { store, durableLogs } = context
    const saved = new Map(cursors.map((cursor) => [cursor.log, cursor]))
    for (const [log, begin] of beginnings(subscriptions, concerned)) {
      if (!durableLogs.has(log)) continue
      const cursor = saved.get(log)
      const next = Math.max(cursor?.next ?? begin, begin)
      const isBehind = next < store.extent(log).end
      if (isBehind || store.describe(log)?.model === 'shared') consumer.restore(log, next, Math.max(cursor?.seen ?? next, next))
    }
    for (const { log, next, seen } of cursors)
      if (isGone(store, log) && next < store.extent(log).end) consumer.restore(log, next, Math.max(seen, next))
  }
}

const isGone = (store: Pick<BrokerContext['store'], 'describe'>, log: LogId): boolean => store.describe(log) === undefined

/** The earliest beginning in each log of the subscriptions that it concerns. */
function beginnings(subscriptions: Iterable<Subscription>, concerned: ConcernedLogs): ReadonlyMap<LogId, Position> {
  const begins = new Map<LogId, Position>()
  for (const { filter, since } of subscriptions) {
    for (const log of concerned.of(filter)) {
      const begin = beginIn(since, log)
      const earliest = begins.get(log)
      if (earliest === undefined || begin < earliest) begins.set(log, begin)
    }
  }
  return begins
}
