// SPDX-License-Identifier: Apache-2.0
// A whole entry of a segment log without the records that were removed from the index: their bytes stay in the file until it goes, and nobody may read them.
import { must } from '#base/assert'
import { type RecordBatch, RecordBatchBuilder, RecordCursor } from '#contract/record/record-batch'

export class ListedRecords {
  readonly #builder = new RecordBatchBuilder()
  readonly #cursor = new RecordCursor()

  /** The records whose topic is listed, at their positions: the batch itself when all are, undefined when none is. */
  of(batch: RecordBatch, isListed: (topic: string) => boolean): RecordBatch | undefined {
    const { topics } = batch
    let listed = 0
    for (const topic of topics) if (isListed(topic)) listed++
    if (listed === topics.length) return batch
    if (listed === 0) return undefined
    const cursor = this.#cursor
    const builder = this.#builder
    cursor.reset(batch)
    while (cursor.next()) {
      const topic = must(topics[cursor.topic], 'a record has a topic of its batch')
      if (isListed(topic)) builder.copy(batch, cursor, builder.topic(topic), batch.basePosition)
    }
    if (builder.recordCount === 0) return undefined
    const left = builder.build()
    left.stamp(batch.basePosition, batch.appendTimeMs, batch.term)
    return left
  }
}
