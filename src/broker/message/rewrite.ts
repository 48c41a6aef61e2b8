// SPDX-License-Identifier: Apache-2.0
// Topic rewrite: other topics and filters in place of those that clients name, by rules. Done before a topic is looked at for anything else, so that
// access rules, storage and subscribers know the new one only. Of a name with a prefix ('$delayed/5/', '$share/group/') the rest is rewritten.
import { must } from '#base/assert'
import { LinearRegex } from '#base/linear-regex'
import { isValidFilter, matches } from '#base/topic-filter'
import { isDelayedName } from './delayed-name.ts'
import { hasPrefix } from './filter-name.ts'
import { type ClientNames, Template } from './template.ts'

/** As in [[mqtt.rewrite]]; the regex is one that LinearRegex compiles. */
export interface RewriteSetting {
  readonly action: 'publish' | 'subscribe' | 'all'
  readonly filter: string
  readonly regex: string
  readonly to: string
}

interface Rule {
  readonly filter: string
  readonly regex: LinearRegex
  readonly to: Template
}

export interface RewriteRules {
  readonly publish: readonly Rule[]
  readonly subscribe: readonly Rule[]
}

/** The regex looks at nothing longer; what is longer and meant by a rule is refused, since it may not pass by it. */
const CHARACTERS_MAX = 1024
const TOPIC_BYTES_MAX = 0xffff

export class TopicRewriter {
  readonly #levelsMax: number
  #rules: RewriteRules = { publish: [], subscribe: [] }

  constructor(levelsMax: number, settings: readonly RewriteSetting[]) {
    this.#levelsMax = levelsMax
    this.setRules(settings)
  }

  /** Another object whenever the rules may be others: what was made by earlier rules is made again. */
  get rules(): RewriteRules {
    return this.#rules
  }

  setRules(settings: readonly RewriteSetting[]): void {
    const rulesFor = (action: RewriteSetting['action']): readonly Rule[] =>
      settings
        .filter((setting) => setting.action === action || setting.action === 'all')
        .map(({ filter, regex, to }) => ({
          filter,
          regex: must(LinearRegex.compile(regex), 'the configuration holds only patterns that compile'),
          to: new Template(to),
        }))
    this.#rules = { publish: rulesFor('publish'), subscribe: rulesFor('subscribe') }
  }

  /** The topic to publish to; undefined when the rules make none of it. */
  topic(topic: string, names: ClientNames): string | undefined {
    const rewritten = apply(this.#rules.publish, topic, names)
    if (rewritten === topic) return topic
    return rewritten !== undefined && !/[+#]/.test(rewritten) && this.#fits(rewritten) ? rewritten : undefined
  }

  /** The filter to subscribe to, without prefix before and after; undefined likewise. */
  filter(filter: string, names: ClientNames): string | undefined {
    const rewritten = apply(this.#rules.subscribe, filter, names)
    if (rewritten === filter) return filter
    return rewritten !== undefined && isValidFilter(rewritten) && this.#fits(rewritten) ? rewritten : undefined
  }

  #fits(name: string): boolean {
    if (name === '' || Buffer.byteLength(name) > TOPIC_BYTES_MAX || name.split('/').length > this.#levelsMax) return false
    return !hasPrefix(name) && !isDelayedName(name)
  }
}

function apply(rules: readonly Rule[], name: string, names: ClientNames): string | undefined {
  for (const { filter, regex, to } of rules) {
    if (!matches(filter, name)) continue
    if (name.length > CHARACTERS_MAX) return undefined
    const groups = regex.match(name)
    if (groups !== undefined) return to.fill(names, groups)
  }
  return name
}
