// SPDX-License-Identifier: Apache-2.0
// Where each thing of a meta group lies in the key-value store.
//
//   key      := 'm' group-u32 table-u8 suffix
//   session  := tenant NUL client-id                       subscription := tenant NUL client-id NUL filter
//   retained := tenant NUL level (NUL level)*              due          := due-ms-u64 retained
//   cursor   := uid-u64 log-u32                            holder       := uid-u64
//   delayed  := due-ms-u64 id-u64                          receipt      := uid-u64 packet-id-u16
//   exclusive := tenant NUL filter
//   pair     := key of the client                          events       := revision-u64
//   client-session := id-u64                               activity     := last-use-ms-u64 id-u64
//   client-reply := id-u64 slot-u8                         log          := storage-u8 topic
//
// NUL occurs in no tenant, client id, topic or filter [MQTT-1.5.4-2], so the components need no escape, keys sort by component, and a topic
// is next to its children: the topics that a literal prefix covers are one range.
import { prefixEnd, readUint64, writeUint64 } from '#base/bytes'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { KvRange } from '#base/port/kv'
import { hasWildcard, literalPrefix } from '#base/topic-filter'
import type { DelayedKey, DelayedReceipt } from '#contract/client/delayed-client'
import type { StorageType } from '#contract/client/engine-client'
import type { KvSpan } from '#contract/client/kv-client'
import type { SessionKey } from '#contract/record/session'
import { storageNumber, storageOf } from './log-codec.ts'

/** The tenant of everything that names none. */
export const TENANT_DEFAULT = 'default'

const LAYER = 0x6d
/** All keys of the metadata. */
export const META_RANGE: KvRange = { gte: Buffer.from([LAYER]), lt: Buffer.from([LAYER + 1]) }
/** 'm' and the group: what the keys of a group have in common. */
export const GROUP_PREFIX_BYTES = 5
const PREFIX_BYTES = 6

/** Numbers are part of the format: append only. */
const TABLE = {
  applied: 1,
  barrier: 2,
  sessionCounter: 3,
  session: 4,
  subscription: 5,
  retainedHead: 6,
  retainedBody: 7,
  retainedDue: 8,
  retainedCount: 9,
  retainedBytes: 13,
  cursorHolder: 10,
  cursor: 11,
  node: 12,
  delayedCounter: 20,
  delayedHead: 21,
  delayedBody: 22,
  delayedReceipt: 23,
  exclusive: 24,
  kvHead: 30,
  kvPair: 31,
  kvEvents: 32,
  clientSessions: 33,
  clientSession: 34,
  clientActivity: 35,
  clientReply: 36,
  clusterVersion: 37,
  member: 38,
  nextLog: 40,
  catalogueLog: 41,
} as const

export interface KeyRange {
  readonly gte: Buffer
  readonly lt: Buffer
}

/** The keys of one group. */
export class GroupKeys {
  readonly group: number
  readonly applied: Buffer
  /** Written with sync to make all earlier writes durable; its value is never read. */
  readonly barrier: Buffer
  readonly sessionCounter: Buffer
  readonly retainedCount: Buffer
  readonly retainedBytes: Buffer
  readonly delayedCounter: Buffer
  readonly kvHead: Buffer
  /** How many client sessions there are and were. */
  readonly clientSessions: Buffer
  readonly clusterVersion: Buffer
  /** Above every id of an independent log that was ever given. */
  readonly nextLog: Buffer

  constructor(group: number) {
    this.group = group
    this.applied = this.#key(TABLE.applied, 0)
    this.barrier = this.#key(TABLE.barrier, 0)
    this.sessionCounter = this.#key(TABLE.sessionCounter, 0)
    this.retainedCount = this.#key(TABLE.retainedCount, 0)
    this.retainedBytes = this.#key(TABLE.retainedBytes, 0)
    this.delayedCounter = this.#key(TABLE.delayedCounter, 0)
    this.kvHead = this.#key(TABLE.kvHead, 0)
    this.clientSessions = this.#key(TABLE.clientSessions, 0)
    this.clusterVersion = this.#key(TABLE.clusterVersion, 0)
    this.nextLog = this.#key(TABLE.nextLog, 0)
  }

