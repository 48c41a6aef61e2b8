// SPDX-License-Identifier: Apache-2.0
// Why a connection ended, in the few words of metrics and events.
import type { DisconnectCause } from '../../metric/operation-metrics.ts'
import { REASON } from '../../protocol/mqtt/index.ts'

const CAUSES: ReadonlyMap<number, DisconnectCause> = new Map([
  [REASON.keepAliveTimeout, 'keep_alive'],
  [REASON.sessionTakenOver, 'taken_over'],
  [REASON.serverShuttingDown, 'shutdown'],
  [REASON.notAuthorized, 'denied'],
  [REASON.administrativeAction, 'denied'],
  [REASON.unspecifiedError, 'failure'],
  [REASON.quotaExceeded, 'limit'],
  [REASON.receiveMaximumExceeded, 'limit'],
  [REASON.packetTooLarge, 'limit'],
])

/** Of a connection that the server ends with a reason code. Every other code says that the client broke a rule of the protocol. */
export const causeOf = (reasonCode: number): DisconnectCause => CAUSES.get(reasonCode) ?? 'protocol'
