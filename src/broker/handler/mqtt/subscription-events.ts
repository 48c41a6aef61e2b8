// SPDX-License-Identifier: Apache-2.0
// Tells of the subscriptions that a client has made and ended.
import type { Subscription } from '#contract/record/session'
import { REASON } from '../../protocol/mqtt/index.ts'
import type { SessionCore } from './session-core.ts'

export function tellSubscribed(
  { context: { events }, clientId }: SessionCore,
  made: readonly { readonly subscription: Subscription }[],
): void {
  if (!events.isOn('sessionSubscribed')) return
  for (const { subscription } of made) events.tell('sessionSubscribed', clientId, { filter: subscription.filter, qos: subscription.qos })
}

/** `reasonCodes`: one for each filter. */
export function tellUnsubscribed(
  { context: { events }, clientId }: SessionCore,
  filters: readonly (string | undefined)[],
  reasonCodes: readonly number[],
): void {
  if (!events.isOn('sessionUnsubscribed')) return
  for (const [at, filter] of filters.entries()) {
    if (reasonCodes[at] === REASON.success) events.tell('sessionUnsubscribed', clientId, { filter })
  }
}
