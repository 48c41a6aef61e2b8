// SPDX-License-Identifier: Apache-2.0
// Hands committed batches to the broker, if it wants any of their topics (D4), and to the consumers of shared groups.
import { assert } from '#base/assert'
import type { LogId, TailSink } from '#contract/client/engine-client'
import type { RecordBatch } from '#contract/record/record-batch'
import type { CommitListener } from '../log/stripe-machine.ts'
import { InterestTable } from './interest-table.ts'
import { ShareTable } from './share-table.ts'

export class TailFeed implements CommitListener {
  readonly interest = new InterestTable()
  readonly shares = new ShareTable()
  #sink: TailSink | undefined

  attach(sink: TailSink): void {
    assert(this.#sink === undefined, 'an in-process engine has one client')
    this.#sink = sink
  }

  onCommitted(log: LogId, batch: RecordBatch): void {
    if (this.#sink !== undefined && this.interest.wantsAny(batch.topics)) this.#sink.onCommitted(log, batch)
    this.shares.onCommitted(log, batch)
  }
}
