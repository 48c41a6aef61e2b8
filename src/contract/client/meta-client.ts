// SPDX-License-Identifier: Apache-2.0
// What the meta service offers. Every write is committed before its promise resolves; reads are linearizable.
// Rejections: notLeader, proposalDropped, outcomeUnknown, stopping. Expected outcomes are values.

import type { BrokerIdentity, Cursor, ExpirySeconds, Session, SessionKey, Subscription, Will } from '../record/session.ts'
import type { DelayedClient } from './delayed-client.ts'
import type { ExclusiveClient } from './exclusive-client.ts'
import type { CataloguedLog, LogCatalogue, LogCreation } from './log-catalogue.ts'

export interface OpenSessionRequest extends SessionKey {
  readonly owner: BrokerIdentity
  /** End the session that exists, if any, and begin a new one. */
  readonly cleanStart: boolean
  readonly expirySeconds: ExpirySeconds
  readonly will: Will | undefined
  /** Now, by the caller's clock: decides whether the old session has expired. */
  readonly nowMs: number
}

export interface OpenedSession {
  readonly session: Session
  /** The state of an earlier connection goes on. */
  readonly present: boolean
  /** The session as it was before, when there was one: its owner has lost it, and its will may be due. */
  readonly previous: Session | undefined
  /** Empty unless `present`. */
  readonly subscriptions: readonly Subscription[]
  readonly cursors: readonly Cursor[]
}

/** A session that outlives its connection, and what it has of shared groups. */
export interface SharedMember {
  readonly session: Session
  /** The shared ones only. */
  readonly subscriptions: readonly Subscription[]
  readonly cursors: readonly Cursor[]
}

/** 'fenced': another broker has taken the session over; nothing was changed. */
export type SessionWrite = { readonly kind: 'done' } | { readonly kind: 'fenced' }

export interface CloseSessionRequest extends SessionKey {
  readonly epoch: number
  readonly nowMs: number
  /** May be changed by the client's farewell. 0 ends the session now. */
  readonly expirySeconds: ExpirySeconds
  /** Whether the will stays due: it is kept with the session until it is taken. */
  readonly keepWill: boolean
}

export interface RetainedMessage {
  readonly topic: string
  readonly qos: number
  /** ms since 1970, 0 for none. */
  readonly expiryMs: number
  /** When it was appended, ms since 1970. */
  readonly storedAtMs: number
  readonly publisher: number
  readonly headers: Buffer
  readonly payload: Buffer
}

/** A retained message with the place of its record: the same message is not delivered again when it comes along live. */
export interface RetainedValue extends RetainedMessage {
  readonly log: number
  readonly position: number
}

/**
 * A write to the retained view. `message: undefined` removes it. Of one log the higher position wins (D10). A topic can be moved from one log to another: what comes from another log wins, unless it
 * is repeated after a restart and was appended earlier than what is there.
 */
export interface RetainedWrite {
  readonly topic: string
  readonly log: number
  readonly position: number
  /** Append time of the record, ms since 1970. */
  readonly appendTimeMs: number
  /** It may have been written before: its log begins again at a watermark. */
  readonly isRepeated: boolean
  readonly message: RetainedMessage | undefined
}

export interface MetaClient {
  readonly delayed: DelayedClient
  readonly exclusive: ExclusiveClient
  /** Registers this life of the node; its boot epoch is higher than any before. */
  registerNode(node: number, nowMs: number): Promise<BrokerIdentity>
  /** Opens a session, taking it over when it is open elsewhere: one compare-and-set (Q9). */
  openSession(request: OpenSessionRequest): Promise<OpenedSession>
  closeSession(request: CloseSessionRequest): Promise<SessionWrite>
  /** Removes the will and returns it, once: whoever gets it publishes it. Undefined when it was cancelled, taken or replaced. */
  takeWill(key: SessionKey, uid: number, epoch: number): Promise<Will | undefined>
  /** Removes the session with all it has, unless it was opened since. */
  endSession(key: SessionKey, uid: number, epoch: number): Promise<SessionWrite>
  subscribe(key: SessionKey, epoch: number, subscriptions: readonly Subscription[]): Promise<SessionWrite>
  unsubscribe(key: SessionKey, epoch: number, filters: readonly string[]): Promise<SessionWrite>
  /** Saves cursors of many sessions; those of a session whose epoch is lower than a save before it are ignored. */
  saveCursors(saves: readonly { readonly uid: number; readonly epoch: number; readonly cursors: readonly Cursor[] }[]): Promise<void>
  /** Sessions with stored subscriptions that begin with `$share/`, in pages by key; empty only at the end. Goes through all subscriptions: for start-up. */
  sharedMembers(after: SessionKey | undefined, count: number): Promise<readonly SharedMember[]>
  /** All sessions, and shared groups under SHARE_TENANT, in pages by key; for start-up and expiry. */
  sessions(after: SessionKey | undefined, count: number): Promise<readonly Session[]>
  /** Stores retained values, in order. */
  retain(writes: readonly RetainedWrite[]): Promise<void>
  /** Retained messages that match a filter, expired ones left out, in pages by topic: at most `count`, fewer when they are large, none only at the end. */
  retained(filter: string, after: string | undefined, count: number, nowMs: number): Promise<readonly RetainedValue[]>
  retainedCount(): number
  /** What they take, in bytes. */
  retainedBytes(): number
  /** Enters an independent log into the catalogue. Repeating it changes nothing. */
  createLog(log: CataloguedLog): Promise<LogCreation>
  /** Strikes it out for good: its id is never given again, and its data may go. Repeating it changes nothing. */
  removeLog(log: CataloguedLog): Promise<void>
  /** The independent logs there are, by id. */
  logs(): Promise<LogCatalogue>
}
