// SPDX-License-Identifier: Apache-2.0
// The packets a client sends, as values, and who receives them.
import type { ExpirySeconds, Will } from '#contract/record/session'
import type { ProtocolProblem } from './problem.ts'

/** Protocol levels: MQTT 3.1, 3.1.1 and 5.0. */
export type ProtocolVersion = 3 | 4 | 5

/** Packet types (MQTT 5 section 2.1.2). */
export const PACKET = Object.freeze({
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  suback: 9,
  unsubscribe: 10,
  unsuback: 11,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
  auth: 15,
})

/** PUBACK, PUBREC, PUBREL, PUBCOMP. */
export type AckType = 4 | 5 | 6 | 7

/** Name and value. Order and repetition mean something [MQTT-3.1.3-10]. */
export type UserProperty = readonly [name: string, value: string]

/** A packet size that bounds nothing: no maximum was given. */
export const PACKET_SIZE_UNLIMITED = 0xffff_ffff

/** In the terms of MQTT 5; for 3.x the fields have the values that mean the same. All buffers are copies. */
export interface ConnectPacket {
  readonly version: ProtocolVersion
  /** May be empty: what that means is for the handler to say. */
  readonly clientId: string
  /** 3.x: Clean Session. */
  readonly cleanStart: boolean
  readonly keepAliveSeconds: number
  readonly userName: string | undefined
  readonly password: Buffer | undefined
  /** Response topic and message expiry are checked; `headers` are the forwardable properties, as they came. */
  readonly will: Will | undefined
  /** 3.x: 0 with Clean Session, EXPIRY_NEVER without. */
  readonly sessionExpirySeconds: ExpirySeconds
  readonly receiveMaximum: number
  /** Largest packet the client takes, in bytes; PACKET_SIZE_UNLIMITED when it did not say. */
  readonly maximumPacketSize: number
  readonly topicAliasMaximum: number
  readonly requestResponseInformation: boolean
  readonly requestProblemInformation: boolean
  readonly userProperties: readonly UserProperty[]
  readonly authenticationMethod: string | undefined
  readonly authenticationData: Buffer | undefined
}

export interface SubscriptionRequest {
  readonly filter: string
  readonly qos: 0 | 1 | 2
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  /** 0: send retained messages; 1: only if the subscription is new; 2: do not. */
  readonly retainHandling: 0 | 1 | 2
}

export interface SubscribePacket {
  readonly packetId: number
  /** Subscription identifier; 0 for none. */
  readonly identifier: number
  readonly filters: readonly SubscriptionRequest[]
  readonly userProperties: readonly UserProperty[]
}

export interface UnsubscribePacket {
  readonly packetId: number
  readonly filters: readonly string[]
  readonly userProperties: readonly UserProperty[]
}

export interface DisconnectPacket {
  readonly reasonCode: number
  /** Undefined: as it was in CONNECT. */
  readonly sessionExpirySeconds: ExpirySeconds | undefined
  readonly reasonString: string | undefined
  readonly userProperties: readonly UserProperty[]
}

export interface AuthPacket {
  readonly reasonCode: number
  readonly authenticationMethod: string
  readonly authenticationData: Buffer | undefined
  readonly reasonString: string | undefined
  readonly userProperties: readonly UserProperty[]
}

/** One PUBLISH, in the bytes it came in. Valid only during the call that hands it over: object and bytes are used again. */
export interface PublishView {
  readonly bytes: Buffer
  readonly dup: boolean
  readonly qos: 0 | 1 | 2
  readonly retain: boolean
  /** Start equals end when the topic is only named by its alias. */
  readonly topicStart: number
  readonly topicEnd: number
  /** The topic name, checked. The same string object while the topic stays the same. Outlives the call. */
  readonly topic: string
  /** 0 at QoS 0. */
  readonly packetId: number
  /** The properties without their length. Empty for 3.x. */
  readonly propertiesStart: number
  readonly propertiesEnd: number
  readonly payloadStart: number
  readonly payloadEnd: number
  /** 0 for none. Whether it is within the maximum is for the handler to check. */
  readonly topicAlias: number
  /** -1 for none. */
  readonly messageExpirySeconds: number
  /** The properties that are passed on unaltered, encoded, in their order; empty for none. A copy: outlives the call. */
  readonly headers: Buffer
}

/** Who receives what a client sends. Called synchronously, in the order of the packets. Nothing comes after `onMalformed`. */
export interface PacketHandler {
  onConnect(packet: ConnectPacket): void
  onPublish(publish: PublishView): void
  onAck(type: AckType, packetId: number, reasonCode: number): void
  onSubscribe(packet: SubscribePacket): void
  onUnsubscribe(packet: UnsubscribePacket): void
  onPingreq(): void
  onDisconnect(packet: DisconnectPacket): void
  onAuth(packet: AuthPacket): void
  /** The reader is dead. Its `version` says in which dialect the problem may be answered; 0: none is known, close. */
  onMalformed(problem: ProtocolProblem): void
}
