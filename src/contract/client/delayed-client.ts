// SPDX-License-Identifier: Apache-2.0
// What the meta service keeps of messages that are to be published later. Committed and rejected as in MetaClient.
import type { WillAuthor } from '../record/session.ts'

/** In the order of their time, and of being stored. */
export interface DelayedKey {
  /** When it is to be published, ms since 1970. */
  readonly dueMs: number
  /** Unique for ever. */
  readonly id: number
}

export interface DelayedHead {
  readonly topic: string
  readonly qos: number
  readonly retain: boolean
  /** Uid of the session that published it. */
  readonly publisher: number
  readonly clientId: string
}

export interface DelayedMessage extends DelayedHead {
  /** Lifetime of the message once published; undefined for none. */
  readonly messageExpirySeconds: number | undefined
  /** Encoded headers, as in a record. */
  readonly headers: Buffer
  readonly payload: Buffer
  /** Who gave it: asked about again when it is published (Q22). Absent in what older versions stored. */
  readonly author?: WillAuthor | undefined
}

/** A message that waits, without its content. */
export interface DelayedEntry extends DelayedKey, DelayedHead {
  /** Of headers and payload. */
  readonly sizeBytes: number
}

/** A QoS 2 message of a client that was stored and that the client has not released yet. */
export interface DelayedReceipt {
  readonly publisher: number
  readonly packetId: number
}

export interface DelayedClient {
  /**
   * Stores a message. `packetId` (QoS 2, else undefined) is remembered for the publisher in the same write: until it is released, the same id
   * stores nothing and gives the key of the first (D14).
   */
  put(message: DelayedMessage, dueMs: number, packetId: number | undefined): Promise<DelayedKey>
  /** All that wait, in pages by key. */
  entries(after: DelayedKey | undefined, count: number): Promise<readonly DelayedEntry[]>
  /** In the order of `keys`; undefined for one that does not wait any more. */
  messages(keys: readonly DelayedKey[]): Promise<readonly (DelayedMessage | undefined)[]>
  /** Removes messages: they are published, or are not to be. Whether each of them waited. */
  take(keys: readonly DelayedKey[]): Promise<readonly boolean[]>
  receipts(): Promise<readonly DelayedReceipt[]>
  /** The client has let go of the packet id. */
  release(receipt: DelayedReceipt): Promise<void>
  /** Forgets all receipts of publishers whose sessions have ended; their messages stay. */
  forget(publishers: readonly number[]): Promise<void>
}
