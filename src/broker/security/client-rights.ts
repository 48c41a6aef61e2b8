// SPDX-License-Identifier: Apache-2.0
// What one client may do under one set of rules. Decisions on topics are remembered: publishing costs a look-up for each change of topic.
import { matches } from '#base/topic-filter'
import type { ClientRule } from './access-rule.ts'
import { covers, type FilterLevels, filterLevels, overlaps } from './filter-relation.ts'

/** A bit for each QoS, without and with retain: see `publishBit`. */
export type PublishMask = number

export const PUBLISH_NONE: PublishMask = 0
export const PUBLISH_ALL: PublishMask = 0b111111

export const publishBit = (qos: number, retain: boolean): number => 1 << (retain ? qos + 3 : qos)

/** Topics remembered for one client; beyond it the memory is emptied and fills again. */
const TOPICS_MAX = 256

export class ClientRights {
  readonly #rules: readonly ClientRule[]
  readonly #fallback: boolean
  readonly #masks = new Map<string, PublishMask>()

  /** `rules` in their order; `fallback` is what holds where none matches. */
  constructor(rules: readonly ClientRule[], fallback: boolean) {
    this.#rules = rules
    this.#fallback = fallback
  }

  publishMask(topic: string): PublishMask {
    const known = this.#masks.get(topic)
    if (known !== undefined) return known
    if (this.#masks.size >= TOPICS_MAX) this.#masks.clear()
    const mask = this.#decidePublish(topic)
    this.#masks.set(topic, mask)
    return mask
  }

  /**
   * Whether every topic of the filter may be received. A rule that allows must cover the filter, one that denies needs only a topic in common with it: so
   * what is granted holds for each topic by itself, and no message has to be looked at again.
   */
  maySubscribe(filter: string, qos: number): boolean {
    const levels = filterLevels(filter)
    const rule = this.#rules.find((candidate) => decidesSubscribe(candidate, levels, qos))
    return rule?.allows ?? this.#fallback
  }

  #decidePublish(topic: string): PublishMask {
    let allowed = 0
    let open = PUBLISH_ALL
    for (const rule of this.#rules) {
      if (!rule.publish || !(rule.patterns?.some(({ filter }) => matches(filter, topic)) ?? true)) continue
      const decided = open & maskOf(rule)
      if (rule.allows) allowed |= decided
      open &= ~decided
      if (open === 0) return allowed
    }
    return this.#fallback ? allowed | open : allowed
  }
}

function decidesSubscribe(rule: ClientRule, levels: FilterLevels, qos: number): boolean {
  if (!rule.subscribe || (rule.qosMask & (1 << qos)) === 0) return false
  const relation = rule.allows ? covers : overlaps
  return rule.patterns?.some((pattern) => relation(pattern.levels, levels)) ?? true
}

function maskOf({ qosMask, retain }: ClientRule): PublishMask {
  return (retain === true ? 0 : qosMask) | (retain === false ? 0 : qosMask << 3)
}
