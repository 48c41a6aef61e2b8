// SPDX-License-Identifier: Apache-2.0
// Topics by level, to find those that match a filter without looking at the others. A topic without topics below it has no node of its own.
import type { Topic } from './topic.ts'

/** Levels of names are joined by it. */
const SEPARATOR = '/'

class Branch {
  readonly children = new Map<string, Branch | Topic>()
  /** The topic whose name ends here. */
  topic: Topic | undefined
}

/** Topics found, and how much looking is left. */
interface Search {
  readonly root: Branch
  readonly levels: readonly string[]
  readonly found: Topic[]
  visitsLeft: number
}

export class TopicTrie {
  readonly #root = new Branch()

  add(topic: Topic): void {
    const levels = topic.name.split(SEPARATOR)
    const last = levels.length - 1
    let branch = this.#root
    for (let at = 0; at < last; at++) branch = descend(branch, levels[at] as string)
    const name = levels[last] as string
    const child = branch.children.get(name)
    if (child instanceof Branch) child.topic = topic
    else branch.children.set(name, topic)
  }

  remove(topic: Topic): void {
    removeBelow(this.#root, topic, topic.name.split(SEPARATOR), 0)
  }

  /** Topics that match a filter with wildcards; undefined when `visitsMax` places do not suffice to find all of them. */
  match(filter: string, visitsMax: number): Topic[] | undefined {
    const search: Search = { root: this.#root, levels: filter.split(SEPARATOR), found: [], visitsLeft: visitsMax }
    visit(search, this.#root, 0)
    return search.visitsLeft < 0 ? undefined : search.found
  }
}

function descend(branch: Branch, level: string): Branch {
  const child = branch.children.get(level)
  if (child instanceof Branch) return child
  const deeper = new Branch()
  deeper.topic = child
  branch.children.set(level, deeper)
  return deeper
}

function removeBelow(branch: Branch, topic: Topic, levels: readonly string[], at: number): void {
  const level = levels[at] as string
  const child = branch.children.get(level)
  if (child === topic) branch.children.delete(level)
  if (!(child instanceof Branch)) return
  if (at === levels.length - 1) {
    if (child.topic === topic) child.topic = undefined
  } else removeBelow(child, topic, levels, at + 1)
  if (child.children.size === 0) {
    if (child.topic === undefined) branch.children.delete(level)
    else branch.children.set(level, child.topic)
  }
}

/** `at` is the level of the filter that the children of `place` are compared with. */
function visit(search: Search, place: Branch | Topic, at: number): void {
  if (--search.visitsLeft < 0) return
  const level = search.levels[at]
  if (level === undefined || level === '#') take(search, place)
  if (level === undefined || !(place instanceof Branch)) return
  if (level === '#' || level === '+') {
    for (const [name, child] of place.children) {
      if (search.visitsLeft < 0) return
      // A wildcard in the first level leaves out names that begin with '$' [MQTT-4.7.2-1].
      if (place === search.root && name.startsWith('$')) continue
      visit(search, child, level === '#' ? at : at + 1)
    }
    return
  }
  const child = place.children.get(level)
  if (child !== undefined) visit(search, child, at + 1)
}

function take(search: Search, place: Branch | Topic): void {
  const topic = place instanceof Branch ? place.topic : place
  if (topic !== undefined) search.found.push(topic)
}