  /** Everything the group has in the store. Its first key, when it has any, is `applied`. */
  all(): KeyRange {
    return rangeOf(this.#key(0, 0).subarray(0, GROUP_PREFIX_BYTES))
  }

  session(key: SessionKey): Buffer {
    return this.#textKey(TABLE.session, sessionText(key))
  }

  sessions(): KeyRange {
    return rangeOf(this.#key(TABLE.session, 0))
  }

  /** What every subscription of a session begins with. */
  subscriptions(key: SessionKey): Buffer {
    return this.#textKey(TABLE.subscription, `${sessionText(key)}\0`)
  }

  /** The subscriptions of all sessions after that one, in the order of sessions. */
  subscriptionsAfter(key: SessionKey | undefined): KeyRange {
    const { gte, lt } = rangeOf(this.#key(TABLE.subscription, 0))
    return key === undefined ? { gte, lt } : { gte: rangeOf(this.subscriptions(key)).lt, lt }
  }

  retainedHead(tenant: string, topic: string): Buffer {
    return this.#textKey(TABLE.retainedHead, retainedText(tenant, topic))
  }

  retainedBody(tenant: string, topic: string): Buffer {
    return this.#textKey(TABLE.retainedBody, retainedText(tenant, topic))
  }

  /** The heads that can match a filter: those of its literal prefix and everything below, nothing else. */
  retainedHeads(tenant: string, filter: string): KeyRange {
    return this.#retained(TABLE.retainedHead, tenant, filter)
  }

  /** The same of the bodies. */
  retainedBodies(tenant: string, filter: string): KeyRange {
    return this.#retained(TABLE.retainedBody, tenant, filter)
  }

  retainedDue(dueMs: number, tenant: string, topic: string): Buffer {
    const text = Buffer.from(retainedText(tenant, topic))
    const key = this.#key(TABLE.retainedDue, 8 + text.length)
    writeUint64(key, dueMs, PREFIX_BYTES)
    text.copy(key, PREFIX_BYTES + 8)
    return key
  }

  /** What is due at or before `nowMs`. */
  retainedDues(nowMs: number): KeyRange {
    const lt = this.#key(TABLE.retainedDue, 8)
    writeUint64(lt, nowMs + 1, PREFIX_BYTES)
    return { gte: this.#key(TABLE.retainedDue, 0), lt }
  }

  cursorHolder(uid: number): Buffer {
    return this.#uidKey(TABLE.cursorHolder, uid)
  }

  cursorHolders(): KeyRange {
    return rangeOf(this.#key(TABLE.cursorHolder, 0))
  }

  /** What every cursor of a session begins with. */
  cursors(uid: number): Buffer {
    return this.#uidKey(TABLE.cursor, uid)
  }

  delayedHead(key: DelayedKey): Buffer {
    return this.#delayedKey(TABLE.delayedHead, key)
  }

  delayedHeads(): KeyRange {
    return rangeOf(this.#key(TABLE.delayedHead, 0))
  }

  delayedBody(key: DelayedKey): Buffer {
    return this.#delayedKey(TABLE.delayedBody, key)
  }

  delayedReceipt({ publisher, packetId }: DelayedReceipt): Buffer {
    return Buffer.concat([this.delayedReceiptsOf(publisher), packetIdBytes(packetId)])
  }

  /** What every receipt of a session begins with. */
  delayedReceiptsOf(uid: number): Buffer {
    return this.#uidKey(TABLE.delayedReceipt, uid)
  }

  delayedReceipts(): KeyRange {
    return rangeOf(this.#key(TABLE.delayedReceipt, 0))
  }

  exclusive(tenant: string, filter: string): Buffer {
    return this.#textKey(TABLE.exclusive, `${tenant}\0${filter}`)
  }

  exclusives(): KeyRange {
    return rangeOf(this.#key(TABLE.exclusive, 0))
  }

  kvPair(key: Buffer): Buffer {
    return this.#bytesKey(TABLE.kvPair, key)
  }

  kvPairs({ gte, lt }: KvSpan): KeyRange {
    return { gte: this.kvPair(gte), lt: lt === undefined ? rangeOf(this.#key(TABLE.kvPair, 0)).lt : this.kvPair(lt) }
  }

  kvEvents(revision: number): Buffer {
    return this.#uidKey(TABLE.kvEvents, revision)
  }

  clientSession(id: number): Buffer {
    return this.#uidKey(TABLE.clientSession, id)
  }

  clientActivity(lastUseMs: number, id: number): Buffer {
    const key = this.#key(TABLE.clientActivity, 16)
    writeUint64(key, lastUseMs, PREFIX_BYTES)
    writeUint64(key, id, PREFIX_BYTES + 8)
    return key
  }

  /** From the one that was not used for longest. */
  clientActivities(): KeyRange {
    return rangeOf(this.#key(TABLE.clientActivity, 0))
  }

  clientReply(id: number, slot: number): Buffer {
    const key = this.#key(TABLE.clientReply, 9)
    writeUint64(key, id, PREFIX_BYTES)
    key.writeUInt8(slot, PREFIX_BYTES + 8)
    return key
  }

  catalogueLog(storage: StorageType, topic: string): Buffer {
    const key = this.#key(TABLE.catalogueLog, 1 + Buffer.byteLength(topic))
    key[PREFIX_BYTES] = storageNumber(storage)
    key.write(topic, PREFIX_BYTES + 1)
    return key
  }

  catalogueLogs(): KeyRange {
    return rangeOf(this.#key(TABLE.catalogueLog, 0))
  }

  nodes(): KeyRange {
    return rangeOf(this.#key(TABLE.node, 0))
  }

  node(node: number): Buffer {
    return this.#nodeKey(TABLE.node, node)
  }

  members(): KeyRange {
    return rangeOf(this.#key(TABLE.member, 0))
  }

  member(node: number): Buffer {
    return this.#nodeKey(TABLE.member, node)
  }

  #retained(table: number, tenant: string, filter: string): KeyRange {
    if (!hasWildcard(filter)) {
      const only = this.#textKey(table, retainedText(tenant, filter))
      return { gte: only, lt: keyAfter(only) }
    }
    const prefix = literalPrefix(filter)
    if (prefix === '') return rangeOf(this.#textKey(table, `${tenant}\0`))
    const gte = this.#textKey(table, retainedText(tenant, prefix.slice(0, -1)))
    return { gte, lt: Buffer.concat([gte, Buffer.of(1)]) }
  }

  #nodeKey(table: number, node: number): Buffer {
    const key = this.#key(table, 4)
    key.writeUInt32BE(node, PREFIX_BYTES)
    return key
  }

  #textKey(table: number, text: string): Buffer {
    const key = this.#key(table, Buffer.byteLength(text))
    key.write(text, PREFIX_BYTES)
    return key
  }

  #bytesKey(table: number, bytes: Buffer): Buffer {
    const key = this.#key(table, bytes.length)
    bytes.copy(key, PREFIX_BYTES)
    return key
  }

  #uidKey(table: number, uid: number): Buffer {
    const key = this.#key(table, 8)
    writeUint64(key, uid, PREFIX_BYTES)
    return key
  }

  #delayedKey(table: number, { dueMs, id }: DelayedKey): Buffer {
    const key = this.#key(table, 16)
    writeUint64(key, dueMs, PREFIX_BYTES)
    writeUint64(key, id, PREFIX_BYTES + 8)
    return key
  }

  #key(table: number, suffixBytes: number): Buffer {
    const key = Buffer.allocUnsafe(PREFIX_BYTES + suffixBytes)
    key[0] = LAYER
    key.writeUInt32BE(this.group, 1)
    key[PREFIX_BYTES - 1] = table
    return key
  }
}

/** The smallest key after `key`. */
export const keyAfter = (key: Buffer): Buffer => Buffer.concat([key, Buffer.of(0)])

/** The order of two keys of one table, in whichever groups they are. */
export const compareSuffix = (a: Buffer, b: Buffer): number => a.compare(b, PREFIX_BYTES, b.length, PREFIX_BYTES, a.length)

/** All keys that begin with `prefix`. */
export const rangeOf = (prefix: Buffer): KeyRange => ({ gte: prefix, lt: prefixEnd(prefix) })

export function sessionKeyOf(key: Buffer): SessionKey {
  const end = key.indexOf(0, PREFIX_BYTES)
  return { tenant: key.toString('utf8', PREFIX_BYTES, end), clientId: key.toString('utf8', end + 1) }
}

/** The session of a subscription's key; undefined unless its filter begins with `prefix`. */
export function subscriberOf(key: Buffer, prefix: Buffer): SessionKey | undefined {
  const tenantEnd = key.indexOf(0, PREFIX_BYTES)
  const clientEnd = key.indexOf(0, tenantEnd + 1)
  const filterStart = clientEnd + 1
  const begins =
    key.length >= filterStart + prefix.length && key.compare(prefix, 0, prefix.length, filterStart, filterStart + prefix.length) === 0
  return begins
    ? { tenant: key.toString('utf8', PREFIX_BYTES, tenantEnd), clientId: key.toString('utf8', tenantEnd + 1, clientEnd) }
    : undefined
}

/** The topic of a retained head or body. */
export const topicOfKey = (key: Buffer, tenantBytes: number): string =>
  key.toString('utf8', PREFIX_BYTES + tenantBytes + 1).replaceAll('\0', '/')

export interface Due {
  readonly dueMs: number
  readonly tenant: string
  readonly topic: string
}

export function dueOf(key: Buffer): Due {
  const from = PREFIX_BYTES + 8
  const end = key.indexOf(0, from)
  return {
    dueMs: Number(key.readBigUInt64BE(PREFIX_BYTES)),
    tenant: key.toString('utf8', from, end),
    topic: key.toString('utf8', end + 1).replaceAll('\0', '/'),
  }
}

export const uidOfHolder = (key: Buffer): number => Number(key.readBigUInt64BE(PREFIX_BYTES))

/** The last part of a cursor's key. */
export function logBytes(log: number): Buffer {
  const bytes = Buffer.allocUnsafe(4)
  bytes.writeUInt32BE(log)
  return bytes
}

/** The last part of a receipt's key. */
export function packetIdBytes(packetId: number): Buffer {
  const bytes = Buffer.allocUnsafe(2)
  bytes.writeUInt16BE(packetId)
  return bytes
}

export const delayedKeyOf = (key: Buffer): DelayedKey => ({ dueMs: readUint64(key, PREFIX_BYTES), id: readUint64(key, PREFIX_BYTES + 8) })

export const receiptOf = (key: Buffer): DelayedReceipt => ({
  publisher: readUint64(key, PREFIX_BYTES),
  packetId: key.readUInt16BE(PREFIX_BYTES + 8),
})

/** The client's part of a pair's key. A view, no copy. */
export const keyOfPair = (key: Buffer): Buffer => key.subarray(PREFIX_BYTES)

export const revisionOfEvents = (key: Buffer): number => readUint64(key, PREFIX_BYTES)

export const activityOf = (key: Buffer): { readonly lastUseMs: number; readonly id: number } => ({
  lastUseMs: readUint64(key, PREFIX_BYTES),
  id: readUint64(key, PREFIX_BYTES + 8),
})

/** Of `node` and of `member`. */
export const nodeOfKey = (key: Buffer): number => key.readUInt32BE(PREFIX_BYTES)

export const catalogueLogOf = (key: Buffer): { readonly storage: StorageType; readonly topic: string } => ({
  storage: storageOf(key.readUInt8(PREFIX_BYTES)),
  topic: key.toString('utf8', PREFIX_BYTES + 1),
})

export const filterOfExclusive = (key: Buffer): string => key.toString('utf8', key.indexOf(0, PREFIX_BYTES) + 1)

/** What a thing with a name is hashed by. */
export const placementBytes = (tenant: string, name: string): Buffer => Buffer.from(`${tenant}\0${name}`)

/** Rejects what would break the key format. Throws invalid. */
export function checkName(name: string, what: string): void {
  if (name.includes('\0')) throw new PlatformError(ERROR_CODES.invalid, `the ${what} contains U+0000, which no name may`)
}

const sessionText = (key: SessionKey): string => `${key.tenant}\0${key.clientId}`

const retainedText = (tenant: string, topic: string): string => `${tenant}\0${topic.replaceAll('/', '\0')}`
