// SPDX-License-Identifier: Apache-2.0
// Metrics of security, names declared once.
import type { Counter, Metrics } from '#base/port/metrics'

/** How an attempt to log in ended. 'throttled': not looked at, because of wrong passwords before. */
export type LoginResult = 'accepted' | 'refused' | 'throttled' | 'busy' | 'failed'

export type DeniedAction = 'publish' | 'subscribe' | 'will' | 'delayed' | 'session'

export interface SecurityMetrics {
  readonly logins: Readonly<Record<LoginResult, Counter>>
  readonly denied: Readonly<Record<DeniedAction, Counter>>
}

export function createSecurityMetrics(metrics: Metrics): SecurityMetrics {
  const login = (result: LoginResult): Counter =>
    metrics.counter('robustmq_logins_total', 'Attempts to log in with a user name, by result.', { result })
  const denied = (action: DeniedAction): Counter =>
    metrics.counter(
      'robustmq_denied_total',
      'What clients wanted and may not: messages, subscriptions, wills, and sessions ended by a change of rules or users.',
      { action },
    )
  return Object.freeze({
    logins: Object.freeze({
      accepted: login('accepted'),
      refused: login('refused'),
      throttled: login('throttled'),
      busy: login('busy'),
      failed: login('failed'),
    }),
    denied: Object.freeze({
      publish: denied('publish'),
      subscribe: denied('subscribe'),
      will: denied('will'),
      delayed: denied('delayed'),
      session: denied('session'),
    }),
  })
}
