// SPDX-License-Identifier: Apache-2.0
// How much of a SUBSCRIBE is looked at, and how many subscriptions a node can carry.
import { REASON, type SubscribePacket } from '../../protocol/mqtt/index.ts'
import type { BrokerContext } from './context.ts'
import type { SessionCore } from './session-core.ts'
import { type NamedRequest, nameRequest } from './subscription-name.ts'

/** What a packet asks for. What comes after the filters that one packet may have is refused without a look at it. */
export function requestsOf(session: SessionCore, { filters }: SubscribePacket): readonly NamedRequest[] {
  const { config, metrics } = session.context
  const { subscribeFiltersMax } = config
  if (filters.length > subscribeFiltersMax) metrics.limits.subscribe_filters.add(1)
  return filters.map((request, at) =>
    at < subscribeFiltersMax ? nameRequest(session, request) : { request, exclusive: false, refusal: REASON.quotaExceeded },
  )
}

/** Whether the node takes no further subscription. */
export function isNodeFull({ table, shares, config, metrics }: BrokerContext): boolean {
  if (table.size + shares.memberCount < config.subscriptionsTotalMax) return false
  metrics.limits.subscriptions_total.add(1)
  return true
}
