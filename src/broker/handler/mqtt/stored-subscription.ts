// SPDX-License-Identifier: Apache-2.0
// A subscription as meta keeps it.
import type { Subscription } from '#contract/record/session'
import type { LogSet } from '../../message/durable-logs.ts'

/** Without the logs that will not be there when the session is taken up again. */
export const storedForm = (durableLogs: LogSet, subscription: Subscription): Subscription => ({
  ...subscription,
  since: subscription.since.filter(({ log }) => durableLogs.has(log)),
})
