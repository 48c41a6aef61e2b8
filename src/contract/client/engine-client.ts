// SPDX-License-Identifier: Apache-2.0
// What the storage engine offers to brokers. In the all-in-one process these are direct calls on batches; between processes, streams of batches.
import type { RecordBatch } from '../record/record-batch.ts'

/** Identity of a log. Stripes are numbered densely from 0, independent logs after them; the number of a log that was removed is not used again. */
export type LogId = number
/** Dense, from 0, one for each record of a log. */
export type Position = number

export type StorageType = 'memory' | 'rocksdb' | 'segment'

/** 'shared': many topics in one log, a stripe. 'independent': a log of its own for one topic. */
export type StorageModel = 'shared' | 'independent'

export interface LogDescription {
  readonly id: LogId
  readonly storage: StorageType
  readonly model: StorageModel
  /** Of an independent log. */
  readonly topic?: string
}

/** 'appended' is given once the batch is committed: fsynced on a majority, and retained values stored. */
export type AppendOutcome =
  | { readonly kind: 'appended'; readonly basePosition: Position }
  /** Certainly not stored. */
  | { readonly kind: 'rejected'; readonly reason: 'busy' | 'stopping' | 'too-large' | 'removed' }
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
  /** Records that are wanted now: few more are read. As many as there are room for by default. */
  readonly recordsMax?: number
  /** Who reads, as those who look after the logs know it: they are told when it is held up by damage. */
  readonly reader?: string | undefined
}

/** For records of one topic that have a key. */
export interface KeyReadRequest {
  readonly log: LogId
  readonly topic: string
  readonly key: Buffer
  readonly from: Position
  /** As in ReadRequest. */
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
  /** All logs there are, by id. Stripes stay as they are while the process runs; independent logs come and go. */
  logs(): readonly LogDescription[]
  /** Undefined for a log that has been removed, or that there never was. Such a log may be used like one that is empty, but for appends, which are rejected as 'removed'. */
  describe(log: LogId): LogDescription | undefined
  /**
   * The log for a topic's messages. For 'shared', the default, always the same. For 'independent' the log of the topic, which is created when there is none: it is known at
   * once, and begins at position 0 for everybody; what is appended to it waits until it is. When there are too many independent logs it is the shared one.
   */
  logOf(storage: StorageType, topic: string, model?: StorageModel): LogId
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
  /**
   * Adds an interest; resolves when every publish that begins from now on is delivered, also to logs that are created later. The positions are those of each log it concerns now.
   * Counted: register twice, deregister twice.
   */
  register(filter: string): Promise<readonly LogPosition[]>
  deregister(filter: string): void
  read(request: ReadRequest): Promise<ReadResult>
  /** The records of a topic with this key, in order of position. Costs what matches, and what was appended last: that is looked through. */
  readKey(request: KeyReadRequest): Promise<ReadResult>
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
