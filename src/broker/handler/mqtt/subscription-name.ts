// SPDX-License-Identifier: Apache-2.0
// From the name by which a client subscribes to the subscription that is meant: the filter is rewritten, and '$exclusive/' is taken off it.
import { hasPrefix, parseFilterName } from '../../message/filter-name.ts'
import { REASON, type SubscriptionRequest } from '../../protocol/mqtt/index.ts'
import type { SessionCore } from './session-core.ts'

export interface NamedRequest {
  readonly request: SubscriptionRequest
  /** No other session may have the filter exclusively. */
  readonly exclusive: boolean
  /** Why there is no such subscription; REASON.success when there may be. */
  readonly refusal: number
}

/** Undefined when no subscription can be meant. */
export function nameFilter(
  { context, access }: SessionCore,
  name: string,
): { readonly filter: string; readonly exclusive: boolean } | undefined {
  const { prefix, filter, exclusive } = parseFilterName(name)
  if (exclusive && (filter === '' || hasPrefix(filter))) return undefined
  const rewritten = context.rewriter.filter(filter, access.principal)
  if (rewritten === undefined) return undefined
  return { filter: exclusive ? rewritten : prefix + rewritten, exclusive }
}

export function nameRequest(session: SessionCore, request: SubscriptionRequest): NamedRequest {
  const named = nameFilter(session, request.filter)
  if (named === undefined || (named.exclusive && !session.context.config.exclusiveAvailable)) {
    return { request, exclusive: false, refusal: REASON.topicFilterInvalid }
  }
  return { request: { ...request, filter: named.filter }, exclusive: named.exclusive, refusal: REASON.success }
}
