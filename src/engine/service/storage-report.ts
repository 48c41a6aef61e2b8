// SPDX-License-Identifier: Apache-2.0
// What the engine says of its logs to those who look after it.
import type { LogId, Position, StorageType } from '#contract/client/engine-client'
import type { ReadPlan } from '../log/catch-up.ts'
import type { DamagedRange, Scrubber } from '../log/scrubber.ts'
import type { StripeMachine } from '../log/stripe-machine.ts'

export interface LogReport {
  readonly log: LogId
  readonly type: StorageType
  /** First position kept. */
  readonly start: Position
  readonly end: Position
  /** Of records: in the store, before its compression, or in memory for a log in memory. */
  readonly bytes: number
  /** Of recent batches in memory, those that are stored too included. */
  readonly tailBytes: number
  /** Topics that the log knows; 0 for a log in memory, which keeps no list. */
  readonly topics: number
  /** Sequences of QoS 2 that are not released. */
  readonly sequences: number
  readonly retention: { readonly maxAgeMs: number; readonly maxBytes: number }
  /** How often reads chose each plan since the start. */
  readonly plans: Readonly<Record<ReadPlan, number>>
  /** Everything before it was verified in this round of the scrubber. */
  readonly scrubbedTo: Position
  readonly damaged: readonly DamagedRange[]
}

export function reportLog(machine: StripeMachine, scrubber: Scrubber, retention: LogReport['retention']): LogReport {
  const { log, storage, first, end, tail, stored } = machine
  return {
    log,
    type: storage,
    start: first,
    end,
    bytes: stored?.writer.storedBytes ?? tail.sizeBytes,
    tailBytes: tail.sizeBytes,
    topics: stored?.dictionary.size ?? 0,
    sequences: machine.sequences.size,
    retention,
    plans: { ...machine.catchUp.planCounts },
    scrubbedTo: scrubber.position(log),
    damaged: scrubber.damagedIn(log),
  }
}
