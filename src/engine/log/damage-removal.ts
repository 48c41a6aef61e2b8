// SPDX-License-Identifier: Apache-2.0
// Removes records that can't be read, and nothing else, so that readers which are owed them can go on. A damaged run goes by itself. Around damaged entries of a log of
// type segment the chunk is cut anew from those that can be read; that also makes references again, of which nothing is lost but the index (L27).
import { must } from '#base/assert'
import type { KvOperation } from '#base/port/kv'
import type { Position } from '#contract/client/engine-client'
import { RecordCursor } from '#contract/record/record-batch'
import { damagedRuns, type EntrySurvey, partsOf, type SurveyedBatch, surveyEntries } from './chunk-survey.ts'
import type { Chunk } from './key-layout.ts'
import { ReferenceBuilder } from './reference-builder.ts'
import type { RunRemoval } from './run-removal.ts'
import type { StripeMachine, StripeStore } from './stripe-machine.ts'
import type { StripeMetrics } from './stripe-metrics.ts'
import type { Topic } from './topic.ts'

const CHUNKS_STEP = 64

export class DamageRemoval {
  readonly #machine: StripeMachine
  readonly #store: StripeStore
  readonly #removal: RunRemoval
  readonly #metrics: StripeMetrics

  constructor(machine: StripeMachine, removal: RunRemoval, metrics: StripeMetrics) {
    this.#machine = machine
    this.#store = must(machine.stored, 'only a log that is stored can be damaged')
    this.#removal = removal
    this.#metrics = metrics
  }

  /** Removes what is damaged of the chunks with positions in [from, to). Returns how many records that were, as far as it can be told. */
  async remove(from: Position, to: Position): Promise<number> {
    const { log } = this.#store
    let count = 0
    for (let at = await log.chunkBaseAt(Math.max(from, this.#machine.start)); ; ) {
      const { bound } = this.#removal
      const chunks = (await log.chunks(at, Math.min(to, bound), CHUNKS_STEP)).filter(({ end }) => end <= bound)
      for (const chunk of chunks) count += await (this.#machine.entries === undefined ? this.#removeRuns(chunk) : this.#cutAround(chunk))
      const last = chunks.at(-1)
      if (last === undefined) return count
      at = last.end
    }
  }

  async #removeRuns(chunk: Chunk): Promise<number> {
    const [part] = await damagedRuns(this.#store.log, chunk)
    return part === undefined ? 0 : await this.#removal.remove([chunk], new Set(part.topicIds))
  }

  async #cutAround(chunk: Chunk): Promise<number> {
    const { log, writer } = this.#store
    const entries = must(this.#machine.entries, 'a log of type segment has its entries')
    const survey = await surveyEntries(log, entries, chunk)
    const parts = partsOf(chunk, survey)
    if (parts.length === 0) return 0
    const operations: KvOperation[] = chunk.topicIds.map((id) => ({ key: log.keys.run(id, chunk.base), value: undefined }))
    operations.push({ key: log.keys.chunk(chunk.base), value: undefined })
    const freedBytes = chunk.bytes - this.#cut(chunk, survey, operations)
    const count = this.#note(chunk, survey)
    this.#machine.tail.evictStored(chunk.end)
    this.#metrics.retentionBytes.add(freedBytes)
    writer.add(operations, freedBytes)
    await writer.persist()
    return count
  }

  /** Adds the chunks that take the place of one: between two damaged entries there is one. Returns their bytes. */
  #cut(chunk: Chunk, { batches, damagedEntries }: EntrySurvey, operations: KvOperation[]): number {
    const builder = new ReferenceBuilder()
    let bytes = 0
    let at = 0
    for (const end of [...damagedEntries, Number.POSITIVE_INFINITY]) {
      for (let next = batches[at]; next !== undefined && next.entry < end; next = batches[++at]) this.#add(builder, chunk, next)
      if (!builder.isEmpty) bytes += builder.close(this.#store.log.keys, operations).bytes
    }
    return bytes
  }

  #add(builder: ReferenceBuilder, chunk: Chunk, { entry, batch }: SurveyedBatch): void {
    const topics = batch.topics.map((name) => this.#listed(chunk, name))
    if (topics.some((topic) => topic !== undefined)) builder.add(batch, topics, batch.basePosition + batch.recordCount, entry)
  }

  /** The topic, unless it was removed from the chunk before. */
  #listed(chunk: Chunk, name: string): Topic | undefined {
    const topic = this.#store.dictionary.byName(name)
    return topic !== undefined && chunk.topicIds.includes(topic.id) ? topic : undefined
  }

  /** Tells readers: of each topic what its reference counts and no batch has any more. Returns how many records that are. */
  #note(chunk: Chunk, survey: EntrySurvey): number {
    const parts = partsOf(chunk, { ...survey, references: new Map() })
    const from = parts[0]?.from ?? 0
    const to = parts.at(-1)?.to ?? 0
    if (from === to) return 0
    let count = 0
    for (const [id, reference] of survey.references) {
      const name = this.#store.dictionary.byId(id)?.name
      if (name === undefined) continue
      const records = reference === undefined ? to - from : reference.recordCount - countOf(survey.batches, name)
      if (records === 0) continue
      this.#store.removed.note(from, to, name, records)
      count += records
    }
    this.#metrics.retentionRecords.add(count)
    return count
  }
}

function countOf(batches: readonly SurveyedBatch[], topic: string): number {
  const cursor = new RecordCursor()
  let count = 0
  for (const { batch } of batches) {
    const place = batch.topics.indexOf(topic)
    if (place < 0) continue
    cursor.reset(batch)
    while (cursor.next()) if (cursor.topic === place) count++
  }
  return count
}
