// SPDX-License-Identifier: Apache-2.0
// The retained messages that a session's new subscriptions are still owed. What does not fit into the connection that subscribed goes on in
// the next one: they are QoS 1 and 2 messages like others.
import type { Subscription } from '#contract/record/session'
import type { RetainedFeed } from '../../message/retained-feed.ts'
import type { BrokerContext } from './context.ts'
import { storedForm } from './stored-subscription.ts'

/** The session that the feeds belong to. */
interface FeedOwner {
  readonly persistent: boolean
  readonly epoch: number
  readonly record: { readonly tenant: string; readonly clientId: string }
  failed(error: unknown): void
}

export class SessionFeeds {
  readonly #context: Pick<BrokerContext, 'meta' | 'durableLogs'>
  readonly #owner: FeedOwner
  #feeds: RetainedFeed[] = []

  constructor(context: Pick<BrokerContext, 'meta' | 'durableLogs'>, owner: FeedOwner) {
    this.#context = context
    this.#owner = owner
  }

  /** Begins to send with the next `resume`. */
  add(feed: RetainedFeed): void {
    this.#feeds.push(feed)
  }

  /** The subscription is gone, or replaced. */
  stop(filter: string): void {
    for (const feed of this.#feeds) if (feed.filter === filter) feed.close()
    this.#feeds = this.#feeds.filter((feed) => feed.filter !== filter)
  }

  /** A retained message was delivered live. */
  touch(topic: string): void {
    for (const feed of this.#feeds) feed.touch(topic)
  }

  resume(): void {
    for (const feed of this.#feeds) feed.resume()
  }

  done(feed: RetainedFeed): void {
    this.#feeds = this.#feeds.filter((other) => other !== feed)
    if (feed.continued && this.#owner.persistent) void this.#save([feed.subscription])
  }

  /** Stops all; resolves when the session remembers what it is still owed. */
  async close(): Promise<void> {
    const unfinished = this.#feeds.map((feed) => feed.unfinished)
    for (const feed of this.#feeds) feed.close()
    this.#feeds = []
    if (unfinished.length > 0 && this.#owner.persistent) await this.#save(unfinished)
  }

  async #save(subscriptions: readonly Subscription[]): Promise<void> {
    const { tenant, clientId } = this.#owner.record
    const { meta, durableLogs } = this.#context
    try {
      await meta.subscribe(
        { tenant, clientId },
        this.#owner.epoch,
        subscriptions.map((subscription) => storedForm(durableLogs, subscription)),
      )
    } catch (error) {
      this.#owner.failed(error)
    }
  }
}
