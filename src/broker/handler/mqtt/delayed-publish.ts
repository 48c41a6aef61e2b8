// SPDX-License-Identifier: Apache-2.0
// PUBLISH of what is not stored in a log now: a message that is to be published later, and one whose topic is none.
import type { LogId } from '#contract/client/engine-client'
import { DELAYED_LOG } from '../../message/delayed.ts'
import { PACKET, type PublishView, REASON } from '../../protocol/mqtt/index.ts'
import type { Destination } from './destination.ts'
import type { SessionCore } from './session-core.ts'

/** Hands the message over until its time; its answer follows `tag`, negative for none. */
export function takeLater(session: SessionCore, publish: PublishView, { shard, delaySeconds }: Destination, tag: number): LogId {
  const { principal, account } = session.access
  const { qos, retain, headers, messageExpirySeconds, packetId, bytes, payloadStart, payloadEnd } = publish
  const message = {
    topic: shard.topic,
    qos,
    retain,
    publisher: session.uid,
    clientId: session.clientId,
    messageExpirySeconds: messageExpirySeconds < 0 ? undefined : messageExpirySeconds,
    headers,
    payload: Buffer.from(bytes.subarray(payloadStart, payloadEnd)),
    delaySeconds,
    packetId: qos === 2 ? packetId : undefined,
    author: { userName: principal.userName, source: account?.source ?? 'users', address: principal.address },
  }
  session.context.delayed.accept(message, tag < 0 ? undefined : session, tag)
  return DELAYED_LOG
}

/** Answers that nothing was stored. At QoS 0 there is no answer. */
export function refusePublish(session: SessionCore, { qos, packetId }: PublishView, reasonCode: number): number {
  if (qos === 0) return REASON.success
  session.inbound.settle(session.inbound.push(packetId, qos === 1 ? PACKET.puback : PACKET.pubrec), reasonCode)
  session.drainInbound()
  return REASON.success
}
