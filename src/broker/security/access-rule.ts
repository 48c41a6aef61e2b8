// SPDX-License-Identifier: Apache-2.0
// One rule of [[security.acl]]: whom it concerns, and what becomes of its topics for one client.
import type { Config } from '#base/config/schema'
import { type IpNetwork, isInNetwork, parseIpAddress, parseIpNetwork } from '#base/ip-network'
import { type FilterLevels, filterLevels } from './filter-relation.ts'

/** Who a client is, as far as it was verified. */
export interface Principal {
  readonly clientId: string
  /** Undefined for one that nobody vouched for, whatever name it gave. */
  readonly userName: string | undefined
  /** IP address, without a port. */
  readonly address: string
}

export interface TopicPattern {
  readonly filter: string
  readonly levels: FilterLevels
}

/** A rule as one client meets it: conditions on the client are gone, placeholders are filled in. */
export interface ClientRule {
  readonly allows: boolean
  readonly publish: boolean
  readonly subscribe: boolean
  /** Undefined: every topic, those that begin with '$' too. */
  readonly patterns: readonly TopicPattern[] | undefined
  /** Bit for each QoS that it is about. */
  readonly qosMask: number
  readonly retain: boolean | undefined
}

export type RuleSettings = Config['security']['acl'][number]

const ALL_QOS = 0b111
const PLACEHOLDER = /%[cu]/g

export class AccessRule {
  readonly #settings: RuleSettings
  readonly #users: ReadonlySet<string> | undefined
  readonly #clientIds: ReadonlySet<string> | undefined
  readonly #networks: readonly IpNetwork[] | undefined
  /** What every client it concerns meets; undefined when that depends on the client. */
  readonly #common: ClientRule | undefined

  constructor(settings: RuleSettings) {
    const { topics, users, clientIds, ip } = settings
    this.#settings = settings
    this.#users = users && new Set(users)
    this.#clientIds = clientIds && new Set(clientIds)
    this.#networks = ip?.flatMap((network) => parseIpNetwork(network) ?? [])
    this.#common = topics?.some((topic) => topic.search(PLACEHOLDER) !== -1) ? undefined : this.#rule(topics?.map(patternOf))
  }

  /** Undefined when the rule does not concern the client. */
  forClient(principal: Principal): ClientRule | undefined {
    if (!this.#concerns(principal)) return undefined
    if (this.#common !== undefined) return this.#common
    const patterns = this.#settings.topics?.flatMap((topic) => fillIn(topic, principal) ?? []).map(patternOf)
    return patterns?.length === 0 ? undefined : this.#rule(patterns)
  }

  #concerns({ clientId, userName, address }: Principal): boolean {
    if (this.#users !== undefined && (userName === undefined || !this.#users.has(userName))) return false
    if (this.#clientIds !== undefined && !this.#clientIds.has(clientId)) return false
    if (this.#networks === undefined) return true
    const from = parseIpAddress(address)
    return from !== undefined && this.#networks.some((network) => isInNetwork(network, from))
  }

  #rule(patterns: readonly TopicPattern[] | undefined): ClientRule {
    const { permission, action, qos, retain } = this.#settings
    return {
      allows: permission === 'allow',
      publish: action !== 'subscribe',
      subscribe: action !== 'publish',
      patterns,
      qosMask: qos === undefined ? ALL_QOS : qos.reduce((mask, level) => mask | (1 << level), 0),
      retain,
    }
  }
}

const patternOf = (filter: string): TopicPattern => ({ filter, levels: filterLevels(filter) })

/**
 * Undefined when a value would change the shape of the filter: a client chooses its own id, and must not choose its topics by it (CVE-2017-7650).
 * So must it not reach topics of the server by a value that begins with '$'.
 */
function fillIn(topic: string, { clientId, userName }: Principal): string | undefined {
  let fits = true
  const filled = topic.replace(PLACEHOLDER, (placeholder, at: number) => {
    const value = (placeholder === '%c' ? clientId : userName) ?? ''
    if (value === '' || /[+#/]/.test(value) || (at === 0 && value.startsWith('$'))) fits = false
    return value
  })
  return fits ? filled : undefined
}
