// SPDX-License-Identifier: Apache-2.0
// What meta keeps of a session (D9).

/** One life of one broker process. A node that restarts gets a higher boot epoch. */
export interface BrokerIdentity {
  readonly node: number
  readonly bootEpoch: number
}

/**
 * Tenant of shared groups. Meta keeps a group that must not be forgotten like a session without a client: a uid, an epoch, cursors. What is in
 * flight of such a cursor is with some member.
 */
export const SHARE_TENANT = '$share'

/** Key of a session: unique within the cluster. */
export interface SessionKey {
  readonly tenant: string
  readonly clientId: string
}

/** Who gave a will, besides its client id: asked about when the will is fired. */
export interface WillAuthor {
  /** Undefined for a client that was not authenticated. */
  readonly userName: string | undefined
  /** Who vouched for the user name. */
  readonly source: 'users' | 'certificate'
  /** IP address; empty when it is not known. */
  readonly address: string
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
  /** Absent before the client is known. */
  readonly author?: WillAuthor | undefined
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
  /** It reads the stored history from `since` on before it goes on live, and has a place of its own in each log (D8). */
  readonly replay?: boolean
  /** Retained messages are still owed: those of the topics after this one, '' for all. Absent when none are. */
  readonly retainedAfter?: string
  /** The session holds the filter exclusively; absent otherwise. */
  readonly exclusive?: boolean
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
  /** How far subscriptions that replay have got, each by itself; absent when there are none. */
  readonly replays?: readonly ReplayPlace[]
}

/** Every message before `next` has been sent for this subscription, or is not for it. */
export interface ReplayPlace {
  readonly filter: string
  readonly next: number
}

export interface InFlight {
  readonly position: number
  readonly packetId: number
  /** Place among all that the session has in flight, over all logs: it is sent again in the order in which it was sent [MQTT-4.6.0-1]. */
  readonly order: number
  readonly qos: 1 | 2
  /** Sent as a retained message, and so again; absent otherwise. */
  readonly retained?: boolean
  /** QoS 2: the receiver has the message, the release is outstanding. */
  readonly released: boolean
  /** Uid of the shared group that handed it out; absent when the session has it from a subscription of its own. */
  readonly share?: number
}
