// SPDX-License-Identifier: Apache-2.0
// Which records may be gone: by the limits of retention, by the removal of a topic, and from memory by the bound of its ring. Sizes are judged with estimates that
// are too high, and times with the moment of sending, which is not after that of the append: what is refused here had no reason to go.
import { matches } from '#base/topic-filter'
import type { LogId, StorageType } from '#contract/client/engine-client'
import type { DrawnTopicLimits, EngineSettings } from '../engine-configuration.ts'
import type { SentRecord } from '../sent-record.ts'

/** Records of a stored chunk may count as old as its first: the span of a chunk. */
export const CHUNK_SPAN_MS = 100
/** Files that are partly filled, their headers, and entries without records. */
const FILES_OVERHEAD_BYTES = 16 * 1024

/** What the rules must know of a log. */
export interface JudgedLog {
  readonly log: LogId
  readonly storage: StorageType
  /** Of a log that belongs to one. */
  readonly topic: string | undefined
  readonly epoch: number
  /** An estimate, rather too high, of what was sent. */
  readonly bytesSent: number
  /** The same, since a record, with what may share its chunk. */
  bytesSince(first: SentRecord, topic?: string): number
}

/** The removal of a topic from a log. 'doubtful': it has ended without an answer, and may have done some of its work. */
export interface Removal {
  readonly beganAtMs: number
  /** Infinite while it is under way. */
  endedAtMs: number
  outcome: 'under way' | 'done' | 'nothing' | 'doubtful'
}

export class RemovalRules {
  readonly #settings: EngineSettings
  readonly #hasRetained: boolean
  readonly #checkers: JudgedLog[] = []
  /** By log and topic, in the order of their beginnings. */
  readonly #removals = new Map<string, Removal[]>()
  /** Records that were found to have a reason to be gone: they keep it. */
  readonly #excused = new Set<SentRecord>()

  /** `hasRetained`: a removal leaves what shares a chunk with retained records that meta lacks. */
  constructor(settings: EngineSettings, hasRetained: boolean) {
    this.#settings = settings
    this.#hasRetained = hasRetained
  }

  join(checker: JudgedLog): void {
    this.#checkers.push(checker)
  }

  /** Records may be gone from the middle of a log of this type, also those that nobody has seen. */
  leavesGaps(storage: StorageType): boolean {
    return storage === 'memory' || this.#settings.topics.length > 0 || this.#removals.size > 0
  }

  /** A topic begins to be removed from a log. */
  removalBegins(log: JudgedLog, topic: string, nowMs: number): Removal {
    const removal: Removal = { beganAtMs: nowMs, endedAtMs: Number.POSITIVE_INFINITY, outcome: 'under way' }
    const key = keyOf(log, topic)
    const known = this.#removals.get(key)
    if (known === undefined) this.#removals.set(key, [removal])
    else known.push(removal)
    return removal
  }

  removalEnds(removal: Removal, nowMs: number, outcome: 'done' | 'nothing' | 'doubtful'): void {
    removal.endedAtMs = nowMs
    removal.outcome = outcome
  }

  /** The record was acknowledged before a removal of its topic that was complete before `sinceMs`: nobody who has asked since may see it. */
  isRemoved(log: JudgedLog, record: SentRecord, sinceMs: number): boolean {
    const { acknowledgedAtMs } = record
    if (acknowledgedAtMs === undefined || this.#hasRetained) return false
    const removals = this.#removals.get(keyOf(log, record.content.topic)) ?? []
    return removals.some(({ outcome, beganAtMs, endedAtMs }) => outcome === 'done' && endedAtMs <= sinceMs && acknowledgedAtMs < beganAtMs)
  }

  /** Whether there is a reason for which a record is gone by now. */
  excuses(log: JudgedLog, record: SentRecord, nowMs: number): boolean {
    if (this.#excused.has(record)) return true
    const excused = log.storage === 'memory' ? this.#isEvicted(log) : this.#isRetired(log, record, nowMs)
    if (excused) this.#excused.add(record)
    return excused
  }

  #isEvicted(log: JudgedLog): boolean {
    const together = this.#checkers.filter(({ storage, epoch }) => storage === 'memory' && epoch === log.epoch)
    return together.reduce((sum, checker) => sum + checker.bytesSent, 0) > this.#settings.memoryBytes
  }

  #isRetired(log: JudgedLog, record: SentRecord, nowMs: number): boolean {
    const { maxAgeMs, topics } = this.#settings
    const { topic } = record.content
    const isOlderThan = (limitMs: number): boolean => limitMs > 0 && nowMs - record.sentAtMs >= limitMs - CHUNK_SPAN_MS
    if (isOlderThan(maxAgeMs) || this.#isExcess(log, record)) return true
    const limit = topics.find(({ filter }: DrawnTopicLimits) => matches(filter, topic))
    if (limit !== undefined && (isOlderThan(limit.maxAgeMs) || (limit.maxBytes > 0 && log.bytesSince(record, topic) > limit.maxBytes)))
      return true
    const removals = this.#removals.get(keyOf(log, topic)) ?? []
    return removals.some(({ outcome, endedAtMs }) => outcome !== 'nothing' && record.sentAtMs <= endedAtMs)
  }

  /** What was sent from the record on is more than may be kept. */
  #isExcess(log: JudgedLog, record: SentRecord): boolean {
    const { maxBytes, stripes, segmentBytes, topics } = this.#settings
    // A log that belongs to one topic has the limits of the topic, or those of the cluster for itself.
    const own = log.topic === undefined ? undefined : topics.find(({ filter }) => matches(filter, log.topic ?? ''))
    const limit = own === undefined || own.maxBytes === 0 ? maxBytes : own.maxBytes
    if (limit === 0) return false
    if (log.storage === 'rocksdb') return log.bytesSince(record) > (log.topic === undefined ? Math.ceil(limit / stripes) : limit)
    const together = this.#checkers.filter(({ storage, topic }) => storage === 'segment' && topic === undefined)
    let bytes = 2 * segmentBytes + FILES_OVERHEAD_BYTES
    for (const checker of log.topic === undefined ? together : [log]) bytes += checker.bytesSince(record)
    return bytes > limit
  }
}

const keyOf = (log: JudgedLog, topic: string): string => `${log.log} ${topic}`
