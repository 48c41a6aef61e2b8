// SPDX-License-Identifier: Apache-2.0
// Messages that a session does not get: counted, and told to whoever wants to hear of it.
import type { SessionCore } from './session-core.ts'

/** A message of QoS 0: the client does not take what is sent to it fast enough. */
export function tellQueueFull({ context, clientId }: SessionCore, topic: string): void {
  context.metrics.droppedQueueFull.add(1)
  if (context.events.isOn('messageDropped')) context.events.tell('messageDropped', clientId, { reason: 'queue_full', topic, count: 1 })
}

/** Messages that were removed from a log before the client came for them. */
export function tellRemoved({ context, clientId }: SessionCore, count: number): void {
  context.metrics.droppedRetention.add(count)
  context.events.tell('messageDropped', clientId, { reason: 'retention', count })
}
