// SPDX-License-Identifier: Apache-2.0
// Metrics of the broker, names declared once.
import type { Counter, Metrics } from '#base/port/metrics'

export interface BrokerMetrics {
  readonly connectionsAccepted: Counter
  readonly connectionsRefused: Counter
  readonly messagesReceived: Counter
  readonly messagesSent: Counter
  readonly droppedQueueFull: Counter
  readonly droppedTooLarge: Counter
  readonly droppedRetention: Counter
  readonly malformedPackets: Counter
  readonly takeovers: Counter
}

export interface BrokerGauges {
  connections(): number
  sessions(): number
  subscriptions(): number
}

export function createBrokerMetrics(metrics: Metrics, gauges: BrokerGauges): BrokerMetrics {
  const dropped = (reason: string): Counter =>
    metrics.counter('robustmq_messages_dropped_total', 'Messages that a subscriber did not get, by reason.', { reason })
  metrics.gauge('robustmq_connections', 'Open client connections.', gauges.connections)
  metrics.gauge('robustmq_sessions_connected', 'Sessions whose client is connected.', gauges.sessions)
  metrics.gauge('robustmq_subscriptions', 'Subscriptions of connected sessions.', gauges.subscriptions)
  return Object.freeze({
    connectionsAccepted: metrics.counter('robustmq_connections_accepted_total', 'Connections that were answered with success.'),
    connectionsRefused: metrics.counter('robustmq_connections_refused_total', 'Connections that were refused or never said who they are.'),
    messagesReceived: metrics.counter('robustmq_messages_received_total', 'PUBLISH packets accepted from clients.'),
    messagesSent: metrics.counter('robustmq_messages_sent_total', 'PUBLISH packets sent to clients.'),
    droppedQueueFull: dropped('queue_full'),
    droppedTooLarge: dropped('too_large'),
    droppedRetention: dropped('retention'),
    malformedPackets: metrics.counter(
      'robustmq_malformed_packets_total',
      'Connections closed because of a packet that breaks the protocol.',
    ),
    takeovers: metrics.counter('robustmq_session_takeovers_total', 'Connections closed because their client connected again.'),
  })
}
