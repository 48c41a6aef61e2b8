// SPDX-License-Identifier: Apache-2.0
// Metrics of the broker, names declared once.
import type { Counter, Metrics } from '#base/port/metrics'
import { createOperationMetrics, type OperationGauges, type OperationMetrics } from './operation-metrics.ts'
import { Tally } from './tally.ts'

export interface BrokerMetrics extends OperationMetrics {
  readonly connectionsAccepted: Tally
  readonly connectionsRefused: Counter
  readonly messagesReceived: Tally
  readonly messagesSent: Tally
  /** Of connections of clients, all packets and whatever is no packet; without what transports add. */
  readonly bytesReceived: Tally
  readonly bytesSent: Tally
  readonly droppedQueueFull: Tally
  readonly droppedTooLarge: Tally
  readonly droppedRetention: Tally
  readonly droppedExpired: Tally
  readonly droppedOfflineAge: Tally
  readonly droppedOfflineCount: Tally
  /** Messages that were not retained. */
  readonly unretained: { readonly payload: Counter; readonly messages: Counter; readonly bytes: Counter }
  readonly malformedPackets: Counter
  readonly takeovers: Counter
}

export interface BrokerGauges extends OperationGauges {
  connections(): number
  sessions(): number
  subscriptions(): number
  sharedGroups(): number
  delayed(): number
}

export function createBrokerMetrics(metrics: Metrics, gauges: BrokerGauges): BrokerMetrics {
  const tally = (name: string, help: string): Tally => new Tally(metrics.counter(name, help))
  const dropped = (reason: string): Tally =>
    new Tally(metrics.counter('robustmq_messages_dropped_total', 'Messages that a subscriber did not get, by reason.', { reason }))
  metrics.gauge('robustmq_connections', 'Open client connections.', gauges.connections)
  metrics.gauge('robustmq_sessions_connected', 'Sessions whose client is connected.', gauges.sessions)
  metrics.gauge('robustmq_delayed_messages', 'Messages that wait for the time of their publication.', gauges.delayed)
  metrics.gauge('robustmq_subscriptions', 'Subscriptions of connected sessions.', gauges.subscriptions)
  metrics.gauge('robustmq_shared_groups', 'Shared groups.', gauges.sharedGroups)
  const unretained = (limit: string): Counter =>
    metrics.counter('robustmq_retained_refused_total', 'Messages that were not retained, by the limit that they would have exceeded.', {
      limit,
    })
  return Object.freeze({
    ...createOperationMetrics(metrics, gauges),
    connectionsAccepted: tally('robustmq_connections_accepted_total', 'Connections that were answered with success.'),
    connectionsRefused: metrics.counter('robustmq_connections_refused_total', 'Connections that were refused or never said who they are.'),
    messagesReceived: tally('robustmq_messages_received_total', 'PUBLISH packets accepted from clients.'),
    messagesSent: tally('robustmq_messages_sent_total', 'PUBLISH packets sent to clients.'),
    bytesReceived: tally('robustmq_bytes_received_total', 'Bytes received from clients.'),
    bytesSent: tally('robustmq_bytes_sent_total', 'Bytes sent to clients.'),
    droppedQueueFull: dropped('queue_full'),
    droppedTooLarge: dropped('too_large'),
    droppedRetention: dropped('retention'),
    droppedExpired: dropped('expired'),
    droppedOfflineAge: dropped('offline_age'),
    droppedOfflineCount: dropped('offline_count'),
    unretained: { payload: unretained('payload'), messages: unretained('messages'), bytes: unretained('bytes') },
    malformedPackets: metrics.counter(
      'robustmq_malformed_packets_total',
      'Connections closed because of a packet that breaks the protocol.',
    ),
    takeovers: metrics.counter('robustmq_session_takeovers_total', 'Connections closed because their client connected again.'),
  })
}
