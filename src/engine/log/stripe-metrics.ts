// SPDX-License-Identifier: Apache-2.0
// What the logs of one storage type count. The names are declared in service/engine-metrics.ts.
import type { Counter, Histogram } from '#base/port/metrics'
import type { PlanCounters } from './catch-up.ts'

export interface StripeMetrics {
  readonly appendedRecords: Counter
  readonly appendedBytes: Counter
  /** Of each batch: from its proposal to its commit, and what is in it. */
  readonly appendSeconds: Histogram
  readonly batchRecords: Histogram
  readonly batchBytes: Histogram
  /** Records that were not appended because their sequence was known. */
  readonly duplicates: Counter
  readonly plans: PlanCounters
  readonly retentionRecords: Counter
  readonly retentionBytes: Counter
}
