// SPDX-License-Identifier: Apache-2.0
// Which subscriptions each client has, as far as the client can know.
import { matches } from '#base/topic-filter'
import type { Qos } from '../client-observer.ts'

/** One uninterrupted life of a subscription. A second SUBSCRIBE of its filter goes on with it. */
export interface SubscriptionLife {
  readonly client: string
  readonly filter: string
  /** SUBACK was seen: a publish that begins from now on is for it (Q16). */
  effective: boolean
  /** Bounds of the granted QoS while a change is under way, and after it. */
  qosMin: Qos
  qosMax: Qos
  /** UNSUBSCRIBE was sent, or the session may have ended: nothing must be delivered any more. */
  ended: boolean
}

export class SubscriptionModel {
  /** By client, then by filter. */
  readonly #active = new Map<string, Map<string, SubscriptionLife>>()
  /** Every filter a client has ever asked for: what may be delivered. */
  readonly #everAsked = new Map<string, Set<string>>()

  sent(client: string, filter: string, qos: Qos): void {
    within(this.#everAsked, client, () => new Set<string>()).add(filter)
    const lives = within(this.#active, client, () => new Map<string, SubscriptionLife>())
    const life = lives.get(filter)
    if (life === undefined) lives.set(filter, { client, filter, effective: false, qosMin: qos, qosMax: qos, ended: false })
    else {
      life.qosMin = qos < life.qosMin ? qos : life.qosMin
      life.qosMax = qos > life.qosMax ? qos : life.qosMax
    }
  }

  granted(client: string, filter: string): void {
    const life = this.#active.get(client)?.get(filter)
    if (life !== undefined) life.effective = true
  }

  unsubscribed(client: string, filter: string): void {
    const lives = this.#active.get(client)
    const life = lives?.get(filter)
    if (life === undefined) return
    life.ended = true
    lives?.delete(filter)
  }

  sessionEnded(client: string): void {
    for (const life of this.#active.get(client)?.values() ?? []) life.ended = true
    this.#active.delete(client)
  }

  /** The subscriptions that a message published from now on must reach, while they last. */
  effectiveFor(topic: string, qos: Qos): readonly SubscriptionLife[] {
    const found: SubscriptionLife[] = []
    for (const lives of this.#active.values()) {
      for (const life of lives.values())
        if (life.effective && Math.min(qos, life.qosMin) > 0 && matches(life.filter, topic)) found.push(life)
    }
    return found
  }

  /** How many of a client's filters, past ones included, match: each may bring a copy [MQTT-3.3.5-1]. */
  copiesMax(client: string, topic: string): number {
    let count = 0
    for (const filter of this.#everAsked.get(client) ?? []) if (matches(filter, topic)) count++
    return count
  }
}

/** The value of a key, made when missing. */
export function within<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key)
  if (value === undefined) {
    value = make()
    map.set(key, value)
  }
  return value
}
