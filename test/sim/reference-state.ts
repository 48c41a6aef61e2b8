// SPDX-License-Identifier: Apache-2.0
// What the reference broker keeps: one plain value, stored whole.
import type { IConnectPacket, IPublishPacket } from 'mqtt-packet'
import { matches } from '#base/topic-filter'
import type { Qos } from './client-observer.ts'

export interface StoredMessage {
  readonly topic: string
  readonly qos: Qos
  readonly retain: boolean
  readonly payload: string
}

export interface StoredWill extends StoredMessage {
  readonly delaySeconds: number
}

/** A QoS 1 or 2 message on its way to the client, in order of sending. */
export interface Flight {
  readonly id: number
  readonly message: StoredMessage
  /** PUBREC was received. */
  released: boolean
}

export interface StoredSession {
  readonly id: string
  readonly subscriptions: { readonly filter: string; qos: Qos }[]
  /** Not yet sent, QoS 1 and 2. */
  readonly queue: StoredMessage[]
  flights: Flight[]
  /** QoS 2 ids of the client, not yet released. */
  received: number[]
  lastId: number
  expirySeconds: number
  /** Most flights at once. */
  window: number
  connected: boolean
  awaySinceMs: number
  will: StoredWill | undefined
}

/** To be published later. */
export interface StoredDelayed {
  readonly dueMs: number
  readonly message: StoredMessage
}

export interface BrokerState {
  sessions: StoredSession[]
  retained: StoredMessage[]
  delayed: StoredDelayed[]
}

const EXPIRY_NEVER_SECONDS = 0xffffffff
const WINDOW_DEFAULT = 20

export function newSession(id: string): StoredSession {
  return {
    id,
    subscriptions: [],
    queue: [],
    flights: [],
    received: [],
    lastId: 0,
    expirySeconds: 0,
    window: WINDOW_DEFAULT,
    connected: false,
    awaySinceMs: 0,
    will: undefined,
  }
}

/** Takes over what a CONNECT says. */
export function attach(session: StoredSession, packet: IConnectPacket): void {
  const { properties, will } = packet
  const v4Expiry = packet.clean === true ? 0 : EXPIRY_NEVER_SECONDS
  session.expirySeconds = packet.protocolVersion === 5 ? (properties?.sessionExpiryInterval ?? 0) : v4Expiry
  session.window = properties?.receiveMaximum ?? WINDOW_DEFAULT
  session.connected = true
  session.will =
    will === undefined
      ? undefined
      : {
          topic: will.topic,
          qos: will.qos ?? 0,
          retain: will.retain ?? false,
          payload: will.payload.toString(),
          delaySeconds: will.properties?.willDelayInterval ?? 0,
        }
}

export function hasExpired(session: StoredSession, nowMs: number): boolean {
  if (session.connected || session.expirySeconds === EXPIRY_NEVER_SECONDS) return false
  return nowMs >= session.awaySinceMs + session.expirySeconds * 1000
}

/** The highest QoS of the matching subscriptions; undefined when none matches. */
export function qosFor(session: StoredSession, topic: string): Qos | undefined {
  let highest: Qos | undefined
  for (const { filter, qos } of session.subscriptions) {
    if ((highest === undefined || qos > highest) && matches(filter, topic)) highest = qos
  }
  return highest
}

/** Moves the next queued message into flight; undefined when there is none or the window is full. */
export function nextFlight(session: StoredSession): Flight | undefined {
  const message = session.queue[0]
  if (message === undefined || session.flights.length >= session.window) return undefined
  session.queue.shift()
  do session.lastId = (session.lastId % 65_535) + 1
  while (session.flights.some(({ id }) => id === session.lastId))
  const flight: Flight = { id: session.lastId, message, released: false }
  session.flights.push(flight)
  return flight
}

export function publishPacket(message: StoredMessage, messageId: number | undefined, dup: boolean): IPublishPacket {
  const { topic, qos, retain, payload } = message
  return { cmd: 'publish', topic, qos, retain, payload, dup, ...(messageId === undefined ? {} : { messageId }) }
}
