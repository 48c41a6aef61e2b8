// SPDX-License-Identifier: Apache-2.0
// A subscription that reads the stored history of its topics first and then goes on live (D8). It is a consumer of its own: its place in each log is
// its cursor, and it shares nothing with the other subscriptions of the session but the window.
//
//   replay-from := 'earliest' | 'latest' | offset | RFC 3339 time        offset := digit+
//
// An offset is the position of a message in the log of its topic: it rises within the topic, is never used twice, and has gaps, because a log is shared by
// many topics.
import { matches } from '#base/topic-filter'
import type { LogId, LogPosition, Position } from '#contract/client/engine-client'
import type { RecordBatch, RecordCursor } from '#contract/record/record-batch'
import type { Subscription } from '#contract/record/session'
import type { ShardStore } from '#storage'
import { type ConsumedStore, Consumer, type Outlet } from './consumer.ts'
import type { LogSet } from './durable-logs.ts'
import { parseRfc3339 } from './rfc3339.ts'
import { mergeClaims, type Subscriber, type Target } from './subscription-table.ts'

/** The user property of a SUBSCRIBE that asks for history. */
export const REPLAY_FROM = 'replay-from'

export type ReplayStart =
  | { readonly kind: 'earliest' }
  | { readonly kind: 'latest' }
  | { readonly kind: 'offset'; readonly offset: number }
  | { readonly kind: 'time'; readonly timeMs: number }

/** Undefined when the value is malformed. */
export function parseReplayFrom(value: string): ReplayStart | undefined {
  if (value === 'earliest' || value === 'latest') return { kind: value }
  if (/^\d{1,16}$/.test(value)) {
    const offset = Number(value)
    return Number.isSafeInteger(offset) ? { kind: 'offset', offset } : undefined
  }
  const timeMs = parseRfc3339(value)
  return timeMs === undefined ? undefined : { kind: 'time', timeMs }
}

/**
 * Where to begin in each log. `began`: the ends of the logs when the interest took effect, beyond which nothing may begin. Logs that are only in memory are
 * left out: they have no history, and go live at once.
 */
export async function replayStarts(
  store: Pick<ShardStore, 'extent' | 'positionAt'>,
  durableLogs: LogSet,
  start: ReplayStart,
  began: readonly LogPosition[],
): Promise<readonly LogPosition[]> {
  const durable = began.filter(({ log }) => durableLogs.has(log))
  return await Promise.all(
    durable.map(async ({ log, position: end }): Promise<LogPosition> => {
      const wanted = await wantedPosition(store, start, log, end)
      return { log, position: Math.min(Math.max(wanted, store.extent(log).first), end) }
    }),
  )
}

async function wantedPosition(store: Pick<ShardStore, 'positionAt'>, start: ReplayStart, log: LogId, end: Position): Promise<Position> {
  switch (start.kind) {
    case 'earliest':
      return 0
    case 'latest':
      return end
    case 'offset':
      return start.offset
    case 'time':
      return await store.positionAt(log, start.timeMs)
  }
}

/** The session that a replay belongs to. */
export interface ReplaySession {
  readonly uid: number
  /** Sends a record, or refuses it for want of room: then it comes again after `resume`. */
  offer(target: Target, log: LogId, batch: RecordBatch, cursor: RecordCursor): boolean
  appetiteBytes(): number
  readonly appetite: number
  missed(log: LogId, from: Position, to: Position): void
  failed(error: unknown): void
  /** A replay has got further. */
  advanced(log: LogId): void
}

export class Replay implements Subscriber, Outlet {
  readonly storesQos0 = true
  readonly owesEverything = true
  readonly #session: ReplaySession
  readonly #durableLogs: LogSet
  readonly #consumer: Consumer
  #subscription: Subscription
  #filters: readonly string[]
  /** The claim on stored messages, which have an offset, and on those that pass by. */
  #stored: Target
  #passing: Target

  /** `starts`: where it goes on in each durable log. Reading begins with `resume`. */
  constructor(
    store: ConsumedStore,
    durableLogs: LogSet,
    session: ReplaySession,
    subscription: Subscription,
    starts: readonly LogPosition[],
  ) {
    this.#session = session
    this.#durableLogs = durableLogs
    this.#subscription = subscription
    this.#filters = [subscription.filter]
    this.#passing = mergeClaims(this, [subscription])
    this.#stored = withOffset(this.#passing)
    this.#consumer = new Consumer(store, this)
    for (const { log, position } of starts) this.#consumer.restore(log, position, position)
  }

  get uid(): number {
    return this.#session.uid
  }

  get subscription(): Subscription {
    return this.#subscription
  }

  /** The client has asked for the same filter with other options: it goes on where it is. */
  update(subscription: Subscription): void {
    this.#subscription = subscription
    this.#passing = mergeClaims(this, [subscription])
    this.#stored = withOffset(this.#passing)
  }

  deliver(_target: Target, log: LogId, batch: RecordBatch, cursor: RecordCursor): void {
    this.#consumer.live(this.#targetIn(log), log, batch, cursor)
  }

  resume(): void {
    this.#consumer.resume()
  }

  close(): void {
    this.#consumer.close()
  }

  /** Its place in a durable log; undefined in one that it has had nothing to do with. */
  placeIn(log: LogId): Position | undefined {
    return this.#consumer.follows(log) ? this.#consumer.position(log) : undefined
  }

  // ---- the consumer's questions

  filters(): readonly string[] {
    return this.#filters
  }

  claim(topic: string, log: LogId): Target | undefined {
    return matches(this.#subscription.filter, topic) ? this.#targetIn(log) : undefined
  }

  offer(target: Target, log: LogId, batch: RecordBatch, cursor: RecordCursor): boolean {
    if (!this.#session.offer(target, log, batch, cursor)) return false
    this.#session.advanced(log)
    return true
  }

  appetiteBytes(): number {
    return this.#session.appetiteBytes()
  }

  get appetite(): number {
    return this.#session.appetite
  }

  missed(log: LogId, from: Position, to: Position): void {
    this.#session.missed(log, from, to)
  }

  failed(error: unknown): void {
    this.#session.failed(error)
  }

  /** More of its history has been read; some of it may be for nobody. */
  advanced(log: LogId): void {
    this.#session.advanced(log)
  }

  #targetIn(log: LogId): Target {
    return this.#durableLogs.has(log) ? this.#stored : this.#passing
  }
}

const withOffset = (target: Target): Target => ({
  ...target,
  offsets: true,
  own: target.own === undefined ? undefined : { ...target.own, offsets: true },
})
