// SPDX-License-Identifier: Apache-2.0
// The live end of the delivery path: each committed batch, once, to the subscribers of this broker (D3).
import type { LogId, TailSink } from '#contract/client/engine-client'
import { type RecordBatch, RecordCursor } from '#contract/record/record-batch'
import type { Route, SubscriptionTable } from './subscription-table.ts'

export class Delivery implements TailSink {
  readonly #table: SubscriptionTable
  readonly #cursor = new RecordCursor()
  #routes: Route[] = []

  constructor(table: SubscriptionTable) {
    this.#table = table
  }

  onCommitted(log: LogId, batch: RecordBatch): void {
    const topics = batch.topics
    let wanted = false
    const routes = this.#routes
    for (let at = 0; at < topics.length; at++) {
      const route = this.#table.route(topics[at] as string)
      routes[at] = route
      wanted ||= route.length > 0
    }
    if (!wanted) return
    const cursor = this.#cursor
    cursor.reset(batch)
    while (cursor.next()) {
      const route = routes[cursor.topic] as Route
      for (let at = 0; at < route.length; at++) {
        const target = route[at] as Route[number]
        target.subscriber.deliver(target, log, batch, cursor)
      }
    }
    if (routes.length > ROUTES_KEPT) this.#routes = []
  }
}

/** The scratch array is let go when one batch made it large. */
const ROUTES_KEPT = 1024
