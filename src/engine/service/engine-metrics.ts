// SPDX-License-Identifier: Apache-2.0
// The names of the engine's metrics, declared once.
import type { Metrics } from '#base/port/metrics'
import type { StorageType } from '#contract/client/engine-client'
import type { StripeMetrics } from '../log/stripe-metrics.ts'

/** What is read at each exposition. */
export interface EngineGauges {
  tailBytes(storage: StorageType): number
  backlogBytes(): number
  storedBytes(): number
  topics(): number
  unreleasedSequences(storage: StorageType): number
  interests(): number
}

export function createStripeMetrics(metrics: Metrics, storage: StorageType): StripeMetrics {
  const labels = { storage }
  const plan = (name: string) =>
    metrics.counter('robustmq_engine_read_plans_total', 'Ways that reads of a log were served.', { ...labels, plan: name })
  return {
    appendedRecords: metrics.counter('robustmq_engine_appended_records_total', 'Records committed and applied.', labels),
    appendedBytes: metrics.counter('robustmq_engine_appended_bytes_total', 'Bytes of batches committed and applied.', labels),
    duplicates: metrics.counter('robustmq_engine_duplicates_total', 'Records not appended again because their sequence was known.', labels),
    plans: { nothing: plan('nothing'), topics: plan('topics'), chunks: plan('chunks'), tail: plan('tail') },
    retentionRecords: metrics.counter('robustmq_engine_retention_records_total', 'Records removed by retention.', labels),
    retentionBytes: metrics.counter('robustmq_engine_retention_bytes_total', 'Bytes removed by retention.', labels),
  }
}

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

export function registerGauges(metrics: Metrics, gauges: EngineGauges): void {
  for (const storage of ['memory', 'rocksdb'] as const) {
    const labels = { storage }
    metrics.gauge('robustmq_engine_tail_bytes', 'Bytes of recent batches in memory.', () => gauges.tailBytes(storage), labels)
    metrics.gauge(
      'robustmq_engine_unreleased_sequences',
      'Sequences remembered until they are released.',
      () => gauges.unreleasedSequences(storage),
      labels,
    )
  }
  metrics.gauge('robustmq_engine_backlog_bytes', 'Bytes of applied batches not yet in the store.', () => gauges.backlogBytes())
  metrics.gauge('robustmq_engine_stored_bytes', 'Bytes of records in the store, before its compression.', () => gauges.storedBytes())
  metrics.gauge('robustmq_engine_topics', 'Topics with stored records.', () => gauges.topics())
  metrics.gauge('robustmq_engine_interests', 'Different filters registered.', () => gauges.interests())
}
