// SPDX-License-Identifier: Apache-2.0
// What meta keeps of a session (D9).

/** One life of one broker process. A node that restarts gets a higher boot epoch. */
export interface BrokerIdentity {
  readonly node: number
  readonly bootEpoch: number
}

/** Key of a session: unique within the cluster. */
export interface SessionKey {
  readonly tenant: string
  readonly clientId: string
}

export interface Will {
  readonly topic: string
  readonly qos: number
  readonly retain: boolean
  readonly payload: Buffer
  /** Encoded headers, as in a record. */
  readonly headers: Buffer
  readonly delaySeconds: number
  /** Lifetime of the message once published; undefined for none. */
  readonly messageExpirySeconds: number | undefined
}

/** 0: the session ends with the connection. EXPIRY_NEVER: it stays until it is ended. */
export type ExpirySeconds = number
export const EXPIRY_NEVER: ExpirySeconds = 0xffffffff

export interface Session extends SessionKey {
  /** Unique for ever; a session that is begun anew gets another. */
  readonly uid: number
  /** Raised by every takeover. Writes with a lower epoch fail. */
  readonly epoch: number
  /** Who serves it; undefined while the client is away. */
  readonly owner: BrokerIdentity | undefined
  readonly expirySeconds: ExpirySeconds
  /** When the client went away, ms since 1970; 0 while it is connected. */
  readonly disconnectedAtMs: number
  /** Published when the connection is lost, unless the client says goodbye. */
  readonly will: Will | undefined
}

export interface Subscription {
  readonly filter: string
  readonly qos: number
  readonly noLocal: boolean
  readonly retainAsPublished: boolean
  /** MQTT 5 subscription identifier; 0 for none. */
  readonly identifier: number
  /** Where the subscription began in each log: earlier records are not for it. */
  readonly since: readonly { readonly log: number; readonly position: number }[]
}

/** How far one session has got in one log. */
export interface Cursor {
  readonly log: number
  /** Every message of QoS 1 and 2 before it has been sent or does not match. */
  readonly next: number
  /** The end of the log when the cursor was saved: messages of QoS 0 before it were sent as they came, or dropped. Not before `next`. */
  readonly seen: number
  /** Sent and not finished, in order of sending. */
  readonly inFlight: readonly InFlight[]
}

export interface InFlight {
  readonly position: number
  readonly packetId: number
  /** Place among all that the session has in flight, over all logs: it is sent again in the order in which it was sent [MQTT-4.6.0-1]. */
  readonly order: number
  readonly qos: 1 | 2
  /** QoS 2: the receiver has the message, the release is outstanding. */
  readonly released: boolean
}
