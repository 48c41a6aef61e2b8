// SPDX-License-Identifier: Apache-2.0
// What an engine is given when it is composed.
import type { Ports } from '#base/port/ports'
import type { LogDescription } from '#contract/client/engine-client'
import type { MetaClient } from '#contract/client/meta-client'
import type { StateMachine } from '#raft'
import type { ScrubbedPlaces } from '../log/scrubber.ts'
import type { TopicLimits } from '../log/topic-retention.ts'

export interface EngineOptions {
  /** Logs of each storage type. */
  readonly stripes: number
  /** Bound of what the memory logs keep, over all of them. */
  readonly memoryBytes: number
  /** Bound of the recent records kept in memory of the rocksdb logs, over all of them, and of the segment logs. */
  readonly tailBytes: number
  readonly retention: EngineRetention
  /** Bytes of stored records verified in the background in a second; 0, the default, for none. */
  readonly scrubRate?: number
  /** Logs that belong to one topic. */
  readonly independentLogsMax: number
  /** What is verified besides; nothing by default. */
  readonly scrubbed?: ScrubbedPlaces
}

export interface EngineRetention {
  /** 0 for no limit. */
  readonly maxAgeMs: number
  /** Over all rocksdb stripes, of the files of the segment stripes, and of each log that belongs to one topic; 0 for no limit. */
  readonly maxBytes: number
  /** Limits of single topics; none by default. */
  readonly topics?: readonly TopicLimits[]
  /** Time between two rounds. */
  readonly intervalMs: number
}

export type EnginePorts = Pick<Ports, 'kv' | 'clock' | 'logger' | 'metrics' | 'crash' | 'probe'>

/** A log whose group is to be created by the composition: durable for rocksdb, ephemeral for memory, in the segments for segment. */
export interface EngineMachine extends LogDescription {
  readonly machine: StateMachine
}

/** What the engine asks of meta. */
export type EngineMeta = Pick<MetaClient, 'retain' | 'createLog' | 'removeLog' | 'logs'>
