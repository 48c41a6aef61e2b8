// SPDX-License-Identifier: Apache-2.0
// The subscriptions of a session that replay history (D8). They are kept apart from the others: each has its own place in the logs, which is saved with the
// session's cursors.
import type { LogId, LogPosition, Position } from '#contract/client/engine-client'
import type { Cursor, ReplayPlace, Subscription } from '#contract/record/session'
import { beginIn } from '../../message/concerned-logs.ts'
import { Replay, type ReplaySession } from '../../message/replay.ts'
import type { Claim } from '../../message/subscription-table.ts'
import type { BrokerContext } from './context.ts'

/** The session, as far as its replays need it. */
interface ReplayOwner extends ReplaySession {
  readonly context: Pick<BrokerContext, 'store' | 'durableLogs' | 'table'>
}

const NO_PLACES: ReadonlyMap<LogId, Position> = new Map()

export class SessionReplays {
  readonly #session: ReplayOwner
  readonly #byFilter = new Map<string, Replay>()

  constructor(session: ReplayOwner) {
    this.#session = session
  }

  get size(): number {
    return this.#byFilter.size
  }

  subscriptions(): readonly Subscription[] {
    return [...this.#byFilter.values()].map(({ subscription }) => subscription)
  }

  get(filter: string): Subscription | undefined {
    return this.#byFilter.get(filter)?.subscription
  }

  has(filter: string): boolean {
    return this.#byFilter.has(filter)
  }

  /** Begins a replay from where the subscription begins; the interest in its filter is registered already. `logs`: all that it concerns now. One of the same filter ends. */
  start(subscription: Subscription, logs: readonly LogId[]): void {
    this.stop(subscription.filter)
    this.#add(subscription, logs, NO_PLACES)
    // The places of an earlier replay must not be found again.
    for (const log of logs) this.#session.advanced(log)
  }

  /** The replay of the same filter goes on with other options. The interest was registered once more for it. */
  update(subscription: Subscription): void {
    const { context } = this.#session
    const replay = this.#byFilter.get(subscription.filter)
    context.store.deregister(subscription.filter)
    if (replay === undefined) return
    replay.update(subscription)
    context.table.add(replay, subscription)
  }

  /** Takes up what an earlier connection left. `logs`: all that the subscription concerns now. */
  restore(subscription: Subscription, cursors: readonly Cursor[], logs: readonly LogId[]): void {
    const reached = new Map<LogId, Position>()
    for (const { log, replays = [] } of cursors)
      for (const place of replays) if (place.filter === subscription.filter) reached.set(log, place.next)
    this.#add(subscription, logs, reached)
  }

  /** False when there is none of this filter. */
  stop(filter: string): boolean {
    const replay = this.#byFilter.get(filter)
    if (replay === undefined) return false
    const { context } = this.#session
    this.#byFilter.delete(filter)
    replay.close()
    context.table.remove(replay, filter)
    context.store.deregister(filter)
    return true
  }

  resume(): void {
    for (const replay of this.#byFilter.values()) replay.resume()
  }

  /** Nothing is delivered any more; places stay readable. */
  close(): void {
    const { context } = this.#session
    for (const [filter, replay] of this.#byFilter) {
      replay.close()
      context.table.remove(replay, filter)
      context.store.deregister(filter)
    }
  }

  /** The claim of the first replay that matches. */
  claim(topic: string, log: LogId): Claim | undefined {
    for (const replay of this.#byFilter.values()) {
      const claim = replay.claim(topic, log)
      if (claim !== undefined) return claim
    }
    return undefined
  }

  /** Where they stand in a durable log. */
  placesIn(log: LogId): readonly ReplayPlace[] {
    const places: ReplayPlace[] = []
    for (const [filter, replay] of this.#byFilter) {
      const next = replay.placeIn(log)
      if (next !== undefined) places.push({ filter, next })
    }
    return places
  }

  /** A replay begins at the places that were reached, elsewhere where its subscription does; a log that came later, at its beginning. */
  #add(subscription: Subscription, logs: readonly LogId[], reached: ReadonlyMap<LogId, Position>): void {
    const { context } = this.#session
    const starts = logs
      .filter((log) => context.durableLogs.has(log))
      .map((log): LogPosition => ({ log, position: reached.get(log) ?? beginIn(subscription.since, log) }))
    const replay = new Replay(context.store, context.durableLogs, this.#session, subscription, starts)
    this.#byFilter.set(subscription.filter, replay)
    context.table.add(replay, subscription)
  }
}
