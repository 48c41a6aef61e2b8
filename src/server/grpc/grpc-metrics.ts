// SPDX-License-Identifier: Apache-2.0
// What dashboards show of the connections between nodes.
import type { Counter, Metrics } from '#base/port/metrics'
import { REFUSAL_REASONS, type RefusalReason } from './peer-registry.ts'

export class GrpcMetrics {
  /** Connections to other nodes that were made, and attempts that failed. */
  readonly connected: Counter
  readonly failed: Counter
  /** Nodes and operators that were taken in. */
  readonly admitted: Counter
  /** Calls of those, streams included, and calls that ended with a failure. */
  readonly calls: Counter
  readonly failures: Counter
  /** Streams of frames from other nodes that are open. */
  streams = 0
  readonly #metrics: Metrics
  readonly #refused: ReadonlyMap<unknown, Counter>

  constructor(metrics: Metrics) {
    const connections = (outcome: string): Counter =>
      metrics.counter('robustmq_grpc_connections_total', 'Attempts to connect to another node, by outcome.', { outcome })
    this.#metrics = metrics
    this.connected = connections('made')
    this.failed = connections('failed')
    this.admitted = metrics.counter('robustmq_grpc_admitted_total', 'Connections of nodes and operators that were taken in.')
    this.calls = metrics.counter('robustmq_grpc_calls_total', 'Calls of nodes and operators, streams included.')
    this.failures = metrics.counter('robustmq_grpc_call_failures_total', 'Calls of nodes and operators that ended with a failure.')
    this.#refused = new Map(
      REFUSAL_REASONS.map((reason) => [
        reason,
        metrics.counter('robustmq_grpc_refused_total', 'Connections of others that were refused, by what is wrong with them.', { reason }),
      ]),
    )
    metrics.gauge('robustmq_grpc_frame_streams', 'Streams of consensus from other nodes that are open.', () => this.streams)
  }

  /** `lowest` is 0 while there is nobody. */
  declareProtocol(lowest: () => number): void {
    const help = 'Lowest version of the protocol that is spoken with another node; 0 when there is none.'
    this.#metrics.gauge('robustmq_grpc_protocol', help, lowest)
  }

  refused(reason: RefusalReason | undefined): void {
    this.#refused.get(reason)?.add(1)
  }
}
