// SPDX-License-Identifier: Apache-2.0
// Metrics of one listener, names declared once. Names of listeners come from the configuration.
import type { Counter, Metrics } from '#base/port/metrics'

export interface ListenerMetrics {
  readonly messages: Counter
  readonly bytes: Counter
  readonly limited: Counter
}

export const createListenerMetrics = (metrics: Metrics, listener: string): ListenerMetrics =>
  Object.freeze({
    messages: metrics.counter('robustmq_listener_messages_received_total', 'PUBLISH packets of accepted clients, by listener.', {
      listener,
    }),
    bytes: metrics.counter('robustmq_listener_bytes_received_total', 'Bytes of accepted clients, by listener.', { listener }),
    limited: metrics.counter('robustmq_listener_limited_total', 'Times that a rate of its listener held a client up.', { listener }),
  })
