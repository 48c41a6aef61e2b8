// SPDX-License-Identifier: Apache-2.0
// PUBACK, PUBREC, PUBREL and PUBCOMP from the client (MQTT 5 sections 3.4 to 3.7, 4.3).
import { type AckType, isFailure, PACKET, REASON } from '../../protocol/mqtt/index.ts'
import type { SessionCore } from './session-core.ts'

export function handleAcknowledgement(session: SessionCore, type: AckType, packetId: number, reasonCode: number): void {
  if (type === PACKET.puback) handlePuback(session, packetId)
  else if (type === PACKET.pubrec) handlePubrec(session, packetId, reasonCode)
  else if (type === PACKET.pubrel) handlePubrel(session, packetId)
  else handlePubcomp(session, packetId)
}

function handlePuback(session: SessionCore, packetId: number): void {
  if (session.outbound.qos(packetId) === 1) finish(session, packetId)
}

/** The client has the message. That is committed before PUBREL leaves: a message sent again after PUBREL would be a new one to the client. */
function handlePubrec(session: SessionCore, packetId: number, reasonCode: number): void {
  if (session.outbound.qos(packetId) !== 2) {
    session.link.sendAck(PACKET.pubrel, packetId, REASON.packetIdentifierNotFound)
    return
  }
  if (isFailure(reasonCode)) {
    finish(session, packetId)
    return
  }
  session.outbound.markReleased(packetId)
  session.sendCommitted(session.link.encodeAck(PACKET.pubrel, packetId, REASON.success))
}

function handlePubcomp(session: SessionCore, packetId: number): void {
  if (session.outbound.qos(packetId) === 2) finish(session, packetId)
}

function finish(session: SessionCore, packetId: number): void {
  session.sample.acknowledged(packetId)
  session.finish(packetId)
  if (session.persistent) session.context.saver.mark(session)
  session.resume()
}

/** The client lets go of the packet id. PUBCOMP leaves when the log has forgotten it, or the next message under it would be taken for a repetition (Q5). */
function handlePubrel(session: SessionCore, packetId: number): void {
  const release = session.releases.get(packetId)
  if (release === undefined) {
    session.link.sendAck(PACKET.pubcomp, packetId, REASON.packetIdentifierNotFound)
    return
  }
  if (release.stored) void session.settleRelease(packetId, release.log)
  else release.releasing = true
}
