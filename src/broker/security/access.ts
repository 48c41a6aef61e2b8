// SPDX-License-Identifier: Apache-2.0
// What one connected client may do. Follows the rules when they change: what was decided under others counts no more.
import { ADMISSION_OF_NODE, type ListenerAdmission } from '#base/config/listener'
import type { AccessList } from './access-list.ts'
import type { Principal } from './access-rule.ts'
import { type ClientRights, PUBLISH_ALL, PUBLISH_NONE, type PublishMask, publishBit } from './client-rights.ts'
import type { Account } from './user-table.ts'

const SHARE_PREFIX = '$share/'
const EXCLUSIVE_PREFIX = '$exclusive/'

export class Access {
  readonly principal: Principal
  /** What the listener says by which the client has come in. */
  readonly admission: ListenerAdmission
  readonly #list: AccessList
  #account: Account | undefined
  #rights: ClientRights | undefined
  #version = -1
  /** The topic asked about last, and what was said: clients repeat themselves. */
  #topic = ''
  #mask: PublishMask = PUBLISH_NONE

  /** `account`: with which the client has logged in; undefined for an anonymous one. */
  constructor(list: AccessList, principal: Principal, account: Account | undefined, admission = ADMISSION_OF_NODE) {
    this.admission = admission
    this.principal = principal
    this.#list = list
    this.#account = account
  }

  get account(): Account | undefined {
    return this.#account
  }

  /** The account has changed, or the client has proven itself again. */
  renew(account: Account | undefined): void {
    this.#account = account
    this.#version = -1
  }

  mayPublish(topic: string, qos: number, retain: boolean): boolean {
    if (topic !== this.#topic || this.#version !== this.#list.version) {
      this.#mask = this.#publishMask(topic)
      this.#topic = topic
    }
    return (this.#mask & publishBit(qos, retain)) !== 0
  }

  /** `filter` as the client wrote it: of a shared or exclusive subscription, the filter inside counts. */
  maySubscribe(filter: string, qos: number): boolean {
    this.#refresh()
    return this.#rights?.maySubscribe(innerFilter(filter), qos) ?? true
  }

  #publishMask(topic: string): PublishMask {
    this.#refresh()
    // What the server says of itself, nobody else may say.
    if (topic.startsWith('$SYS') && (topic.length === 4 || topic[4] === '/')) return PUBLISH_NONE
    return this.#rights?.publishMask(topic) ?? PUBLISH_ALL
  }

  #refresh(): void {
    const { version } = this.#list
    if (this.#version === version) return
    this.#version = version
    this.#topic = ''
    this.#rights = this.#account?.superuser === true ? undefined : this.#list.rightsOf(this.principal)
  }
}

function innerFilter(filter: string): string {
  if (filter.startsWith(EXCLUSIVE_PREFIX)) return filter.slice(EXCLUSIVE_PREFIX.length)
  const slash = filter.startsWith(SHARE_PREFIX) ? filter.indexOf('/', SHARE_PREFIX.length) : -1
  return filter.slice(slash + 1)
}
