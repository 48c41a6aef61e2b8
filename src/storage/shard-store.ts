// SPDX-License-Identifier: Apache-2.0
// The shard abstraction. A shard is an ordered sequence of records with a name: an MQTT topic, a Kafka partition, an AMQP queue.
// Shards live in logs, many in one or each in its own; every backend offers its logs through this port.
//
// What a backend must give (test/suite/shard-store.ts checks it):
//   - Order. A shard is in one log. Positions of a log are dense, from 0, given in the order of the appends, and never given twice.
//   - Durability. An append is answered 'appended' once the batch can't be lost any more, as far as the storage type promises anything; 'rejected' only when it is
//     certainly not stored; else 'unknown'. The answer comes once, and never before `append` has returned. What is in `extent` and `read` is committed.
//   - The tail. Every committed batch with a topic that is registered is handed to the sink, in order, before its append is answered. Between two reads at the end and
//     the sink nothing is lost: `atEnd` is true only as of the turn in which the read resolves.
//   - Logs that come and go. The log of a shard of its own is in `logs` and `describe` from the moment in which `logOf` has named it; it begins at 0, and whoever registered a matching filter
//     before is handed all of it. One that has been removed reads as if it were empty, rejects appends as 'removed', and its number is not used again.
//   - Sequences. A record whose (publisher, sequence) is known is not stored again until it is released. Records and sequences become durable together (D14).
//   - Bytes. Batches are stored as they come: only base position, append time and term are stamped. Those from outside are verified by their CRC before they are handed on.
//   - Honesty. Damage rejects with dataDamaged (E6), an unreachable store with one of the codes that may be retried. What retention has removed shows in `from`.
import type {
  AppendOutcome,
  KeyReadRequest,
  LogDescription,
  LogId,
  LogPosition,
  Position,
  ReadRequest,
  ReadResult,
  StorageModel,
  StorageType,
  TailSink,
} from '#contract/client/engine-client'
import type { RecordBatch } from '#contract/record/record-batch'

/** What a backend remembers of publishers, so that a message that comes again is not stored again (D14). */
export interface ShardSequences {
  release(publisher: number, sequence: number, log: LogId | undefined): Promise<boolean>
  forget(publishers: readonly number[]): Promise<void>
  unreleased(publisher: number): Promise<readonly { readonly sequence: number; readonly log: LogId }[]>
}

/** The contracts of the methods are those of EngineClient, which satisfies this port as it is. */
export interface ShardStore extends ShardSequences {
  /** All logs there are, by id. They may come and go. */
  logs(): readonly LogDescription[]
  describe(log: LogId): LogDescription | undefined
  /** The log that holds a shard. */
  logOf(storage: StorageType, shard: string, model?: StorageModel): LogId
  append(log: LogId, batch: RecordBatch, done: (outcome: AppendOutcome) => void): void
  /** By position and topic: a page of what matches. */
  read(request: ReadRequest): Promise<ReadResult>
  /** By key, among the records of a shard. */
  readKey(request: KeyReadRequest): Promise<ReadResult>
  /** By position alone. */
  fetch(log: LogId, positions: readonly Position[]): Promise<readonly RecordBatch[]>
  /** By time. */
  positionAt(log: LogId, timeMs: number): Promise<Position>
  extent(log: LogId): { readonly first: Position; readonly end: Position }
  attach(sink: TailSink): void
  register(filter: string): Promise<readonly LogPosition[]>
  deregister(filter: string): void
  /** A backend without a retained view of its own resolves at once. */
  retainedUpTo(log: LogId, position: Position): Promise<void>
}
