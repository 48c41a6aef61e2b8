// SPDX-License-Identifier: Apache-2.0
// Sends a new subscription the retained messages that match it, page by page, as fast as the client takes them (D10).
//
// Gap-free and never out of order: the subscription is live before the first page is read. A value whose record comes along live is left
// out (its position is at or past `since`, or its log came later), and so is a topic of which a live message was delivered while the feed ran.
import type { Clock } from '#base/port/clock'
import type { LogPosition } from '#contract/client/engine-client'
import type { MetaClient, RetainedValue } from '#contract/client/meta-client'
import type { Subscription } from '#contract/record/session'
import type { ShardStore } from '#storage'
import { beginIn } from './concerned-logs.ts'
import type { LogSet } from './durable-logs.ts'
import type { FeedTurns } from './feed-turns.ts'

export interface RetainedOutlet {
  /** Sends a retained message, or refuses it for want of room: then `resume` is called when there is some. */
  offerRetained(subscription: Subscription, value: RetainedValue): boolean
  /** Messages of QoS 0 are stored for clients that are away. */
  readonly storesQos0: boolean
  /** Messages it could take now, about. */
  readonly appetite: number
  feedDone(feed: RetainedFeed): void
  failed(error: unknown): void
}

const PAGE_MAX = 512
/** Topics remembered as delivered live while a feed runs. */
const TOUCHED_MAX = 65_536

/** What feeds read from. */
export interface RetainedSource {
  readonly store: Pick<ShardStore, 'retainedUpTo'>
  readonly meta: Pick<MetaClient, 'retained'>
  readonly clock: Clock
  readonly turns: FeedTurns
  readonly durableLogs: LogSet
}

export class RetainedFeed {
  readonly #source: RetainedSource
  readonly #outlet: RetainedOutlet
  readonly subscription: Subscription
  /** It goes on where an earlier connection stopped. */
  readonly continued: boolean
  readonly #since: ReadonlyMap<number, number>
  readonly #touched = new Set<string>()
  /** The last topic that was sent; '' before the first one. */
  #after: string
  #viewed = false
  #running = false
  #closed = false

  /** A subscription that says `retainedAfter` goes on there. `since`: the end of each durable log concerned at the moment when the subscription became live. */
  constructor(source: RetainedSource, outlet: RetainedOutlet, subscription: Subscription, since: readonly LogPosition[]) {
    this.#source = source
    this.#outlet = outlet
    const { retainedAfter, ...plain } = subscription
    this.subscription = plain
    this.continued = retainedAfter !== undefined
    this.#after = retainedAfter ?? ''
    this.#since = new Map(since.map(({ log, position }) => [log, position]))
  }

  get filter(): string {
    return this.subscription.filter
  }

  /** The subscription, with what it is still owed. */
  get unfinished(): Subscription {
    return { ...this.subscription, retainedAfter: this.#after }
  }

  /** A live message of the topic was delivered: its retained value is history. */
  touch(topic: string): void {
    if (this.#touched.size < TOUCHED_MAX) this.#touched.add(topic)
  }

  /** Begins, or goes on when there is room again. */
  resume(): void {
    if (!this.#running && !this.#closed) void this.#run()
  }

  close(): void {
    this.#closed = true
  }

  async #run(): Promise<void> {
    this.#running = true
    try {
      if (!this.#viewed) {
        // Every record before `since` that is retained must be in the view, or it would be in neither.
        for (const [log, position] of this.#since) await this.#source.store.retainedUpTo(log, position)
        this.#viewed = true
      }
      while (await this.#sendPage()) {
        // The next page is asked for when this one has found room.
      }
    } catch (error) {
      this.#outlet.failed(error)
    } finally {
      this.#running = false
    }
  }

  /** False when there is nothing more to send, or no room. */
  async #sendPage(): Promise<boolean> {
    const { meta, clock, turns } = this.#source
    await turns.enter()
    try {
      if (this.#closed) return false
      const count = Math.min(PAGE_MAX, Math.max(1, this.#outlet.appetite))
      const page = await meta.retained(this.filter, this.#after === '' ? undefined : this.#after, count, clock.realtime())
      if (this.#closed) return false
      if (page.length === 0) {
        this.#closed = true
        this.#outlet.feedDone(this)
        return false
      }
      for (const value of page) {
        if (!this.#isLive(value) && !this.#outlet.offerRetained(this.subscription, value)) return false
        this.#after = value.topic
      }
      return true
    } finally {
      turns.leave()
    }
  }

  #isLive(value: RetainedValue): boolean {
    const since = this.#since.get(value.log)
    // A log that was not there when the subscription became live has only what came after.
    const isLater = since === undefined ? this.#source.durableLogs.has(value.log) : value.position >= since
    return isLater || this.#touched.has(value.topic) || (this.continued && this.#isOwed(value))
  }

  /** What was published since the subscription began, while the client was away too, waits for it in the log, or has been sent from there. */
  #isOwed({ log, position, qos }: RetainedValue): boolean {
    const { subscription } = this
    const isKept = Math.min(subscription.qos, qos) > 0 || this.#outlet.storesQos0
    return isKept && this.#source.durableLogs.has(log) && position >= beginIn(subscription.since, log)
  }
}
