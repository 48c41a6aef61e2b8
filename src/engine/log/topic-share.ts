// SPDX-License-Identifier: Apache-2.0
// How much of a chunk is of one topic: what retention counts, and what it says it has removed.
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Chunk } from './key-layout.ts'
import type { StoredLog } from './stored-log.ts'

export interface TopicShare {
  readonly records: number
  readonly bytes: number
}

/** In place of what can't be read: it may go all the same, and at least one record goes with it. */
const UNKNOWN: TopicShare = { records: 1, bytes: 0 }

/** Of each of these topics, which the chunk lists, what is in the chunk. */
export async function sharesOf(log: StoredLog, chunk: Chunk, topicIds: readonly number[]): Promise<readonly TopicShare[]> {
  try {
    return (await read(log, chunk, topicIds)).map((share) => share ?? UNKNOWN)
  } catch (error) {
    if (!isPlatformError(error, ERROR_CODES.dataDamaged)) throw error
  }
  if (topicIds.length <= 1) return topicIds.map(() => UNKNOWN)
  const shares: TopicShare[] = []
  for (const id of topicIds) shares.push(...(await sharesOf(log, chunk, [id])))
  return shares
}

async function read(log: StoredLog, { base, extent }: Chunk, topicIds: readonly number[]): Promise<readonly (TopicShare | undefined)[]> {
  const places = topicIds.map((topicId) => ({ topicId, base }))
  if (extent === undefined) return (await log.runsAt(places)).map((run) => run && { records: run.recordCount, bytes: run.bytes.length })
  return (await log.referencesAt(places)).map((reference) => reference && { records: reference.recordCount, bytes: reference.recordBytes })
}
