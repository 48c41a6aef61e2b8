// SPDX-License-Identifier: Apache-2.0
// Which shared groups a topic is for, and the way of committed batches to them. Answers are remembered per topic and forgotten when a group comes or goes.
import { hasWildcard, matches } from '#base/topic-filter'
import type { LogId, Position } from '#contract/client/engine-client'
import type { ShareProgress, ShareSink } from '#contract/client/share-client'
import { type RecordBatch, RecordCursor } from '#contract/record/record-batch'
import type { CommitListener } from '../log/stripe-machine.ts'
import { SharedConsumer, type ShareFeed, type ShareLog } from './share-consumer.ts'

type Route = readonly SharedConsumer[]

const NOBODY: Route = Object.freeze([])
/** Topics whose route is remembered. */
const ROUTES_MAX = 65_536
/** The scratch array is let go when one batch made it large. */
const SCRATCH_MAX = 1024

export class ShareTable implements CommitListener, ShareFeed {
  readonly #exact = new Map<string, SharedConsumer[]>()
  /** By filter. Matched one by one for a topic that is new: wildcard groups are few. */
  readonly #wildcards = new Map<string, SharedConsumer[]>()
  readonly #routes = new Map<string, Route>()
  readonly #record = new RecordCursor()
  #scratch: Route[] = []
  #size = 0
  /** The log whose batch is being offered. */
  #offering: LogId | undefined

  /** Consumers that are open. */
  get size(): number {
    return this.#size
  }

  open(filter: string, sink: ShareSink, logs: readonly ShareLog[], progress: readonly ShareProgress[]): SharedConsumer {
    const consumer = new SharedConsumer(filter, sink, this, logs, progress)
    const byFilter = hasWildcard(filter) ? this.#wildcards : this.#exact
    const others = byFilter.get(filter)
    if (others === undefined) byFilter.set(filter, [consumer])
    else others.push(consumer)
    this.#size++
    this.#routes.clear()
    return consumer
  }

  /** A log of one topic is new: the groups that the topic is for follow it. */
  include(source: ShareLog, topic: string): void {
    for (const consumer of this.#route(topic)) consumer.include(source)
  }

  /** A log is gone. */
  exclude(log: LogId): void {
    for (const consumers of [...this.#exact.values(), ...this.#wildcards.values()]) for (const consumer of consumers) consumer.exclude(log)
  }

  remove(consumer: SharedConsumer): void {
    const byFilter = hasWildcard(consumer.filter) ? this.#wildcards : this.#exact
    const all = byFilter.get(consumer.filter) ?? []
    const left = all.filter((other) => other !== consumer)
    if (left.length === all.length) return
    if (left.length === 0) byFilter.delete(consumer.filter)
    else byFilter.set(consumer.filter, left)
    this.#size--
    this.#routes.clear()
  }

  offeredUpTo(log: LogId): Position | undefined {
    return log === this.#offering ? this.#record.position : undefined
  }

  onCommitted(log: LogId, batch: RecordBatch): void {
    if (this.#size === 0) return
    const routes = this.#scratch
    const { topics } = batch
    let wanted = false
    for (let at = 0; at < topics.length; at++) {
      const route = this.#route(topics[at] as string)
      routes[at] = route
      wanted ||= route.length > 0
    }
    if (wanted) this.#offer(log, batch, routes)
    if (routes.length > SCRATCH_MAX) this.#scratch = []
  }

  #offer(log: LogId, batch: RecordBatch, routes: readonly Route[]): void {
    const record = this.#record
    record.reset(batch)
    record.position = batch.basePosition
    this.#offering = log
    while (record.next()) {
      const route = routes[record.topic] as Route
      for (let at = 0; at < route.length; at++) (route[at] as SharedConsumer).live(log, batch, record)
    }
    this.#offering = undefined
  }

  #route(topic: string): Route {
    const known = this.#routes.get(topic)
    if (known !== undefined) return known
    if (this.#routes.size >= ROUTES_MAX) this.#routes.clear()
    const found = [...(this.#exact.get(topic) ?? [])]
    for (const [filter, consumers] of this.#wildcards) if (matches(filter, topic)) found.push(...consumers)
    const route = found.length === 0 ? NOBODY : found
    this.#routes.set(topic, route)
    return route
  }
}
