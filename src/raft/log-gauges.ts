// SPDX-License-Identifier: Apache-2.0
// What dashboards show of the log files of a node. A store is 'durable' (metadata, and logs of type rocksdb), 'retained' (segment logs that topics share) or 'own'
// (segment logs of one topic, together).
import type { Metrics } from '#base/port/metrics'
import type { LogUsage } from './log-store.ts'

interface MeasuredLane {
  readonly name: string
  readonly usage: LogUsage | undefined
}

const STORES = ['durable', 'retained', 'own'] as const

/** `lanes` is asked at each exposition. */
export function registerLogGauges(metrics: Metrics, lanes: () => readonly MeasuredLane[]): void {
  for (const store of STORES) {
    const gauge = (name: string, help: string, of: (usage: LogUsage) => number): void => {
      const read = (): number =>
        lanes().reduce((sum, { name, usage }) => (name === store && usage !== undefined ? sum + of(usage) : sum), 0)
      metrics.gauge(`robustmq_raft_log_${name}`, help, read, { store })
    }
    gauge('files', 'Files of logs, without their indexes.', ({ files }) => files)
    gauge('bytes', 'Bytes of log files and of their indexes.', ({ bytes }) => bytes)
    gauge('index_memory_bytes', 'Bytes of memory for the places of entries. An estimate.', ({ memoryBytes }) => memoryBytes)
    gauge('index_page_hits', 'Pages of log indexes that were found in memory, since the start.', ({ pageHits }) => pageHits)
    gauge('index_page_misses', 'Pages of log indexes that were read from the disk, since the start.', ({ pageMisses }) => pageMisses)
  }
}
