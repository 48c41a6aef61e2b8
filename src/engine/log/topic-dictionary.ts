// SPDX-License-Identifier: Apache-2.0
// The topics of a log of type rocksdb: name to id, and the last position of each, which tells a reader whether there is anything for it (D6).
// Topics are also kept in the order of their last positions: the recent ones are found, and the old ones dropped, without looking at the rest.
import { assert } from '#base/assert'
import type { Position } from '#contract/client/engine-client'
import type { FilterSet } from './filter-set.ts'
import { NEVER_SAVED, Topic } from './topic.ts'
import { TopicTrie } from './topic-trie.ts'

/** Recently active topics that are compared one by one before the trie is asked. */
const RECENT_MAX = 1024
/** Places in the trie that one search may look at. */
const VISITS_MAX = 8192

export class TopicDictionary {
  readonly #byName = new Map<string, Topic>()
  readonly #byId = new Map<number, Topic>()
  readonly #trie = new TopicTrie()
  #newest: Topic | undefined
  #oldest: Topic | undefined
  #nextId = 0

  get size(): number {
    return this.#byName.size
  }

  get nextId(): number {
    return this.#nextId
  }

  byName(name: string): Topic | undefined {
    return this.#byName.get(name)
  }

  byId(id: number): Topic | undefined {
    return this.#byId.get(id)
  }

  /** Fills an empty dictionary with what was stored. */
  restore(nextId: number, stored: Iterable<{ readonly id: number; readonly name: string; readonly last: Position }>): void {
    assert(this.size === 0, 'a dictionary is restored before it is used')
    this.#nextId = nextId
    for (const { id, name, last } of stored) this.#insert(new Topic(id, name, last, last))
    const ascending = [...this.#byName.values()].sort((a, b) => a.last - b.last || a.id - b.id)
    for (const topic of ascending) this.#link(topic)
  }

  /** Notes that a topic has records up to `last`, which is not before the last position of any topic; creates it at first use. */
  touch(name: string, last: Position): Topic {
    let topic = this.#byName.get(name)
    if (topic === undefined) {
      topic = new Topic(this.#nextId++, name, last, NEVER_SAVED)
      this.#insert(topic)
      this.#link(topic)
      return topic
    }
    this.raise(topic, last)
    return topic
  }

  raise(topic: Topic, last: Position): void {
    topic.last = last
    if (this.#newest === topic) return
    this.#unlink(topic)
    this.#link(topic)
  }

  /**
   * Topics that match and may have records at or after `from`. Undefined when there are more than `countMax`, or too many to look for:
   * then it is cheaper to go through the log.
   */
  select(filters: FilterSet, from: Position, countMax: number): Topic[] | undefined {
    const found = new Set<Topic>()
    for (const name of filters.exact) this.#collect(found, this.#byName.get(name), from)
    if (filters.wildcards.length === 0 && !filters.all) return bounded(found, countMax)
    if (this.#collectRecent(found, filters, from)) return bounded(found, countMax)
    if (filters.all) return undefined
    let visitsLeft = VISITS_MAX
    for (const filter of filters.wildcards) {
      const matching = this.#trie.match(filter, visitsLeft)
      if (matching === undefined) return undefined
      visitsLeft -= matching.length
      for (const topic of matching) this.#collect(found, topic, from)
    }
    return bounded(found, countMax)
  }

  /** Topics with a last position at or after `from`, the most recent first. */
  *recent(from: Position): IterableIterator<Topic> {
    for (let topic = this.#newest; topic !== undefined && topic.last >= from; topic = topic.older) yield topic
  }

  /** Removes the topics of which every record lies before `start`, at most `countMax` of them, and returns them. */
  removeBefore(start: Position, countMax: number): Topic[] {
    const removed: Topic[] = []
    for (let topic = this.#oldest; topic !== undefined && topic.last < start && removed.length < countMax; topic = this.#oldest) {
      this.remove(topic)
      removed.push(topic)
    }
    return removed
  }

  /** The name gets another id when it comes again. */
  remove(topic: Topic): void {
    this.#unlink(topic)
    this.#byName.delete(topic.name)
    this.#byId.delete(topic.id)
    this.#trie.remove(topic)
  }

  #collect(found: Set<Topic>, topic: Topic | undefined, from: Position): void {
    if (topic !== undefined && topic.last >= from) found.add(topic)
  }

  /** Adds the matching topics among the recently active ones. False when those before `from` were not reached: then there may be more. */
  #collectRecent(found: Set<Topic>, filters: FilterSet, from: Position): boolean {
    let left = RECENT_MAX
    for (let topic = this.#newest; topic !== undefined && topic.last >= from; topic = topic.older) {
      if (left-- === 0) return false
      if (filters.matches(topic.name)) found.add(topic)
    }
    return true
  }

  #insert(topic: Topic): void {
    this.#byName.set(topic.name, topic)
    this.#byId.set(topic.id, topic)
    this.#trie.add(topic)
  }

  #link(topic: Topic): void {
    topic.older = this.#newest
    topic.newer = undefined
    if (this.#newest !== undefined) this.#newest.newer = topic
    else this.#oldest = topic
    this.#newest = topic
  }

  #unlink(topic: Topic): void {
    if (topic.newer !== undefined) topic.newer.older = topic.older
    else this.#newest = topic.older
    if (topic.older !== undefined) topic.older.newer = topic.newer
    else this.#oldest = topic.newer
    topic.newer = topic.older = undefined
  }
}

const bounded = (found: ReadonlySet<Topic>, countMax: number): Topic[] | undefined => (found.size > countMax ? undefined : [...found])
