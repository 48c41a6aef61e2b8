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
  /** Absent for a message that lives for ever. */
  /** Place in the history, in a replay only. */
  readonly offset?: number
  readonly expiry?: { readonly endsMs: number; readonly seconds: number }
}

/** The lifetime that the publisher gave it, from now on. */
export function expiryOf({ properties }: IPublishPacket, nowMs: number, unitMs: number): Pick<StoredMessage, 'expiry'> {
  const seconds = properties?.messageExpiryInterval
  return seconds === undefined ? {} : { expiry: { endsMs: nowMs + seconds * unitMs, seconds } }
}

export const isOver = ({ expiry }: StoredMessage, nowMs: number): boolean => expiry !== undefined && expiry.endsMs <= nowMs

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

export function publishPacket(message: StoredMessage, messageId: number | undefined, dup: boolean, nowMs: number): IPublishPacket {
  const { topic, qos, retain, payload, expiry, offset } = message
  const packet: IPublishPacket = { cmd: 'publish', topic, qos, retain, payload, dup, ...(messageId === undefined ? {} : { messageId }) }
  if (expiry !== undefined)
    packet.properties = { messageExpiryInterval: Math.min(expiry.seconds, Math.max(0, Math.ceil((expiry.endsMs - nowMs) / 1000))) }
  if (offset !== undefined) packet.properties = { ...packet.properties, userProperties: { offset: String(offset) } }
  return packet
}

/** Aliases of topics, in both directions. They belong to a connection. */
export interface Aliases {
  readonly inbound: Map<number, string>
  readonly outbound: Map<string, number>
  outboundMax: number
}

export const newAliases = (): Aliases => ({ inbound: new Map(), outbound: new Map(), outboundMax: 0 })

/** The topic that a client means. */
export function topicOf({ topic, properties }: IPublishPacket, { inbound }: Aliases, keepsFirst: boolean): string {
  const alias = properties?.topicAlias
  if (alias === undefined) return topic
  if (topic !== '' && !(keepsFirst && inbound.has(alias))) inbound.set(alias, topic)
  return topic === '' ? (inbound.get(alias) ?? '') : topic
}

/** Names the topic by its alias, or gives it one while there are some. */
export function aliased(packet: IPublishPacket, { outbound, outboundMax }: Aliases): IPublishPacket {
  const known = outbound.get(packet.topic)
  if (known === undefined && outbound.size >= outboundMax) return packet
  const topicAlias = known ?? outbound.size + 1
  outbound.set(packet.topic, topicAlias)
  return { ...packet, topic: known === undefined ? packet.topic : '', properties: { ...packet.properties, topicAlias } }
}
