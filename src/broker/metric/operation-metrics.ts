// SPDX-License-Identifier: Apache-2.0
// Metrics of how connections end and of limits that were reached, names declared once.
import type { Counter, Metrics } from '#base/port/metrics'

/** Why a connection with a session ended. 'lost': without a word. 'limit': the client went beyond what it may have. */
export const DISCONNECT_CAUSES = Object.freeze([
  'client',
  'lost',
  'keep_alive',
  'taken_over',
  'shutdown',
  'protocol',
  'denied',
  'limit',
  'stalled',
  'failure',
] as const)

export type DisconnectCause = (typeof DISCONNECT_CAUSES)[number]

/** Limits that hold a client up or turn it away. */
export const LIMITS = Object.freeze([
  'message_rate',
  'byte_rate',
  'listener_rate',
  'connect_rate',
  'connections_per_ip',
  'subscribe_filters',
  'subscriptions_total',
  'shared_groups',
  'flapping',
  'disk_free',
  'memory_high',
] as const)

export type Limit = (typeof LIMITS)[number]

export interface OperationMetrics {
  readonly disconnects: Readonly<Record<DisconnectCause, Counter>>
  readonly limits: Readonly<Record<Limit, Counter>>
  readonly eventsSuppressed: Counter
}

export interface OperationGauges {
  /** 1 while publishers are held up because the disk is nearly full. */
  diskAlarm(): number
  /** The same because of its memory. */
  memoryAlarm(): number
  banned(): number
}

export function createOperationMetrics(metrics: Metrics, gauges: OperationGauges): OperationMetrics {
  const disconnect = (cause: DisconnectCause): Counter =>
    metrics.counter('robustmq_disconnects_total', 'Connections of accepted clients that ended, by cause.', { cause })
  const limit = (name: Limit): Counter =>
    metrics.counter('robustmq_limits_reached_total', 'Times that a limit held a client up or turned it away.', { limit: name })
  metrics.gauge('robustmq_disk_alarm', 'Whether publishers are held up because the disk is nearly full: 1 or 0.', gauges.diskAlarm)
  metrics.gauge('robustmq_memory_alarm', 'Whether publishers are held up because memory is nearly used up: 1 or 0.', gauges.memoryAlarm)
  metrics.gauge('robustmq_banned_clients', 'Client ids and addresses that are banned for connecting too often.', gauges.banned)
  return Object.freeze({
    disconnects: instruments(DISCONNECT_CAUSES, disconnect),
    limits: instruments(LIMITS, limit),
    eventsSuppressed: metrics.counter(
      'robustmq_events_suppressed_total',
      'Events that were not published because of mqtt.events.rate_max.',
    ),
  })
}

const instruments = <const N extends string>(names: readonly N[], create: (name: N) => Counter): Readonly<Record<N, Counter>> =>
  Object.freeze(Object.fromEntries(names.map((name) => [name, create(name)]))) as Readonly<Record<N, Counter>>
