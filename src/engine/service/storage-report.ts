// SPDX-License-Identifier: Apache-2.0
// What the engine says of its logs to those who look after it.
import type { LogDescription, LogId, Position, StorageModel, StorageType } from '#contract/client/engine-client'
import type { BlockedReader } from '../log/blocked-readers.ts'
import type { ReadPlan } from '../log/catch-up.ts'
import type { DamagedRange } from '../log/scrubber.ts'
import type { StripeMachine } from '../log/stripe-machine.ts'
import type { Upkeep } from './upkeep.ts'

export interface LogReport {
  readonly log: LogId
  readonly type: StorageType
  readonly model: StorageModel
  /** That the log belongs to; undefined for a stripe. */
  readonly topic: string | undefined
  /** First position kept. */
  readonly start: Position
  readonly end: Position
  /** Of records: in the store, before its compression, or in memory for a log in memory. */
  readonly bytes: number
  /** Of what says where the records are, in the store, as of the last round of the scrubber; 0 before. */
  readonly indexBytes: number
  /** Entries of a segment log that readers found in memory, and that were read for them. */
  readonly entries: { readonly hits: number; readonly misses: number }
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
  /** Readers that wait for damage to be restored or removed, as of their last attempt. */
  readonly blocked: readonly BlockedReader[]
}

export function reportLog(
  { model, topic }: LogDescription,
  machine: StripeMachine,
  upkeep: Upkeep,
  retention: LogReport['retention'],
): LogReport {
  const { log, storage, first, end, tail, stored } = machine
  return {
    log,
    type: storage,
    model,
    topic,
    start: first,
    end,
    bytes: stored?.writer.storedBytes ?? tail.sizeBytes,
    indexBytes: upkeep.scrubber.indexBytes(log),
    entries: { hits: machine.entries?.hits ?? 0, misses: machine.entries?.misses ?? 0 },
    tailBytes: tail.sizeBytes,
    topics: stored?.dictionary.size ?? 0,
    sequences: machine.sequences.size,
    retention,
    plans: { ...machine.catchUp.planCounts },
    scrubbedTo: upkeep.scrubber.position(log),
    damaged: upkeep.scrubber.damagedIn(log),
    blocked: upkeep.blocked(log),
  }
}
