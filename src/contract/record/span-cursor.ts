// SPDX-License-Identifier: Apache-2.0
// Steps over the records of a batch by spans: neighbouring records of one topic. Looks at nothing but length and topic of a record.
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { BATCH_HEADER_BYTES, RECORD_HEADER_BYTES, type RecordBatch } from './record-batch.ts'

/** Where the topic is in a record. */
const TOPIC_AT = 4

/** Its fields describe the current span. Reused across batches by `reset`. */
export class SpanCursor {
  #bytes: Buffer = EMPTY
  #recordsEnd = 0
  /** Start of the first record in the batch's bytes. */
  start = 0
  /** End of the last. */
  end = 0
  /** Index into the batch's topics. */
  topic = 0
  recordCount = 0

  reset(batch: RecordBatch): void {
    this.#bytes = batch.bytes
    this.#recordsEnd = batch.recordsEnd
    this.end = BATCH_HEADER_BYTES
  }

  /** Moves to the next span; false at the end. Throws dataDamaged on a length that cannot be. */
  next(): boolean {
    const bytes = this.#bytes
    const recordsEnd = this.#recordsEnd
    let at = this.end
    if (at >= recordsEnd) return false
    const topic = bytes.readUInt16BE(at + TOPIC_AT)
    let count = 0
    this.start = at
    do {
      const length = bytes.readUInt32BE(at)
      if (length < RECORD_HEADER_BYTES || at + length > recordsEnd)
        throw new PlatformError(ERROR_CODES.dataDamaged, 'record batch: a record runs past the end of its batch')
      at += length
      count++
    } while (at < recordsEnd && bytes.readUInt16BE(at + TOPIC_AT) === topic)
    this.end = at
    this.topic = topic
    this.recordCount = count
    return true
  }
}

const EMPTY = Buffer.alloc(0)
