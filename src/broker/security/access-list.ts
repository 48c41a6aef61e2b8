// SPDX-License-Identifier: Apache-2.0
// The access rules in force. They are replaced whole; what was decided under others names another version.
import type { Config } from '#base/config/schema'
import { AccessRule, type Principal } from './access-rule.ts'
import { ClientRights } from './client-rights.ts'

export type AccessSettings = Pick<Config['security'], 'acl' | 'aclDefault'>

export class AccessList {
  #rules: readonly AccessRule[] = []
  #fallback = true
  #version = 0

  constructor(settings: AccessSettings) {
    this.replace(settings)
  }

  /** Raised by each change of rules or users. */
  get version(): number {
    return this.#version
  }

  replace({ acl, aclDefault }: AccessSettings): void {
    this.#rules = acl.map((rule) => new AccessRule(rule))
    this.#fallback = aclDefault === 'allow'
    this.#version++
  }

  /** Undefined for a client that may do everything. */
  rightsOf(principal: Principal): ClientRights | undefined {
    const rules = this.#rules.flatMap((rule) => rule.forClient(principal) ?? [])
    return rules.length === 0 && this.#fallback ? undefined : new ClientRights(rules, this.#fallback)
  }
}
