// SPDX-License-Identifier: Apache-2.0
// What the storage engine offers to brokers. In the all-in-one process these are direct calls on batches; between processes, streams of batches.
import type { RecordBatch } from '../record/record-batch.ts'

/** Identity of a log: a stripe of the shared model, or an independent shard. */
export type LogId = number
/** Dense, from 0, one for each record of a log. */
export type Position = number

export type StorageType = 'memory' | 'rocksdb' | 'segment'

export interface LogDescription {
  readonly id: LogId
  readonly storage: StorageType
}

/** 'appended' is given once the batch is committed: fsynced on a majority, and retained values stored. */
export type AppendOutcome =
  | { readonly kind: 'appended'; readonly basePosition: Position }
  /** Certainly not stored. */
  | { readonly kind: 'rejected'; readonly reason: 'busy' | 'stopping' | 'too-large' }
  /** May or may not become committed. */
  | { readonly kind: 'unknown' }

/** The position at which a log stood when an interest took effect: records from here on are delivered. */
export interface LogPosition {
  readonly log: LogId
  readonly position: Position
}

export interface ReadRequest {
  readonly log: LogId
  readonly from: Position
  /** Topic filters; a record is returned when any of them matches. */
  readonly filters: readonly string[]
  /** About how many bytes of records to return at most. At least one record is returned when there is one. */
  readonly bytesMax: number
}

export interface ReadResult {
  /** Matching records in order of position; a batch may have gaps. */
  readonly batches: readonly RecordBatch[]
  /** Where to read on. Everything before it has been looked at. */
  readonly next: Position
  /** `next` is the end of the log as of now. */
  readonly atEnd: boolean
  /** Records between `from` and this position are gone (retention). Equal to `from` when nothing is missing. */
  readonly from: Position
  /** Matching records from there to `next` that are gone by the retention of their topics, as far as that is known. Absent for none. */
  readonly removed?: number
}

/** A broker's side of the delivery path. Called synchronously, in order of position for each log. */
export interface TailSink {
  /** A committed batch of which at least one topic matches a registered filter. */
  onCommitted(log: LogId, batch: RecordBatch): void
}

export interface EngineClient {
  /** All logs there are. Fixed while the process runs. */
  logs(): readonly LogDescription[]
  /** The log that holds a topic for a storage type. Pure: always the same for the same topic. */
  logOf(storage: StorageType, topic: string): LogId
  /**
   * Appends a batch. `done` is called exactly once, never before `append` returns. Records with a sequence that the log remembers for the same publisher are
   * not appended again, and count as appended once the first one is (D14).
   */
  append(log: LogId, batch: RecordBatch, done: (outcome: AppendOutcome) => void): void
  /** Forgets a publisher's sequence in `log`, or in whichever logs know it. Resolves once that is committed. False when no log knew it. */
  release(publisher: number, sequence: number, log: LogId | undefined): Promise<boolean>
  /** Forgets all sequences of publishers whose sessions have ended. */
  forget(publishers: readonly number[]): Promise<void>
  /** Sequences that the logs remember for a publisher, not yet released. */
  unreleased(publisher: number): Promise<readonly { readonly sequence: number; readonly log: LogId }[]>
  /** The broker's end of the tail. One for each client. */
  attach(sink: TailSink): void
  /** Adds an interest; resolves when every publish that begins from now on is delivered. The positions are those of each log it concerns. Counted: register twice, deregister twice. */
  register(filter: string): Promise<readonly LogPosition[]>
  deregister(filter: string): void
  read(request: ReadRequest): Promise<ReadResult>
  /** The records at exactly these positions (ascending), whatever their topics: for what is in flight. Those that are gone are left out. */
  fetch(log: LogId, positions: readonly Position[]): Promise<readonly RecordBatch[]>
  /**
   * Where to begin to read in order to miss no record appended at or after `timeMs` (ms since 1970). Up to a tenth of a second of earlier records may
   * come first: stored ones have a time only together with their neighbours. The end of the log when all records are older.
   */
  positionAt(log: LogId, timeMs: number): Promise<Position>
  /** First position kept and end of a log. */
  extent(log: LogId): { readonly first: Position; readonly end: Position }
  /** Resolves when the retained values of all records of `log` before `position` are in meta. */
  retainedUpTo(log: LogId, position: Position): Promise<void>
}
