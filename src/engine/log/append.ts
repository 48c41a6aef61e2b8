// SPDX-License-Identifier: Apache-2.0
// A batch on its way through the group of a log.
import type { PlatformError } from '#base/error'
import type { AppendOutcome, Position } from '#contract/client/engine-client'
import type { RecordBatch } from '#contract/record/record-batch'

/** Told once what became of a proposal, never before `propose` has returned, unless it is refused. */
export interface ProposalWaiter {
  committed(index: number, reply: unknown): void
  failed(error: PlatformError): void
}

/** The group that replicates a log. A refusal is thrown, or told to the waiter at once. */
export interface Proposer {
  propose(data: Buffer, waiter: ProposalWaiter): void
}

export type AppendDone = (outcome: AppendOutcome) => void

/** The log that proposed it. */
export interface AppendOwner {
  appendCommitted(append: Append): void
  appendFailed(append: Append, error: PlatformError): void
}

/** One batch on its way. */
export class Append implements ProposalWaiter {
  readonly batch: RecordBatch
  readonly base: Position
  readonly end: Position
  readonly term: number
  /** By the monotonic clock. */
  readonly proposedAtMs: number
  readonly done: AppendDone
  /** Later batches that hold duplicates of its records. */
  followers: AppendDone[] | undefined
  readonly #owner: AppendOwner

  constructor(owner: AppendOwner, batch: RecordBatch, base: Position, term: number, proposedAtMs: number, done: AppendDone) {
    this.#owner = owner
    this.batch = batch
    this.base = base
    this.end = base + batch.recordCount
    this.term = term
    this.proposedAtMs = proposedAtMs
    this.done = done
  }

  committed(): void {
    this.#owner.appendCommitted(this)
  }

  failed(error: PlatformError): void {
    this.#owner.appendFailed(this, error)
  }

  settle(outcome: AppendOutcome): void {
    this.done(outcome)
    if (this.followers !== undefined) for (const done of this.followers) done(outcome)
  }
}
