// SPDX-License-Identifier: Apache-2.0
// Subscriptions that a client gets with its CONNECT, without asking: as if it had, except that nothing is rewritten and nobody is answered.
import { parseFilterName } from '../../message/filter-name.ts'
import { isFailure, REASON } from '../../protocol/mqtt/index.ts'
import type { SessionCore } from './session-core.ts'
import { type Prepared, prepareSubscriptions } from './subscribe.ts'

/** Undefined when the client gets none. Those that are refused, by access rules for example, are left out. */
export async function prepareAutomatic(session: SessionCore): Promise<Prepared | undefined> {
  const { context, access } = session
  const wanted = context.autoSubscriber.subscriptions(access.principal)
  if (wanted.length === 0) return undefined
  const requests = wanted.map((request) => {
    const { prefix, filter, exclusive } = parseFilterName(request.filter)
    return { request: { ...request, filter: exclusive ? filter : prefix + filter }, exclusive, refusal: REASON.success }
  })
  const prepared = await prepareSubscriptions(session, requests, 0)
  const refused = prepared.reasonCodes.filter(isFailure).length
  if (refused > 0) context.logger.log('debug', 'automatic subscriptions were refused', { client: session.clientId, refused })
  return prepared
}
