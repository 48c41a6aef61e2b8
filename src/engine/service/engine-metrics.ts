// SPDX-License-Identifier: Apache-2.0
// The names of the engine's metrics, declared once.
import type { Counter, Metrics } from '#base/port/metrics'
import type { StorageType } from '#contract/client/engine-client'
import type { ScrubberMetrics } from '../log/scrubber.ts'
import type { StripeMetrics } from '../log/stripe-metrics.ts'

const DURATION_BUCKETS_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5]
const COUNT_BUCKETS = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096]
const SIZE_BUCKETS_BYTES = [256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304]

/** What is read at each exposition. */
export interface EngineGauges {
  tailBytes(storage: StorageType): number
  backlogBytes(): number
  storedBytes(storage: StorageType): number
  topics(): number
  unreleasedSequences(storage: StorageType): number
  interests(): number
  independentLogs(storage: StorageType): number
}

export function createStripeMetrics(metrics: Metrics, storage: StorageType): StripeMetrics {
  const labels = { storage }
  const plan = (name: string) =>
    metrics.counter('robustmq_engine_read_plans_total', 'Ways that reads of a log were served.', { ...labels, plan: name })
  return {
    appendedRecords: metrics.counter('robustmq_engine_appended_records_total', 'Records committed and applied.', labels),
    appendedBytes: metrics.counter('robustmq_engine_appended_bytes_total', 'Bytes of batches committed and applied.', labels),
    appendSeconds: metrics.histogram(
      'robustmq_engine_append_duration_seconds',
      'Time from the proposal of a batch to its commit.',
      DURATION_BUCKETS_SECONDS,
      labels,
    ),
    batchRecords: metrics.histogram('robustmq_engine_batch_records', 'Records of a batch.', COUNT_BUCKETS, labels),
    batchBytes: metrics.histogram('robustmq_engine_batch_bytes', 'Bytes of a batch.', SIZE_BUCKETS_BYTES, labels),
    duplicates: metrics.counter('robustmq_engine_duplicates_total', 'Records not appended again because their sequence was known.', labels),
    plans: { nothing: plan('nothing'), topics: plan('topics'), chunks: plan('chunks'), tail: plan('tail') },
    retentionRecords: metrics.counter('robustmq_engine_retention_records_total', 'Records removed by retention.', labels),
    retentionBytes: metrics.counter('robustmq_engine_retention_bytes_total', 'Bytes removed by retention.', labels),
  }
}

export const createRefusalCounter = (metrics: Metrics): Counter =>
  metrics.counter(
    'robustmq_engine_independent_logs_refused_total',
    'Times that a topic was to have a log of its own and was given a shared one, because there are too many.',
  )

/** Called for each batch that leaves memory: lost for a memory log, stored for the others. */
export function createEvictionCounter(metrics: Metrics, storage: StorageType): (sizeBytes: number) => void {
  const batches = metrics.counter('robustmq_engine_evicted_batches_total', 'Batches dropped from memory to stay within its bound.', {
    storage,
  })
  const bytes = metrics.counter('robustmq_engine_evicted_bytes_total', 'Bytes dropped from memory to stay within its bound.', { storage })
  return (sizeBytes) => {
    batches.add(1)
    bytes.add(sizeBytes)
  }
}

export const createScrubberMetrics = (metrics: Metrics): ScrubberMetrics => ({
  bytes: metrics.counter('robustmq_engine_scrubbed_bytes_total', 'Bytes of stored records verified in the background.'),
  rounds: metrics.counter('robustmq_engine_scrub_rounds_total', 'Times that all stored records have been verified.'),
})

/** What is known to be damaged. */
export interface DamageGauges {
  ranges(): number
  places(): number
  blocked(): number
}

export function registerDamageGauges(metrics: Metrics, gauges: DamageGauges): void {
  metrics.gauge('robustmq_engine_damaged_ranges', 'Ranges of stored records found damaged, which are not served.', () => gauges.ranges())
  metrics.gauge('robustmq_engine_damaged_places', 'Places of log files and stored values found damaged.', () => gauges.places())
  metrics.gauge('robustmq_engine_blocked_readers', 'Sessions and shared groups that wait for a damaged record to be removed.', () =>
    gauges.blocked(),
  )
}

/** What it takes to find records, and what is found in memory. */
export interface IndexGauges {
  indexBytes(storage: StorageType): number
  batchHits(): number
  batchMisses(): number
}

export function registerIndexGauges(metrics: Metrics, gauges: IndexGauges): void {
  for (const storage of ['rocksdb', 'segment'] as const) {
    const help = 'Bytes in the store by which records are found, as of the last round of verification.'
    metrics.gauge('robustmq_engine_index_bytes', help, () => gauges.indexBytes(storage), { storage })
  }
  metrics.gauge('robustmq_engine_entry_hits', 'Entries of segment logs that readers found in memory, since the start.', () =>
    gauges.batchHits(),
  )
  metrics.gauge('robustmq_engine_entry_misses', 'Entries of segment logs that were read for readers, since the start.', () =>
    gauges.batchMisses(),
  )
}

export function registerGauges(metrics: Metrics, gauges: EngineGauges): void {
  for (const storage of ['memory', 'rocksdb', 'segment'] as const) {
    const labels = { storage }
    metrics.gauge('robustmq_engine_tail_bytes', 'Bytes of recent batches in memory.', () => gauges.tailBytes(storage), labels)
    metrics.gauge(
      'robustmq_engine_unreleased_sequences',
      'Sequences remembered until they are released.',
      () => gauges.unreleasedSequences(storage),
      labels,
    )
    metrics.gauge('robustmq_engine_independent_logs', 'Logs that belong to one topic each.', () => gauges.independentLogs(storage), labels)
  }
  metrics.gauge('robustmq_engine_backlog_bytes', 'Bytes of applied batches not yet in the store.', () => gauges.backlogBytes())
  for (const storage of ['rocksdb', 'segment'] as const)
    metrics.gauge('robustmq_engine_stored_bytes', 'Bytes of records kept, before compression.', () => gauges.storedBytes(storage), {
      storage,
    })
  metrics.gauge('robustmq_engine_topics', 'Topics with stored records.', () => gauges.topics())
  metrics.gauge('robustmq_engine_interests', 'Different filters registered.', () => gauges.interests())
}
