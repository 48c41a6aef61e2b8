// SPDX-License-Identifier: Apache-2.0
// PUBLISH to a topic that the client may not publish to: dropped, and the client is told as well as its dialect can.
import { type PublishView, REASON } from '../../protocol/mqtt/index.ts'
import { refusePublish } from './delayed-publish.ts'
import type { SessionCore } from './session-core.ts'

/** The reason code to end the connection with; REASON.success when it goes on. */
export function denyPublish(session: SessionCore, publish: PublishView): number {
  const { security } = session.context
  security.metrics.denied.publish.add(1)
  const { explains } = session.link
  if (!explains && security.disconnectsDenied) return REASON.notAuthorized
  // In 3.x an acknowledgement is the only way to keep the client from sending the message again for ever.
  return refusePublish(session, publish, explains ? REASON.notAuthorized : REASON.success)
}
