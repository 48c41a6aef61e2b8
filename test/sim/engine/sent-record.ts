// SPDX-License-Identifier: Apache-2.0
// One record of the workload, and all that its sender knows of what became of it.
import { assert } from '#base/assert'
import type { Position } from '#contract/client/engine-client'
import { ATTRIBUTE, type RecordBatch, type RecordBatchBuilder, type RecordCursor } from '#contract/record/record-batch'

const ID_BYTES = 4

export interface RecordContent {
  readonly topic: string
  readonly qos: number
  readonly retain: boolean
  readonly publisher: number
  /** -1 for none. */
  readonly sequence: number
  /** Undefined for none. */
  readonly key: Buffer<ArrayBuffer> | undefined
  readonly payload: Buffer
}

export class SentRecord {
  /** Unique in the run: by it a record is known wherever it is found. It travels in the headers, since a payload may be empty. */
  readonly id: number
  readonly content: RecordContent
  /** Whose order must be kept: records of one producer have ascending ids. */
  readonly producer: string
  readonly sentAtMs: number
  /** Highest position that was acknowledged in its log when it was first sent. */
  readonly bound: Position
  /** Attempts that were made. */
  attempts = 0
  /** Attempts that are under way. */
  open = 0
  /** An attempt has ended without an answer, or with one that says nothing. */
  doubtful = false
  acknowledgedAtMs: number | undefined
  /** Where it was acknowledged, or found. */
  position: Position | undefined

  constructor(id: number, producer: string, content: RecordContent, sentAtMs: number, bound: Position) {
    this.id = id
    this.producer = producer
    this.content = content
    this.sentAtMs = sentAtMs
    this.bound = bound
  }

  get acknowledged(): boolean {
    return this.acknowledgedAtMs !== undefined
  }

  /** False when every attempt was refused: then it must not be stored. */
  get mayExist(): boolean {
    return this.acknowledged || this.doubtful || this.open > 0
  }

  /** At least what it takes in a store, a memory tail or a file, with its share of everything around it. */
  get bytesHigh(): number {
    return this.content.payload.length + 3 * this.content.topic.length + 500
  }

  /** Undefined when a record that was read is this one, else what differs. */
  difference(batch: RecordBatch, cursor: RecordCursor): string | undefined {
    const { topic, qos, retain, publisher, sequence, key, payload } = this.content
    if (batch.topics[cursor.topic] !== topic) return `its topic is ${batch.topics[cursor.topic]}, and was ${topic}`
    if (cursor.qos !== qos || cursor.retain !== retain) return 'its attributes are others'
    if (cursor.publisher !== publisher || cursor.sequence !== sequence) return 'its publisher or sequence is another'
    const hasKey = (cursor.attributes & ATTRIBUTE.key) !== 0
    if (hasKey !== (key !== undefined) || key?.equals(batch.bytes.subarray(cursor.keyStart, cursor.keyEnd)) === false)
      return 'its key is another'
    return payload.equals(batch.bytes.subarray(cursor.payloadStart, cursor.end)) ? undefined : 'its payload is another'
  }

  toString(): string {
    const { topic, sequence } = this.content
    const how = this.acknowledged ? 'acknowledged' : this.mayExist ? 'of unknown outcome' : 'refused'
    return `record ${this.id} of ${this.producer} (${topic}, ${sequence < 0 ? 'no sequence' : `sequence ${sequence}`}, sent at ${this.sentAtMs.toFixed(3)}, ${how})`
  }
}

export const idOf = (batch: RecordBatch, cursor: RecordCursor): number =>
  cursor.headersEnd - cursor.headersStart === ID_BYTES ? batch.bytes.readUInt32BE(cursor.headersStart) : -1

/** All in one batch, in this order. */
export function encodeRecords(builder: RecordBatchBuilder, records: readonly SentRecord[]): RecordBatch {
  assert(builder.recordCount === 0, 'a builder is empty between batches')
  for (const { id, content } of records) {
    const { topic, qos, retain, publisher, sequence, key, payload } = content
    const headers = Buffer.alloc(ID_BYTES)
    headers.writeUInt32BE(id)
    const optional = ATTRIBUTE.headers | (sequence < 0 ? 0 : ATTRIBUTE.sequence) | (key === undefined ? 0 : ATTRIBUTE.key)
    const attributes = qos | (retain ? ATTRIBUTE.retain : 0) | optional
    const at = builder.recordCount
    builder.append(builder.topic(topic), attributes, publisher, 0, sequence, headers, payload, 0, payload.length, at, key)
  }
  return builder.build()
}
