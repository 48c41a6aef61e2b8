// SPDX-License-Identifier: Apache-2.0
// What a session needs of the connection that serves it. All of it is synchronous: bytes are queued and leave at the end of the loop turn.
import type { RetainedMessage } from '#contract/client/meta-client'
import type { RecordBatch, RecordCursor } from '#contract/record/record-batch'

export interface Link {
  /** The client was told a Receive Maximum, and must keep to it. */
  readonly countsInbound: boolean
  /** The client's dialect has reason codes: it can be told why. */
  readonly explains: boolean
  /** There is room for messages that may be dropped. */
  readonly writable: boolean
  /** There is room for messages that can wait in the log. */
  readonly roomy: boolean
  /** Queues the current record of `cursor`. `offset` is told to the client; -1 or absent for none. False when it is larger than the client accepts: it is dropped, and counted. */
  sendRecord(
    batch: RecordBatch,
    cursor: RecordCursor,
    qos: number,
    packetId: number,
    duplicate: boolean,
    retain: boolean,
    identifiers: readonly number[],
    offset?: number,
  ): boolean
  /** The same as bytes to be sent later; undefined when too large. */
  encodeRecord(
    batch: RecordBatch,
    cursor: RecordCursor,
    qos: number,
    packetId: number,
    duplicate: boolean,
    retain: boolean,
    identifiers: readonly number[],
    offset?: number,
  ): Buffer | undefined
  encodeRetained(message: RetainedMessage, qos: number, packetId: number, identifiers: readonly number[]): Buffer | undefined
  /** Bytes of PUBACK, PUBREC, PUBREL or PUBCOMP. */
  encodeAck(type: number, packetId: number, reasonCode: number): Buffer
  /** Queues bytes that one of the encoders made. */
  sendBytes(bytes: Buffer): void
  /** Queues PUBACK, PUBREC, PUBREL or PUBCOMP. False when a dialect without reason codes cannot say what went wrong: the connection is closed instead. */
  sendAck(type: number, packetId: number, reasonCode: number): boolean
  /** The client has connected again elsewhere: says so and closes. */
  takenOver(): void
  /** The client did what it may not, or may no longer be here: says so and closes. */
  refuse(reasonCode: number): void
  /** Something the session depends on has failed: says so and closes, without acknowledging anything more. */
  fail(error: unknown): void
}
