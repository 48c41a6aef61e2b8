// SPDX-License-Identifier: Apache-2.0
// One consumer for a group of subscribers (D11): the side of the logs keeps how far the group has got, and hands each record to the broker once.
import type { RecordBatch, RecordCursor } from '../record/record-batch.ts'
import type { LogId, Position } from './engine-client.ts'

/** How far a group has got in one log. */
export interface ShareProgress {
  readonly log: LogId
  /** Everything before it has been handed out, or is not for the group. */
  readonly next: Position
  /** Handed out and not finished, ascending. */
  readonly open: readonly Position[]
}

/** The broker's side. Called synchronously; must not keep `cursor`. */
export interface ShareSink {
  /** How the group is called where it is told that it is held up. */
  readonly reader?: string
  /**
   * Hands out a record, in order of position for each log. False for want of room: then it comes again after `resume`, and so does what
   * follows in its log. Records of QoS 0 are offered once, as they come, and cannot be finished or handed back.
   */
  offer(log: LogId, batch: RecordBatch, cursor: RecordCursor): boolean
  /** Bytes of records it could take now, about. */
  appetiteBytes(): number
  /** Records [from, to) were removed by retention before they could be handed out. */
  missed(log: LogId, from: Position, to: Position): void
  failed(error: unknown): void
}

export interface ShareConsumer {
  /** The record is done with. May be called from within `offer`. */
  finish(log: LogId, position: Position): void
  /** The records are to be handed out again, in order, before anything new. Those that are finished are left out. */
  handBack(log: LogId, positions: readonly Position[]): void
  /** There is room again. */
  resume(): void
  /** In these logs, as far as the filter concerns them; in all that it concerns when none are named. Exact: as of this moment. */
  progress(logs?: Iterable<LogId>): readonly ShareProgress[]
  /** Nothing is offered any more. */
  close(): void
}

export interface ShareClient {
  /**
   * Opens the consumer of a group on the topics that match `filter`. It begins at the end of each log, but for those in `progress`, where it goes on
   * after the first `resume`; of logs that are created later it gets everything. Resolves when every publish that begins from now on is for the group.
   */
  openShare(filter: string, sink: ShareSink, progress: readonly ShareProgress[]): Promise<ShareConsumer>
}
