// SPDX-License-Identifier: Apache-2.0
// The shard abstraction. A shard is an ordered sequence of records with a name: an MQTT topic, a Kafka partition, an AMQP queue.
// Shards live in logs, many in one or each in its own; every backend offers its logs through this port.
import type {
  AppendOutcome,
  LogDescription,
  LogId,
  LogPosition,
  Position,
  ReadRequest,
  ReadResult,
  StorageType,
  TailSink,
} from '#contract/client/engine-client'
import type { RecordBatch } from '#contract/record/record-batch'

/** The contracts of the methods are those of EngineClient, which satisfies this port as it is. */
export interface ShardStore {
  logs(): readonly LogDescription[]
  /** The log that holds a shard. Pure. */
  logOf(storage: StorageType, shard: string): LogId
  append(log: LogId, batch: RecordBatch, done: (outcome: AppendOutcome) => void): void
  read(request: ReadRequest): Promise<ReadResult>
  fetch(log: LogId, positions: readonly Position[]): Promise<readonly RecordBatch[]>
  positionAt(log: LogId, timeMs: number): Promise<Position>
  extent(log: LogId): { readonly first: Position; readonly end: Position }
  attach(sink: TailSink): void
  register(filter: string): Promise<readonly LogPosition[]>
  deregister(filter: string): void
  retainedUpTo(log: LogId, position: Position): Promise<void>
  release(publisher: number, sequence: number, log: LogId | undefined): Promise<boolean>
  forget(publishers: readonly number[]): Promise<void>
  unreleased(publisher: number): Promise<readonly { readonly sequence: number; readonly log: LogId }[]>
}
