// SPDX-License-Identifier: Apache-2.0
// Who gets a topic's messages on this broker. Answers are remembered per topic and forgotten when a subscription changes.
import { assert } from '#base/assert'
import type { LogId } from '#contract/client/engine-client'
import type { RecordBatch, RecordCursor } from '#contract/record/record-batch'
import type { Subscription } from '#contract/record/session'

/** Takes live records. Called for each record of a batch: must not allocate more than it keeps. */
export interface Subscriber {
  readonly uid: number
  deliver(target: Target, log: LogId, batch: RecordBatch, cursor: RecordCursor): void
}

/** What subscriptions that match a topic entitle to, together: one copy of each message. */
export interface Claim {
  /** Highest QoS granted. */
  readonly qos: number
  readonly retainAsPublished: boolean
  /** MQTT 5 subscription identifiers, without zeros. */
  readonly identifiers: readonly number[]
  /** Messages carry their offset (D8); absent when they do not. */
  readonly offsets?: boolean
}

/** One subscriber's claim on a topic. */
export interface Target extends Claim {
  readonly subscriber: Subscriber
  /** The claim on what the subscriber published itself; undefined when it does not want it (no local). */
  readonly own: Claim | undefined
}

export type Route = readonly Target[]

interface Node {
  readonly children: Map<string, Node>
  /** Subscriptions that end at this level, by subscriber. */
  readonly here: Map<Subscriber, Subscription>
}

const NOBODY: Route = Object.freeze([])
/** Topics whose route is remembered. */
const ROUTES_MAX = 100_000

export class SubscriptionTable {
  readonly #root: Node = newNode()
  readonly #routes = new Map<string, Route>()
  #size = 0

  /** Subscriptions, all subscribers together. */
  get size(): number {
    return this.#size
  }

  /** Whether any filter begins with this level. */
  hasBranch(level: string): boolean {
    return this.#root.children.has(level)
  }

  /** Adds, or replaces the one with the same filter. */
  add(subscriber: Subscriber, subscription: Subscription): void {
    let node = this.#root
    for (const level of subscription.filter.split('/')) {
      let child = node.children.get(level)
      if (child === undefined) {
        child = newNode()
        node.children.set(level, child)
      }
      node = child
    }
    if (!node.here.has(subscriber)) this.#size++
    node.here.set(subscriber, subscription)
    this.#routes.clear()
  }

  remove(subscriber: Subscriber, filter: string): void {
    const path: Node[] = [this.#root]
    const levels = filter.split('/')
    for (const level of levels) {
      const child = path[path.length - 1]?.children.get(level)
      if (child === undefined) return
      path.push(child)
    }
    if (!path[path.length - 1]?.here.delete(subscriber)) return
    this.#size--
    for (let depth = levels.length; depth > 0; depth--) {
      const node = path[depth]
      if (node === undefined || node.here.size > 0 || node.children.size > 0) break
      path[depth - 1]?.children.delete(levels[depth - 1] as string)
    }
    this.#routes.clear()
  }

  /** All claims on a topic, one for each subscriber. */
  route(topic: string): Route {
    const known = this.#routes.get(topic)
    if (known !== undefined) return known
    if (this.#routes.size >= ROUTES_MAX) this.#routes.clear()
    const route = this.#match(topic)
    this.#routes.set(topic, route)
    return route
  }

  #match(topic: string): Route {
    const found = new Map<Subscriber, Subscription[]>()
    const levels = topic.split('/')
    // A topic that begins with '$' is never matched by a leading wildcard [MQTT-4.7.2-1].
    const plain = !topic.startsWith('$')
    let frontier: Node[] = [this.#root]
    for (let depth = 0; depth < levels.length && frontier.length > 0; depth++) {
      const wild = depth > 0 || plain
      const next: Node[] = []
      for (const node of frontier) {
        const exact = node.children.get(levels[depth] as string)
        if (exact !== undefined) next.push(exact)
        if (!wild) continue
        const any = node.children.get('+')
        if (any !== undefined) next.push(any)
        collect(node.children.get('#'), found)
      }
      frontier = next
    }
    for (const node of frontier) {
      collect(node, found)
      collect(node.children.get('#'), found)
    }
    if (found.size === 0) return NOBODY
    return [...found].map(([subscriber, subscriptions]) => mergeClaims(subscriber, subscriptions))
  }
}

const newNode = (): Node => ({ children: new Map(), here: new Map() })

function collect(node: Node | undefined, into: Map<Subscriber, Subscription[]>): void {
  if (node === undefined) return
  for (const [subscriber, subscription] of node.here) {
    const others = into.get(subscriber)
    if (others === undefined) into.set(subscriber, [subscription])
    else others.push(subscription)
  }
}

/** One claim out of the subscriptions of one subscriber that match the same topic [MQTT-3.3.4-2]. */
export function mergeClaims(subscriber: Subscriber, subscriptions: readonly Subscription[]): Target {
  const all = claimOf(subscriptions)
  assert(all !== undefined, 'a claim has a subscription')
  const local = subscriptions.filter(({ noLocal }) => !noLocal)
  return { ...all, subscriber, own: local.length === subscriptions.length ? all : claimOf(local) }
}

function claimOf(subscriptions: readonly Subscription[]): Claim | undefined {
  if (subscriptions.length === 0) return undefined
  let qos = 0
  let retainAsPublished = false
  const identifiers: number[] = []
  for (const subscription of subscriptions) {
    qos = Math.max(qos, subscription.qos)
    retainAsPublished ||= subscription.retainAsPublished
    if (subscription.identifier !== 0) identifiers.push(subscription.identifier)
  }
  return { qos, retainAsPublished, identifiers }
}
