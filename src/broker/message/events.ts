// SPDX-License-Identifier: Apache-2.0
// What happens to clients and sessions, told to whoever subscribes to $SYS/events/KIND: one JSON object for each event. Kinds are off unless they are
// configured, and each has a rate beyond which events are counted instead: a storm of reconnects is no storm of messages.
import type { Clock } from '#base/port/clock'
import type { Counter } from '#base/port/metrics'
import type { SystemPublisher } from './system-publisher.ts'

/** By name of its key in [mqtt.events]. The values are the last levels of the topics. */
const TOPIC = Object.freeze({
  clientConnected: 'client_connected',
  clientDisconnected: 'client_disconnected',
  sessionSubscribed: 'session_subscribed',
  sessionUnsubscribed: 'session_unsubscribed',
  messageDropped: 'message_dropped',
  sessionExpired: 'session_expired',
  sessionTakenOver: 'session_taken_over',
})

export type EventKind = keyof typeof TOPIC

export type EventSettings = { readonly [K in EventKind]: boolean } & {
  /** Events of one kind in a second. */
  readonly rateMax: number
}

/** Beside these every event says the node and the time. */
export interface EventFields {
  readonly [name: string]: string | number | boolean | undefined
}

/** A kind's share of the current second. */
interface Window {
  second: number
  published: number
  /** Not published since the last one that was. */
  suppressed: number
}

export class BrokerEvents {
  readonly #clock: Clock
  readonly #publisher: Pick<SystemPublisher, 'publish'>
  readonly #node: number
  readonly #suppressed: Counter
  #settings: EventSettings
  readonly #windows = new Map<EventKind, Window>()

  constructor(clock: Clock, publisher: Pick<SystemPublisher, 'publish'>, node: number, suppressed: Counter, settings: EventSettings) {
    this.#clock = clock
    this.#publisher = publisher
    this.#node = node
    this.#suppressed = suppressed
    this.#settings = settings
  }

  set settings(settings: EventSettings) {
    this.#settings = settings
  }

  /** Ask before fields are gathered where that costs something. */
  isOn(kind: EventKind): boolean {
    return this.#settings[kind]
  }

  /** Nothing happens when the kind is off. */
  tell(kind: EventKind, clientId: string, fields: EventFields): void {
    if (!this.#settings[kind]) return
    const nowMs = this.#clock.realtime()
    const window = this.#windowOf(kind)
    const second = Math.floor(this.#clock.monotonic() / 1000)
    if (window.second !== second) {
      window.second = second
      window.published = 0
    }
    if (window.published >= this.#settings.rateMax) {
      window.suppressed++
      this.#suppressed.add(1)
      return
    }
    window.published++
    const suppressed = window.suppressed === 0 ? undefined : window.suppressed
    window.suppressed = 0
    // Members that are undefined do not appear.
    this.#publisher.publish(
      `$SYS/events/${TOPIC[kind]}`,
      JSON.stringify({ node: this.#node, timeMs: Math.floor(nowMs), clientId, ...fields, suppressed }),
    )
  }

  #windowOf(kind: EventKind): Window {
    const known = this.#windows.get(kind)
    if (known !== undefined) return known
    const window = { second: -1, published: 0, suppressed: 0 }
    this.#windows.set(kind, window)
    return window
  }
}
