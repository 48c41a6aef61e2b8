// SPDX-License-Identifier: Apache-2.0
// PUBLISH from the client (MQTT 5 section 3.3): the hot path. Nothing is allocated for a message that keeps to the topic of the one before.
import type { LogId } from '#contract/client/engine-client'
import { PACKET, type PublishView, REASON } from '../../protocol/mqtt/index.ts'
import { refusePublish, takeLater } from './delayed-publish.ts'
import { denyPublish } from './denied-publish.ts'
import { type Destination, destinationOf } from './destination.ts'
import { recordAttributes, type SessionCore } from './session-core.ts'

/** The reason code to end the connection with; REASON.success when the message was taken. */
export function handlePublish(session: SessionCore, publish: PublishView): number {
  const { context } = session
  const { config } = context
  const { qos } = publish
  if (qos > config.maxQos) return REASON.qosNotSupported
  if (publish.retain && !config.retainAvailable) return REASON.retainNotSupported
  if (publish.topicAlias > config.topicAliasMaximum) return REASON.topicAliasInvalid
  const destination = destinationOf(session, publish)
  if (destination === undefined) return REASON.protocolError
  // A message that is here already, under an id not yet released, is answered whatever holds by now.
  if (qos < 2 || session.releases.get(publish.packetId) === undefined) {
    if (destination.refusal !== REASON.success) return refusePublish(session, publish, destination.refusal)
    if (!session.access.mayPublish(destination.shard.topic, qos, publish.retain)) return denyPublish(session, publish)
  }
  const retain = publish.retain && mayRetain(session, publish, destination)
  // Version 5 can be told; for the others, and at QoS 0, the message is delivered and not kept, which the metric says.
  if (publish.retain && !retain && qos > 0 && session.link.explains) return refusePublish(session, publish, REASON.quotaExceeded)
  context.metrics.messagesReceived.add(1)
  if (qos === 0) {
    take(session, publish, destination, -1, retain)
    return REASON.success
  }
  if (
    session.link.countsInbound &&
    session.inbound.pubacks + session.releases.counted >= config.receiveMaximum &&
    session.releases.get(publish.packetId) === undefined
  )
    return REASON.receiveMaximumExceeded
  if (qos === 1) take(session, publish, destination, session.inbound.push(publish.packetId, PACKET.puback), retain)
  else takeOnce(session, publish, destination, retain)
  return REASON.success
}

/** A message that is published later is asked about then; one that is here already was. */
function mayRetain(
  { context, releases }: SessionCore,
  { qos, packetId, payloadStart, payloadEnd }: PublishView,
  destination: Destination,
): boolean {
  if (destination.delaySeconds > 0 || (qos === 2 && releases.get(packetId) !== undefined)) return true
  return context.retainedQuota.admits(destination.shard, payloadEnd - payloadStart)
}

/** QoS 2: a packet id that is not released yet names a message that is already here; it is answered, not published again [MQTT-4.3.3-10]. */
function takeOnce(session: SessionCore, publish: PublishView, destination: Destination, retain: boolean): void {
  const { packetId } = publish
  const release = session.releases.get(packetId)
  const tag = session.inbound.push(packetId, PACKET.pubrec)
  if (release === undefined) {
    const log = take(session, publish, destination, tag, retain)
    session.releases.begin(packetId, log)
  } else if (release.stored) {
    session.inbound.settle(tag, REASON.success)
    session.drainInbound()
  } else release.repeated.push(tag)
}

function take(session: SessionCore, publish: PublishView, destination: Destination, tag: number, retain: boolean): LogId {
  if (destination.delaySeconds > 0) return takeLater(session, publish, destination, tag)
  const { qos, headers, messageExpirySeconds, packetId } = publish
  const expiryMs = messageExpirySeconds < 0 ? 0 : session.context.clock.realtime() + messageExpirySeconds * 1000
  return session.context.publisher.publish(
    destination.shard,
    recordAttributes(qos, retain, expiryMs !== 0, headers.length > 0),
    session.uid,
    expiryMs,
    packetId,
    headers,
    publish.bytes,
    publish.payloadStart,
    publish.payloadEnd,
    tag < 0 ? undefined : session,
    tag,
  )
}
