// SPDX-License-Identifier: Apache-2.0
// Messages that a session does not get: counted, and told to whoever wants to hear of it.
import type { BrokerContext } from './context.ts'

/** The session that does not get them. */
interface Loser {
  readonly context: Pick<BrokerContext, 'metrics' | 'events'>
  readonly clientId: string
}

/** A message of QoS 0: the client does not take what is sent to it fast enough. */
export function tellQueueFull({ context, clientId }: Loser, topic: string): void {
  context.metrics.droppedQueueFull.add(1)
  if (context.events.isOn('messageDropped')) context.events.tell('messageDropped', clientId, { reason: 'queue_full', topic, count: 1 })
}

/** A message whose time ran out before it could be sent. */
export function tellExpired({ context, clientId }: Loser, topic: string): void {
  context.metrics.droppedExpired.add(1)
  if (context.events.isOn('messageDropped')) context.events.tell('messageDropped', clientId, { reason: 'expired', topic, count: 1 })
}

/** A message that is larger than the client accepts, which has been counted. */
export function tellTooLarge({ context, clientId }: Loser): void {
  context.events.tell('messageDropped', clientId, { reason: 'too_large', count: 1 })
}

/** Messages that were removed from a log before the client came for them. */
export function tellRemoved({ context, clientId }: Loser, count: number): void {
  context.metrics.droppedRetention.add(count)
  context.events.tell('messageDropped', clientId, { reason: 'retention', count })
}
