// SPDX-License-Identifier: Apache-2.0
// The subscriptions of one session by filter, without shared ones and replays, and its claim on each record by them. A session that catches up asks for
// the claim of every record, so what follows from the topic alone is remembered.
import { matches } from '#base/topic-filter'
import type { LogId, Position } from '#contract/client/engine-client'
import type { Subscription } from '#contract/record/session'
import { beginIn } from '../../message/concerned-logs.ts'
import { mergeClaims, type Subscriber, type Target } from '../../message/subscription-table.ts'

/** What is known of a topic. */
interface Matching {
  readonly subscriptions: readonly Subscription[]
  /** The claim on records that come after all of them began; undefined when none matches. */
  readonly target: Target | undefined
}

/** Topics of which that is remembered: those of a page of records and some more. */
const TOPICS_MAX = 1024

export class SessionSubscriptions extends Map<string, Subscription> {
  readonly #subscriber: Subscriber
  readonly #matching = new Map<string, Matching>()

  constructor(subscriber: Subscriber) {
    super()
    this.#subscriber = subscriber
  }

  override set(filter: string, subscription: Subscription): this {
    this.#matching.clear()
    return super.set(filter, subscription)
  }

  override delete(filter: string): boolean {
    this.#matching.clear()
    return super.delete(filter)
  }

  override clear(): void {
    this.#matching.clear()
    super.clear()
  }

  /** The claim on a record by the subscriptions that had begun at its position; undefined when there is none. */
  claim(topic: string, log: LogId, position: Position): Target | undefined {
    const { subscriptions, target } = this.#matching.get(topic) ?? this.#match(topic)
    for (const { since } of subscriptions) if (beginIn(since, log) > position) return this.#claimOfBegun(subscriptions, log, position)
    return target
  }

  #claimOfBegun(subscriptions: readonly Subscription[], log: LogId, position: Position): Target | undefined {
    return this.#merged(subscriptions.filter(({ since }) => beginIn(since, log) <= position))
  }

  #match(topic: string): Matching {
    const subscriptions: Subscription[] = []
    for (const subscription of this.values()) if (matches(subscription.filter, topic)) subscriptions.push(subscription)
    const matching = { subscriptions, target: this.#merged(subscriptions) }
    if (this.#matching.size >= TOPICS_MAX) this.#matching.clear()
    this.#matching.set(topic, matching)
    return matching
  }

  #merged(subscriptions: readonly Subscription[]): Target | undefined {
    return subscriptions.length === 0 ? undefined : mergeClaims(this.#subscriber, subscriptions)
  }
}
