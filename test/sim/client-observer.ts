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
}

export interface DeliveredMessage {
  readonly topic: string
  readonly payload: string
  readonly qos: Qos
  readonly duplicate: boolean
  readonly retain: boolean
}

/** What a client may forgive depends on what has happened to the server. */
export interface ServerHistory {
  /** Processes that have run so far. */
  readonly lives: number
  /** How many of them ended without a stop. */
  readonly deaths: number
}

export interface ClientObserver {
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
  /** CONNECT with a will was sent. `certain`: once the connection is lost, nothing can cancel it. */
  willSent(will: TestMessage, certain: boolean): void
  /** The connection with that will is known to stand. */
  willArmed(will: TestMessage): void
  /** The connection ended: 'farewell' by DISCONNECT, which cancels the will if it arrives, 'lost' otherwise. */
  willReleased(will: TestMessage, how: 'farewell' | 'lost'): void
}
