// SPDX-License-Identifier: Apache-2.0
// The stored forms of a session, its will and its subscriptions.
import type { BrokerIdentity, ExpirySeconds, Session, SessionKey, Subscription, Will, WillAuthor } from '#contract/record/session'
import { FieldReader } from './field-reader.ts'
import { FieldWriter } from './field-writer.ts'

const SESSION_VERSION = 1
/** 1 had no author. */
const WILL_VERSION = 2
/** Written when it is enough. */
const SUBSCRIPTION_VERSION = 1
/** The same, with the flag REPLAY. */
const SUBSCRIPTION_REPLAY_VERSION = 2
const NO_LOCAL = 1
const RETAIN_AS_PUBLISHED = 2
const REPLAY = 16
const EXCLUSIVE = 4
const RETAINED_OWED = 8

/** A session without its key. One that has ended stays as long as its will waits: it has no owner and `expirySeconds` is 0. */
export interface StoredSession {
  readonly uid: number
  readonly epoch: number
  readonly owner: BrokerIdentity | undefined
  readonly expirySeconds: ExpirySeconds
  readonly disconnectedAtMs: number
  /** Whether it may have subscriptions: false when it never had any. */
  readonly subscribed: boolean
  /** Encoded; opaque to the state machine. */
  readonly will: Buffer | undefined
}

export function encodeSession(session: StoredSession): Buffer {
  const writer = new FieldWriter(SESSION_VERSION).uint64(session.uid).uint64(session.epoch)
  writeOwner(writer, session.owner)
  return writer.uint32(session.expirySeconds).uint64(session.disconnectedAtMs).flag(session.subscribed).optionalBlob(session.will).take()
}

export function decodeSession(bytes: Buffer): StoredSession {
  const reader = new FieldReader(bytes, SESSION_VERSION, 'a stored session')
  const uid = reader.uint64()
  const epoch = reader.uint64()
  const owner = readOwner(reader)
  const expirySeconds = reader.uint32()
  const disconnectedAtMs = reader.uint64()
  const subscribed = reader.flag()
  const will = reader.optionalBlob()
  reader.end()
  return { uid, epoch, owner, expirySeconds, disconnectedAtMs, subscribed, will }
}

/** The uid alone, for scans over all sessions. */
export const uidOfSession = (bytes: Buffer): number => new FieldReader(bytes, SESSION_VERSION, 'a stored session').uint64()

/** The session as callers see it. */
export function sessionOf(key: SessionKey, stored: StoredSession): Session {
  const { uid, epoch, owner, expirySeconds, disconnectedAtMs } = stored
  const will = stored.will === undefined ? undefined : decodeWill(stored.will)
  return { tenant: key.tenant, clientId: key.clientId, uid, epoch, owner, expirySeconds, disconnectedAtMs, will }
}

export function writeOwner(writer: FieldWriter, owner: BrokerIdentity | undefined): void {
  writer.flag(owner !== undefined)
  if (owner !== undefined) writer.uint32(owner.node).uint64(owner.bootEpoch)
}

export function readOwner(reader: FieldReader): BrokerIdentity | undefined {
  return reader.flag() ? { node: reader.uint32(), bootEpoch: reader.uint64() } : undefined
}

export function encodeWill(will: Will): Buffer {
  const writer = new FieldWriter(WILL_VERSION, 64 + will.topic.length + will.headers.length + will.payload.length)
  writer
    .text(will.topic)
    .uint8(will.qos)
    .flag(will.retain)
    .uint32(will.delaySeconds)
    .flag(will.messageExpirySeconds !== undefined)
  if (will.messageExpirySeconds !== undefined) writer.uint32(will.messageExpirySeconds)
  writer
    .blob(will.headers)
    .blob(will.payload)
    .flag(will.author !== undefined)
  if (will.author !== undefined) writeAuthor(writer, will.author)
  return writer.take()
}

export function decodeWill(bytes: Buffer): Will {
  const version = bytes[0] === 1 ? 1 : WILL_VERSION
  const reader = new FieldReader(bytes, version, 'a stored will')
  const topic = reader.text()
  const qos = reader.uint8()
  const retain = reader.flag()
  const delaySeconds = reader.uint32()
  const messageExpirySeconds = reader.flag() ? reader.uint32() : undefined
  const headers = reader.blob()
  const payload = reader.blob()
  const author = version > 1 && reader.flag() ? readAuthor(reader) : undefined
  reader.end()
  const will = { topic, qos, retain, payload, headers, delaySeconds, messageExpirySeconds }
  return author === undefined ? will : { ...will, author }
}

export function writeAuthor(writer: FieldWriter, { userName, source, address }: WillAuthor): FieldWriter {
  writer
    .text(address)
    .flag(source === 'certificate')
    .flag(userName !== undefined)
  return userName === undefined ? writer : writer.text(userName)
}

export function readAuthor(reader: FieldReader): WillAuthor {
  const address = reader.text()
  const source = reader.flag() ? 'certificate' : 'users'
  return { address, source, userName: reader.flag() ? reader.text() : undefined }
}

/** The filter is in the value, too: the key is not taken apart. */
export function encodeSubscription(subscription: Subscription): Buffer {
  const flags =
    (subscription.noLocal ? NO_LOCAL : 0) |
    (subscription.retainAsPublished ? RETAIN_AS_PUBLISHED : 0) |
    (subscription.exclusive ? EXCLUSIVE : 0) |
    (subscription.retainedAfter === undefined ? 0 : RETAINED_OWED) |
    (subscription.replay ? REPLAY : 0)
  const writer = new FieldWriter(subscription.replay ? SUBSCRIPTION_REPLAY_VERSION : SUBSCRIPTION_VERSION)
    .text(subscription.filter)
    .uint8(subscription.qos)
    .uint8(flags)
  writer.uint32(subscription.identifier).uint16(subscription.since.length)
  for (const { log, position } of subscription.since) writer.uint32(log).uint64(position)
  if (subscription.retainedAfter !== undefined) writer.text(subscription.retainedAfter)
  return writer.take()
}

export function decodeSubscription(bytes: Buffer): Subscription {
  const version = bytes[0] === SUBSCRIPTION_REPLAY_VERSION ? SUBSCRIPTION_REPLAY_VERSION : SUBSCRIPTION_VERSION
  const reader = new FieldReader(bytes, version, 'a stored subscription')
  const filter = reader.text()
  const qos = reader.uint8()
  const flags = reader.uint8()
  const identifier = reader.uint32()
  const since: { log: number; position: number }[] = []
  for (let left = reader.uint16(); left > 0; left--) since.push({ log: reader.uint32(), position: reader.uint64() })
  const owed = (flags & RETAINED_OWED) === 0 ? undefined : { retainedAfter: reader.text() }
  reader.end()
  const noLocal = (flags & NO_LOCAL) !== 0
  const subscription = { filter, qos, noLocal, retainAsPublished: (flags & RETAIN_AS_PUBLISHED) !== 0, identifier, since }
  const replay = (flags & REPLAY) === 0 ? undefined : { replay: true }
  return { ...subscription, ...owed, ...replay, ...((flags & EXCLUSIVE) === 0 ? undefined : { exclusive: true }) }
}
