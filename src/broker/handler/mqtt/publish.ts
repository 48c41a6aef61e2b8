// SPDX-License-Identifier: Apache-2.0
// PUBLISH from the client (MQTT 5 section 3.3): the hot path. Nothing is allocated for a message that keeps to the topic of the one before.
import type { Shard } from '#storage'
import { PACKET, type PublishView, REASON } from '../../protocol/mqtt/index.ts'
import { recordAttributes, type SessionCore } from './session-core.ts'

/** The reason code to end the connection with; REASON.success when the message was taken. */
export function handlePublish(session: SessionCore, publish: PublishView): number {
  const { context } = session
  const { config } = context
  const { qos } = publish
  if (qos > config.maxQos) return REASON.qosNotSupported
  if (publish.retain && !config.retainAvailable) return REASON.retainNotSupported
  if (publish.topicAlias > config.topicAliasMaximum) return REASON.topicAliasInvalid
  const shard = shardOf(session, publish)
  if (shard === undefined) return REASON.protocolError
  context.metrics.messagesReceived.add(1)
  if (qos === 0) {
    take(session, publish, shard, -1)
    return REASON.success
  }
  if (
    session.link.countsInbound &&
    session.inbound.pubacks + session.releases.counted >= config.receiveMaximum &&
    session.releases.get(publish.packetId) === undefined
  )
    return REASON.receiveMaximumExceeded
  if (qos === 1) take(session, publish, shard, session.inbound.push(publish.packetId, PACKET.puback))
  else takeOnce(session, publish, shard)
  return REASON.success
}

/** QoS 2: a packet id that is not released yet names a message that is already here; it is answered, not published again [MQTT-4.3.3-10]. */
function takeOnce(session: SessionCore, publish: PublishView, shard: Shard): void {
  const { packetId } = publish
  const release = session.releases.get(packetId)
  const tag = session.inbound.push(packetId, PACKET.pubrec)
  if (release === undefined) {
    const log = take(session, publish, shard, tag)
    session.releases.begin(packetId, log)
  } else if (release.stored) {
    session.inbound.settle(tag, REASON.success)
    session.drainInbound()
  } else release.repeated.push(tag)
}

function take(session: SessionCore, publish: PublishView, shard: Shard, tag: number): number {
  const { qos, headers, messageExpirySeconds, packetId } = publish
  const expiryMs = messageExpirySeconds < 0 ? 0 : session.context.clock.realtime() + messageExpirySeconds * 1000
  return session.context.publisher.publish(
    shard,
    recordAttributes(qos, publish.retain, expiryMs !== 0, headers.length > 0),
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

/** Where the message goes, by its topic or its topic alias (MQTT 5 section 3.3.2.3.4). Undefined for an alias that was not set. */
function shardOf(session: SessionCore, publish: PublishView): Shard | undefined {
  const { intake } = session
  const alias = publish.topicAlias
  if (publish.topicStart === publish.topicEnd) return intake.aliases.get(alias)
  const { topic } = publish
  if (topic !== intake.lastTopic || intake.lastShard === undefined) {
    intake.lastShard = session.context.router.shard(topic)
    intake.lastTopic = topic
  }
  if (alias !== 0) intake.aliases.set(alias, intake.lastShard)
  return intake.lastShard
}
