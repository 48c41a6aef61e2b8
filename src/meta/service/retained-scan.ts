// SPDX-License-Identifier: Apache-2.0
// Goes through the retained heads that match a filter, in the order of their topics, and leaps over what cannot match: `+/x/#` costs two reads for each first
// level, however many topics lie between.
import type { Kv, KvPair } from '#base/port/kv'
import { hasWildcard, matches } from '#base/topic-filter'
import { type GroupKeys, keyAfter, topicOfKey } from '../codec/key.ts'
import type { StateReads } from './replica-reads.ts'

/** Pairs of one read: few after a read in which nothing matched, since the next leap may be near, and more as long as something does. */
const PAGE_PAIRS_MIN = 32
const PAGE_PAIRS_MAX = 500

/** Above the level separator and below every other character that a level can begin with. */
const AFTER_CHILDREN = Buffer.of(1)

/** A leading wildcard matches no topic that begins with '$' [MQTT-4.7.2-1]; '%' is the next character. */
const AFTER_SERVER_TOPICS = '%'

/** Calls `visit` for each match after the topic `after`, until it returns false, which is expected at about `count`. Writes may come between the reads. */
export async function scanRetained(
  kv: StateReads,
  keys: GroupKeys,
  tenant: string,
  filter: string,
  after: string | undefined,
  count: number,
  visit: (topic: string, pair: KvPair) => boolean,
): Promise<void> {
  const { gte, lt } = keys.retainedHeads(tenant, filter)
  const resumed = after === undefined ? gte : keyAfter(keys.retainedHead(tenant, after))
  const tenantBytes = Buffer.byteLength(tenant)
  const levels = filter.split('/')
  const leaps = hasWildcard(filter)
  let from = Buffer.compare(resumed, gte) > 0 ? resumed : gte
  let limit = Math.min(Math.max(count, PAGE_PAIRS_MIN), PAGE_PAIRS_MAX)
  while (Buffer.compare(from, lt) < 0) {
    const page = await kv.scan({ gte: from, lt, limit })
    let leap: Buffer | undefined
    let matched = false
    for (const pair of page) {
      if (leap !== undefined && Buffer.compare(pair.key, leap) < 0) continue
      const topic = topicOfKey(pair.key, tenantBytes)
      if (matches(filter, topic)) {
        matched = true
        if (!visit(topic, pair)) return
      } else if (leaps) {
        const next = nextCandidate(levels, topic.split('/'))
        if (next === undefined) return
        const key = keys.retainedHead(tenant, next.levels.join('/'))
        leap = next.pastChildren ? Buffer.concat([key, AFTER_CHILDREN]) : key
      }
    }
    const last = page.at(-1)
    if (last === undefined || page.length < limit) return
    const following = keyAfter(last.key)
    const leaped = leap !== undefined && Buffer.compare(leap, following) > 0
    from = leaped && leap !== undefined ? leap : following
    limit = leaped && !matched ? PAGE_PAIRS_MIN : Math.min(limit * 2, PAGE_PAIRS_MAX)
  }
}

/** Bodies taken out of an iterator at a time: what they may have over the bound of bytes. */
const STEP_PAIRS = 16

/**
 * Calls `visit` for the bodies below a prefix, in the order of their topics, after the topic `after`: at least for one, until there are as many, or as many
 * bytes, as the limit says. True when there are no more. `filter` is the prefix and '#'.
 */
export async function scanSubtree(
  kv: Pick<Kv, 'iterate'>,
  keys: GroupKeys,
  tenant: string,
  filter: string,
  after: string | undefined,
  limit: { readonly count: number; readonly bytes: number },
  visit: (topic: string, pair: KvPair) => void,
): Promise<boolean> {
  const { gte, lt } = keys.retainedBodies(tenant, filter)
  const resumed = after === undefined ? gte : keyAfter(keys.retainedBody(tenant, after))
  const tenantBytes = Buffer.byteLength(tenant)
  let countLeft = limit.count
  let bytesLeft = limit.bytes
  const read = async (from: Buffer): Promise<boolean> => {
    const iterator = kv.iterate({ gte: from, lt, limit: countLeft })
    try {
      while (countLeft > 0 && bytesLeft > 0) {
        const pairs = await iterator.next(Math.min(countLeft, STEP_PAIRS))
        if (pairs.length === 0) return true
        for (const pair of pairs) {
          const topic = topicOfKey(pair.key, tenantBytes)
          if (!matches(filter, topic)) return read(keys.retainedBody(tenant, AFTER_SERVER_TOPICS))
          visit(topic, pair)
          countLeft--
          bytesLeft -= pair.value.length
        }
      }
      return false
    } finally {
      await iterator.close()
    }
  }
  return read(Buffer.compare(resumed, gte) > 0 ? resumed : gte)
}

/** A place among topics: the topic of these levels, or what comes after it and everything below it. */
interface Place {
  readonly levels: readonly string[]
  readonly pastChildren: boolean
}

/** The first place after a topic that does not match at which one that matches can be; undefined when there is none. */
export function nextCandidate(filter: readonly string[], topic: readonly string[]): Place | undefined {
  if (topic[0]?.startsWith('$') === true && (filter[0] === '+' || filter[0] === '#'))
    return { levels: [AFTER_SERVER_TOPICS], pastChildren: false }
  let lastPlus = -1
  for (const [at, wanted] of filter.entries()) {
    const level = topic[at]
    // Too short: what follows are the topics below it.
    if (level === undefined) return { levels: [...topic, wanted === '+' ? '' : wanted], pastChildren: false }
    if (wanted === '+') lastPlus = at
    else if (wanted !== level) {
      if (Buffer.compare(Buffer.from(level), Buffer.from(wanted)) < 0)
        return { levels: [...topic.slice(0, at), wanted], pastChildren: false }
      return lastPlus === -1 ? undefined : { levels: topic.slice(0, lastPlus + 1), pastChildren: true }
    }
  }
  // Too long: everything below the length of the filter is.
  return { levels: topic.slice(0, filter.length), pastChildren: true }
}
