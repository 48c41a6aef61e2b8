// SPDX-License-Identifier: Apache-2.0
// Which member of a shared group is asked first. One that has no room is passed over: the others are asked in their order.
import type { Config } from '#base/config/schema'
import type { Random } from '#base/port/random'

export type SharePolicyName = Config['mqtt']['sharedPolicy']

/** One for each group: it may remember whom it chose. Members are given by their place in the list of those who are connected. */
export interface SharePolicy {
  /** The place to begin at; `count` is at least 1. */
  first(count: number, topic: string, publisher: number): number
  /** The member at that place took the message. */
  taken(at: number): void
  /** The member at that place has left: those behind it have moved up. */
  left(at: number): void
}

export function createSharePolicy(name: SharePolicyName, random: Random): SharePolicy {
  switch (name) {
    case 'round_robin':
    // All members of a group are on this node: the local ones come first when the group spans several.
    case 'local_first':
      return new RoundRobin()
    case 'sticky':
      return new Sticky()
    case 'random':
      return { first: (count) => random.range(0, count - 1), taken: ignore, left: ignore }
    case 'hash_client_id':
      return { first: (count, _topic, publisher) => hashNumber(publisher) % count, taken: ignore, left: ignore }
    case 'hash_topic':
      return { first: (count, topic) => hashText(topic) % count, taken: ignore, left: ignore }
  }
}

const ignore = (): void => undefined

class RoundRobin implements SharePolicy {
  #next = 0

  first(count: number): number {
    if (this.#next >= count) this.#next = 0
    return this.#next
  }

  taken(at: number): void {
    this.#next = at + 1
  }

  left(at: number): void {
    if (at < this.#next) this.#next--
  }
}

/** The same member for as long as it is there and has room. */
class Sticky implements SharePolicy {
  #held = 0

  first(count: number): number {
    if (this.#held >= count) this.#held = 0
    return this.#held
  }

  taken(at: number): void {
    this.#held = at
  }

  left(at: number): void {
    if (at < this.#held) this.#held--
  }
}

const FNV_OFFSET = 0x811c9dc5
const FNV_PRIME = 0x01000193

/** FNV-1a over UTF-16 units: cheap, and the same on every node. */
function hashText(text: string): number {
  let hash = FNV_OFFSET
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), FNV_PRIME)
  return hash >>> 0
}

/** The same over the two halves of an integer. Multiplying spreads uids that follow one another. */
function hashNumber(value: number): number {
  const high = Math.floor(value / 0x1_0000_0000)
  const mixed = Math.imul(Math.imul(FNV_OFFSET ^ (value >>> 0), FNV_PRIME) ^ high, FNV_PRIME)
  return (mixed ^ (mixed >>> 15)) >>> 0
}
