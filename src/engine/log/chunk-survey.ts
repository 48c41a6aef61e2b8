// SPDX-License-Identifier: Apache-2.0
// Looks at everything that a chunk leads to, past every cache, and says what of it can't be read: which positions, and the records of which topics.
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Position } from '#contract/client/engine-client'
import { RecordBatch } from '#contract/record/record-batch'
import type { EntryBatches } from './entry-batches.ts'
import type { Chunk } from './key-layout.ts'
import type { Reference } from './reference.ts'
import type { StoredLog } from './stored-log.ts'

/** Records of these topics at positions [from, to) can't be read. */
export interface DamagedPart {
  readonly from: Position
  readonly to: Position
  readonly topicIds: readonly number[]
}

/** A batch that can be read, and the index of its entry. */
export interface SurveyedBatch {
  readonly entry: number
  readonly batch: RecordBatch
}

/** What a chunk of a log of type segment leads to. */
export interface EntrySurvey {
  /** Ascending. */
  readonly batches: readonly SurveyedBatch[]
  /** Entries that can't be read, ascending; those without records are among them. */
  readonly damagedEntries: readonly number[]
  /** By topic; undefined for one that can't be read. A reference that is gone is left out. */
  readonly references: ReadonlyMap<number, Reference | undefined>
}

/** What is damaged of a chunk of type rocksdb: whole runs. */
export async function damagedRuns(log: StoredLog, { base, end, topicIds }: Chunk): Promise<readonly DamagedPart[]> {
  if (await isReadable(() => log.runsAt(topicIds.map((topicId) => ({ topicId, base }))))) return []
  const damaged: number[] = []
  for (const topicId of topicIds) if (!(await isReadable(() => log.runsAt([{ topicId, base }])))) damaged.push(topicId)
  return damaged.length === 0 ? [] : [{ from: base, to: end, topicIds: damaged }]
}

/** The same of a chunk of type segment: entries, and references. */
export async function damagedEntries(log: StoredLog, entries: EntryBatches, chunk: Chunk): Promise<readonly DamagedPart[]> {
  const { base, extent, topicIds } = chunk
  if (extent === undefined) return []
  const places = topicIds.map((topicId) => ({ topicId, base }))
  const isWhole = await isReadable(() => entries.verify(extent.first, extent.first + extent.count))
  if (isWhole && (await isReadable(() => log.referencesAt(places)))) return []
  try {
    return partsOf(chunk, await surveyEntries(log, entries, chunk))
  } catch (error) {
    if (!isPlatformError(error, ERROR_CODES.dataDamaged)) throw error
    return [{ from: base, to: chunk.end, topicIds }]
  }
}

/** Reads the entries of a chunk one by one. What retention has removed meanwhile is left out. Rejects with dataDamaged when only the index of a log file hides an entry. */
export async function surveyEntries(log: StoredLog, entries: EntryBatches, { base, extent, topicIds }: Chunk): Promise<EntrySurvey> {
  const batches: SurveyedBatch[] = []
  const damagedEntries: number[] = []
  const { first, count } = extent ?? { first: 0, count: 0 }
  for (let entry = first; entry < first + count; entry++) {
    if (!(await isReadable(() => entries.verify(entry, entry + 1)))) {
      damagedEntries.push(entry)
      continue
    }
    const [content] = await entries.read([entry], 1)
    if (content instanceof RecordBatch) batches.push({ entry, batch: content })
  }
  const references = new Map<number, Reference | undefined>()
  for (const topicId of topicIds) {
    const read = (): Promise<void> =>
      log.referencesAt([{ topicId, base }]).then(([reference]) => void (reference && references.set(topicId, reference)))
    if (!(await isReadable(read))) references.set(topicId, undefined)
  }
  return { batches, damagedEntries, references }
}

/** The damage in terms of positions: what lies between the batches that can be read. */
export function partsOf(chunk: Chunk, { batches, damagedEntries, references }: EntrySurvey): readonly DamagedPart[] {
  const parts: DamagedPart[] = []
  for (let at = 0; at < damagedEntries.length; ) {
    const first = damagedEntries[at] as number
    const next = batches.find(({ entry }) => entry > first)
    const before = batches.findLast(({ entry }) => entry < first)?.batch
    const lost = new Set<number>()
    for (; at < damagedEntries.length && (damagedEntries[at] as number) < (next?.entry ?? Number.POSITIVE_INFINITY); at++)
      lost.add(damagedEntries[at] as number)
    const topicIds = [...references].flatMap(([id, reference]) => (reference?.entries.some((entry) => lost.has(entry)) ? [id] : []))
    const from = before === undefined ? chunk.base : before.basePosition + before.recordCount
    parts.push({ from, to: next?.batch.basePosition ?? chunk.end, topicIds })
  }
  const unreferred = [...references].flatMap(([id, reference]) => (reference === undefined ? [id] : []))
  if (unreferred.length > 0) parts.push({ from: chunk.base, to: chunk.end, topicIds: unreferred })
  return parts
}

async function isReadable(read: () => Promise<unknown>): Promise<boolean> {
  try {
    await read()
    return true
  } catch (error) {
    if (!isPlatformError(error, ERROR_CODES.dataDamaged)) throw error
    // The index of a log file is made again at the next start: the record behind it is no reason to give up anything.
    return error.detail['isCache'] === true
  }
}
