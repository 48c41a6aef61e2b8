// SPDX-License-Identifier: Apache-2.0
// What a simulated client tells the oracle about its life, in the order in which it happens.

export type Qos = 0 | 1 | 2

/** A message of the workload. Its payload is unique, but for the empty payload that removes a retained value. */
export interface TestMessage {
  readonly publisher: string
  /** Unique and increasing for each publisher. */
  readonly sequence: number
  readonly topic: string
  readonly qos: Qos
  readonly retain: boolean
  readonly payload: string
  /** Published through the delayed topic: to come so much later. */
  readonly delaySeconds?: number
  /** Message Expiry Interval; absent for none. */
  readonly expirySeconds?: number
}

export interface DeliveredMessage {
  readonly topic: string
  readonly payload: string
  readonly qos: Qos
  readonly duplicate: boolean
  readonly retain: boolean
  /** The Message Expiry Interval of the packet: what is left of the lifetime. Undefined when it has none. */
  readonly lifetimeSeconds: number | undefined
  /** The receiver's protocol version can tell a lifetime. */
  readonly tellsLifetime: boolean
  /** When the receiver sent the CONNECT of this connection: the packet was written after it. */
  readonly connectingSinceMs: number
}

/** What a client may forgive depends on what has happened to the server. */
export interface ServerHistory {
  /** Processes that have run so far. */
  readonly lives: number
  /** How many of them ended without a stop. */
  readonly deaths: number
}

export interface ClientObserver {
  /** CONNECT was sent. */
  connectSent(client: string): void
  /** CONNACK with Session Present. */
  sessionResumed(client: string): void
  /** CONNACK without Session Present: whatever session there was has ended. */
  sessionBegan(client: string): void
  /** The session ended with its connection, or may have. */
  sessionEnded(client: string): void
  publishBegan(message: TestMessage): void
  /** Sent again after a reconnect, with DUP. */
  publishRepeated(message: TestMessage): void
  publishAcknowledged(message: TestMessage): void
  /** The server said that it has not stored the message. */
  publishRefused(message: TestMessage): void
  /** `qos` enters the bounds of what may be delivered at once. */
  subscribeSent(client: string, filter: string, qos: Qos): void
  subscribed(client: string, filter: string): void
  unsubscribeSent(client: string, filter: string): void
  /** The application got a message. A QoS 2 message that the protocol recognised as repeated is not told. */
  delivered(client: string, message: DeliveredMessage): void
  /** CONNECT with a will was sent. With a delay of 0 nothing can cancel it, once the connection is lost. */
  willSent(client: string, will: TestMessage, delaySeconds: number): void
  /** The connection with that will is known to stand. */
  willArmed(will: TestMessage): void
  /** The connection that carried the will ended. */
  willReleased(client: string, will: TestMessage, how: ConnectionEnd): void
}

/**
 * How a connection ended: 'farewell' by DISCONNECT, which cancels the will if it arrives; 'lost' without; 'unknown' by a DISCONNECT that the server need not
 * have read, because MQTT 3.1.1 lets it refuse a PUBLISH before it only by closing the connection.
 */
export type ConnectionEnd = 'farewell' | 'lost' | 'unknown'
