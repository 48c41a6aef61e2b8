// SPDX-License-Identifier: Apache-2.0
// Asks authenticators one after the other: the first that knows the user decides, and one that fails refuses.
import { isPlatformError, messageOf } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Logger } from '#base/port/logger'
import type { Authenticator, Credentials, Verdict } from './authenticator.ts'

/** 'busy': too many wait to be checked. 'failed': a source could not tell. */
export type ChainVerdict = Exclude<Verdict, { kind: 'refused' | 'unknown' }> | { readonly kind: 'refused' | 'busy' | 'failed' }

export class AuthenticatorChain {
  readonly #authenticators: readonly Authenticator[]
  readonly #logger: Logger

  constructor(authenticators: readonly Authenticator[], logger: Logger) {
    this.#authenticators = authenticators
    this.#logger = logger
  }

  async check(credentials: Credentials): Promise<ChainVerdict> {
    for (const authenticator of this.#authenticators) {
      try {
        const verdict = await authenticator.check(credentials)
        if (verdict.kind === 'accepted') return verdict
        if (verdict.kind === 'refused') return { kind: 'refused' }
      } catch (error) {
        if (isPlatformError(error, ERROR_CODES.quotaExceeded)) return { kind: 'busy' }
        this.#logger.log('error', `a client is refused because its password could not be checked: ${messageOf(error)}`, {
          source: authenticator.name,
          user: credentials.userName,
        })
        return { kind: 'failed' }
      }
    }
    return { kind: 'refused' }
  }
}
