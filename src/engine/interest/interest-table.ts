// SPDX-License-Identifier: Apache-2.0
// Which topics somebody wants (D4): filters, counted, and for each topic the remembered answer whether any of them matches.
import { hasWildcard } from '#base/topic-filter'

/** Answers remembered; all are dropped when there are more, or when a change could alter them. */
const ANSWERS_MAX = 65_536

class FilterNode {
  readonly children = new Map<string, FilterNode>()
  /** Registrations of the filter that ends here. */
  count = 0
}

export class InterestTable {
  readonly #exact = new Map<string, number>()
  readonly #root = new FilterNode()
  readonly #answers = new Map<string, boolean>()
  #wildcardCount = 0

  /** Number of different filters. */
  get size(): number {
    return this.#exact.size + this.#wildcardCount
  }

  add(filter: string): void {
    if (!hasWildcard(filter)) {
      const count = this.#exact.get(filter) ?? 0
      this.#exact.set(filter, count + 1)
      if (count === 0) this.#answers.set(filter, true)
      return
    }
    let node = this.#root
    for (const level of filter.split('/')) {
      let child = node.children.get(level)
      if (child === undefined) {
        child = new FilterNode()
        node.children.set(level, child)
      }
      node = child
    }
    if (++node.count > 1) return
    this.#wildcardCount++
    this.#answers.clear()
  }

  /** Removes one registration. False when there was none. */
  remove(filter: string): boolean {
    if (hasWildcard(filter)) {
      const removal = removeBelow(this.#root, filter.split('/'), 0)
      if (removal !== 'last') return removal === 'one'
      this.#wildcardCount--
      this.#answers.clear()
      return true
    }
    const count = this.#exact.get(filter)
    if (count === undefined) return false
    if (count > 1) this.#exact.set(filter, count - 1)
    else {
      this.#exact.delete(filter)
      this.#answers.delete(filter)
    }
    return true
  }

  /** Whether any topic of a batch is wanted. */
  wantsAny(topics: readonly string[]): boolean {
    for (let at = 0; at < topics.length; at++) {
      const topic = topics[at] as string
      if (this.#answers.get(topic) ?? this.#answer(topic)) return true
    }
    return false
  }

  #answer(topic: string): boolean {
    const answer = this.#exact.has(topic) || (this.#wildcardCount > 0 && this.#matchesWildcard(topic))
    if (this.#answers.size >= ANSWERS_MAX) this.#answers.clear()
    this.#answers.set(topic, answer)
    return answer
  }

  /** A wildcard in the first level leaves out topics that begin with '$' [MQTT-4.7.2-1]. */
  #matchesWildcard(topic: string): boolean {
    const levels = topic.split('/')
    if (!topic.startsWith('$')) return matchesBelow(this.#root, levels, 0)
    const child = this.#root.children.get(levels[0] as string)
    return child !== undefined && matchesBelow(child, levels, 1)
  }
}

function matchesBelow(node: FilterNode, levels: readonly string[], at: number): boolean {
  // '#' also stands for the level above it [MQTT-4.7.1-2].
  if ((node.children.get('#')?.count ?? 0) > 0) return true
  const level = levels[at]
  if (level === undefined) return node.count > 0
  const one = node.children.get('+')
  if (one !== undefined && matchesBelow(one, levels, at + 1)) return true
  const literal = node.children.get(level)
  return literal !== undefined && matchesBelow(literal, levels, at + 1)
}

/** 'last': the filter is not registered any more. */
function removeBelow(node: FilterNode, levels: readonly string[], at: number): 'none' | 'one' | 'last' {
  const level = levels[at]
  if (level === undefined) {
    if (node.count === 0) return 'none'
    return --node.count === 0 ? 'last' : 'one'
  }
  const child = node.children.get(level)
  if (child === undefined) return 'none'
  const removal = removeBelow(child, levels, at + 1)
  if (removal === 'last' && child.count === 0 && child.children.size === 0) node.children.delete(level)
  return removal
}
