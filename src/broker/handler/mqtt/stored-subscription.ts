// SPDX-License-Identifier: Apache-2.0
// A subscription as meta keeps it.
import type { LogId } from '#contract/client/engine-client'
import type { Subscription } from '#contract/record/session'

/** Without the logs that will not be there when the session is taken up again. */
export const storedForm = (durableLogs: ReadonlySet<LogId>, subscription: Subscription): Subscription => ({
  ...subscription,
  since: subscription.since.filter(({ log }) => durableLogs.has(log)),
})
