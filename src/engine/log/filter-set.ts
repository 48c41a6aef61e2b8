// SPDX-License-Identifier: Apache-2.0
// Several topic filters as one question: does any of them match this topic? Made for one read; remembers its answers.
import { hasWildcard, matches } from '#base/topic-filter'

/** Answers remembered at most. */
const ANSWERS_MAX = 16_384

export class FilterSet {
  /** Whether every topic matches, those that begin with '$' included. */
  readonly all: boolean
  readonly exact: ReadonlySet<string>
  readonly wildcards: readonly string[]
  /** '#' is among them: every topic matches whose name does not begin with '$' [MQTT-4.7.2-1]. */
  readonly #hash: boolean
  readonly #answers = new Map<string, boolean>()

  /** 'all' for every topic there is. */
  constructor(filters: readonly string[] | 'all') {
    this.all = filters === 'all'
    const list = filters === 'all' ? [] : filters
    this.exact = new Set(list.filter((filter) => !hasWildcard(filter)))
    this.wildcards = list.filter(hasWildcard)
    this.#hash = list.includes('#')
  }

  matches(topic: string): boolean {
    if (this.all || this.exact.has(topic)) return true
    if (this.wildcards.length === 0) return false
    if (this.#hash && !topic.startsWith('$')) return true
    const known = this.#answers.get(topic)
    if (known !== undefined) return known
    const answer = this.wildcards.some((filter) => matches(filter, topic))
    if (this.#answers.size < ANSWERS_MAX) this.#answers.set(topic, answer)
    return answer
  }
}
