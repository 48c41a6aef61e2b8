// SPDX-License-Identifier: Apache-2.0
// Reason codes of MQTT in the fewer words of transports that can say why they close.
import type { CloseReason } from '#base/port/network'
import { REASON } from '../../protocol/mqtt/index.ts'

const REASONS: ReadonlyMap<number, CloseReason> = new Map([
  [REASON.serverShuttingDown, 'goingAway'],
  [REASON.malformedPacket, 'protocolError'],
  [REASON.protocolError, 'protocolError'],
  [REASON.packetTooLarge, 'tooLarge'],
  [REASON.unspecifiedError, 'failure'],
  [REASON.serverUnavailable, 'tryLater'],
  [REASON.serverBusy, 'tryLater'],
  [REASON.sessionTakenOver, 'done'],
  [REASON.success, 'done'],
])

/** Every other code says that the client may not do what it did. */
export const closeReasonOf = (reasonCode: number): CloseReason => REASONS.get(reasonCode) ?? 'policy'
