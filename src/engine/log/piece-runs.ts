// SPDX-License-Identifier: Apache-2.0
// The records of single topics out of the entries of a segment log, without the rest of those entries: pieces are read, verified against the sum in their
// reference, and joined to the run that a log of type rocksdb would have stored.
import { must } from '#base/assert'
import { crc32c } from '#base/crc32c'
import type { Position } from '#contract/client/engine-client'
import { type RecordBatch, RecordBatchBuilder } from '#contract/record/record-batch'
import type { EntryBatches } from './entry-batches.ts'
import { damaged } from './key-layout.ts'
import { keySum, type Piece, type Pieces, type Reference } from './reference.ts'
import type { StoredLog } from './stored-log.ts'
import type { Topic } from './topic.ts'

/** The records of a topic in one chunk. */
export interface TopicPart {
  readonly topic: Topic
  readonly reference: Reference
}

/** Batches with gaps that begin at the base of their chunk, in the order of the parts. */
export interface PartRuns {
  readonly base: Position
  readonly runs: readonly RecordBatch[]
}

export class PieceRuns {
  readonly #log: StoredLog
  readonly #batches: EntryBatches
  /** Entries before it may be gone. */
  readonly #neededFrom: () => number
  readonly #builder = new RecordBatchBuilder()

  constructor(log: StoredLog, batches: EntryBatches, neededFrom: () => number) {
    this.#log = log
    this.#batches = batches
    this.#neededFrom = neededFrom
  }

  /** The runs of parts that have pieces, chunk by chunk. Parts that retention has removed meanwhile are left out. Rejects with dataDamaged. */
  async read(parts: readonly TopicPart[]): Promise<readonly PartRuns[]> {
    let held = parts
    for (;;) {
      const bytes = await this.#bytesOf(held)
      if (bytes !== undefined) return this.#join(held, bytes)
      const left = held.filter(({ reference }) => (reference.entries[0] as number) >= this.#neededFrom())
      if (left.length === held.length)
        throw damaged(`log ${this.#log.log}: entries of chunk ${held[0]?.reference.base} or of one after it are missing`)
      held = left
    }
  }

  /** The bytes of all pieces, part by part; undefined when entries are not there any more. */
  async #bytesOf(parts: readonly TopicPart[]): Promise<readonly Buffer[] | undefined> {
    const pieces: Piece[] = []
    let ascending = true
    for (const { reference } of parts) {
      ascending &&= pieces.length === 0 || (reference.entries[0] as number) > (pieces.at(-1) as Piece).index
      for (const piece of piecesOf(reference).list) pieces.push(piece)
    }
    if (pieces.length === 0) return []
    if (ascending) return await this.#batches.readPieces(pieces)
    const order = pieces.map((_, at) => at).sort((a, b) => compare(pieces[a] as Piece, pieces[b] as Piece))
    const found = await this.#batches.readPieces(order.map((at) => pieces[at] as Piece))
    if (found === undefined) return undefined
    const bytes: Buffer[] = []
    order.forEach((at, place) => {
      bytes[at] = found[place] as Buffer
    })
    return bytes
  }

  #join(parts: readonly TopicPart[], bytes: readonly Buffer[]): readonly PartRuns[] {
    const joined: { readonly base: Position; readonly runs: RecordBatch[] }[] = []
    let at = 0
    for (const part of parts) {
      const { base } = part.reference
      const run = this.#run(part, bytes, at)
      at += piecesOf(part.reference).list.length
      const last = joined.at(-1)
      if (last?.base === base) last.runs.push(run)
      else joined.push({ base, runs: [run] })
    }
    return joined
  }

  /** The run of a part, whose pieces begin at `from`. */
  #run({ topic, reference }: TopicPart, bytes: readonly Buffer[], from: number): RecordBatch {
    const { base, recordCount } = reference
    const { list, sum, appendTimeMs, term } = piecesOf(reference)
    let found = keySum(this.#log.keys.run(topic.id, base))
    for (let at = 0; at < list.length; at++) found = crc32c(bytes[from + at] as Buffer, found)
    if (found !== sum)
      throw damaged(`log ${this.#log.log}: the records of topic ${topic.name} in chunk ${base} do not match their checksum`)
    const builder = this.#builder
    const index = builder.topic(topic.name)
    for (let at = 0; at < list.length; at++) {
      const piece = bytes[from + at] as Buffer
      builder.copySpan(piece, 0, piece.length, index, (list[at] as Piece).base - base)
    }
    if (builder.recordCount !== recordCount)
      throw damaged(`log ${this.#log.log}: chunk ${base} has another number of records of ${topic.name}`)
    const run = builder.build()
    run.stamp(base, appendTimeMs, term)
    return run
  }
}

const piecesOf = ({ pieces }: Reference): Pieces => must(pieces, 'only what is referred to by pieces is read by them')

const compare = (a: Piece, b: Piece): number => a.index - b.index || a.offset - b.offset
