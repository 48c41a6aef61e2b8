// SPDX-License-Identifier: Apache-2.0
// Commands on sessions, with their bytes and their replies.
import { assert } from '#base/assert'
import type { CloseSessionRequest, OpenSessionRequest } from '#contract/client/meta-client'
import type { BrokerIdentity, ExpirySeconds, SessionKey, Subscription } from '#contract/record/session'
import { FieldReader } from '../codec/field-reader.ts'
import { FieldWriter } from '../codec/field-writer.ts'
import { encodeSubscription, encodeWill, readOwner, type StoredSession, writeOwner } from '../codec/session-codec.ts'
import { COMMAND, type Command } from './command.ts'

const VERSION = 1
/** No session has it. */
export const UID_NONE = 0

export interface OpenCommand {
  readonly kind: 'open'
  readonly key: SessionKey
  readonly owner: BrokerIdentity
  readonly cleanStart: boolean
  readonly expirySeconds: ExpirySeconds
  readonly nowMs: number
  readonly will: Buffer | undefined
}

export interface CloseCommand {
  readonly kind: 'close'
  readonly key: SessionKey
  readonly epoch: number
  readonly nowMs: number
  readonly expirySeconds: ExpirySeconds
  readonly keepWill: boolean
}

export interface TakeWillCommand {
  readonly kind: 'takeWill'
  readonly key: SessionKey
  readonly uid: number
  readonly epoch: number
}

export interface EndCommand {
  readonly kind: 'end'
  readonly key: SessionKey
  readonly uid: number
  readonly epoch: number
}

export interface SubscribeCommand {
  readonly kind: 'subscribe'
  readonly key: SessionKey
  readonly epoch: number
  readonly subscriptions: readonly { readonly filter: Buffer; readonly value: Buffer }[]
}

export interface UnsubscribeCommand {
  readonly kind: 'unsubscribe'
  readonly key: SessionKey
  readonly epoch: number
  readonly filters: readonly Buffer[]
}

export type SessionCommand = OpenCommand | CloseCommand | TakeWillCommand | EndCommand | SubscribeCommand | UnsubscribeCommand

export interface OpenReply {
  readonly session: StoredSession
  readonly present: boolean
  readonly previous: StoredSession | undefined
  /** Encoded, in the order of their filters. */
  readonly subscriptions: readonly Buffer[]
}

/** `endedUid`: the session that is no more, UID_NONE when it goes on. */
export type CloseReply = { readonly kind: 'done'; readonly endedUid: number } | { readonly kind: 'fenced' }
export type WriteReply = { readonly kind: 'done' } | { readonly kind: 'fenced' }

export function openSession(request: OpenSessionRequest): Command<OpenReply> {
  const writer = begin(request).flag(request.cleanStart).uint32(request.expirySeconds).uint64(request.nowMs)
  writeOwner(writer, request.owner)
  writer.optionalBlob(request.will === undefined ? undefined : encodeWill(request.will))
  return { type: COMMAND.openSession, body: writer.take() }
}

export function closeSession(request: CloseSessionRequest): Command<CloseReply> {
  const writer = begin(request).uint64(request.epoch).uint64(request.nowMs)
  return { type: COMMAND.closeSession, body: writer.uint32(request.expirySeconds).flag(request.keepWill).take() }
}

export const takeWill = (key: SessionKey, uid: number, epoch: number): Command<Buffer | undefined> => ({
  type: COMMAND.takeWill,
  body: begin(key).uint64(uid).uint64(epoch).take(),
})

export const endSession = (key: SessionKey, uid: number, epoch: number): Command<CloseReply> => ({
  type: COMMAND.endSession,
  body: begin(key).uint64(uid).uint64(epoch).take(),
})

export function subscribe(key: SessionKey, epoch: number, subscriptions: readonly Subscription[]): Command<WriteReply> {
  const writer = begin(key).uint64(epoch).uint32(subscriptions.length)
  for (const subscription of subscriptions) writer.text(subscription.filter).blob(encodeSubscription(subscription))
  return { type: COMMAND.subscribe, body: writer.take() }
}

export function unsubscribe(key: SessionKey, epoch: number, filters: readonly string[]): Command<WriteReply> {
  const writer = begin(key).uint64(epoch).uint32(filters.length)
  for (const filter of filters) writer.text(filter)
  return { type: COMMAND.unsubscribe, body: writer.take() }
}

export function decodeSessionCommand(type: number, body: Buffer): SessionCommand {
  const reader = new FieldReader(body, VERSION, 'a session command')
  const key = { tenant: reader.text(), clientId: reader.text() }
  const command = decodeFields(type, key, reader)
  reader.end()
  return command
}

function decodeFields(type: number, key: SessionKey, reader: FieldReader): SessionCommand {
  switch (type) {
    case COMMAND.openSession:
      return decodeOpen(key, reader)
    case COMMAND.closeSession: {
      const [epoch, nowMs] = [reader.uint64(), reader.uint64()]
      return { kind: 'close', key, epoch, nowMs, expirySeconds: reader.uint32(), keepWill: reader.flag() }
    }
    case COMMAND.takeWill:
      return { kind: 'takeWill', key, uid: reader.uint64(), epoch: reader.uint64() }
    case COMMAND.endSession:
      return { kind: 'end', key, uid: reader.uint64(), epoch: reader.uint64() }
    case COMMAND.subscribe: {
      const epoch = reader.uint64()
      const subscriptions: { filter: Buffer; value: Buffer }[] = []
      for (let left = reader.uint32(); left > 0; left--) subscriptions.push({ filter: reader.blob(), value: reader.blob() })
      return { kind: 'subscribe', key, epoch, subscriptions }
    }
    default: {
      assert(type === COMMAND.unsubscribe, 'only session commands come here')
      const epoch = reader.uint64()
      const filters: Buffer[] = []
      for (let left = reader.uint32(); left > 0; left--) filters.push(reader.blob())
      return { kind: 'unsubscribe', key, epoch, filters }
    }
  }
}

function decodeOpen(key: SessionKey, reader: FieldReader): OpenCommand {
  const cleanStart = reader.flag()
  const expirySeconds = reader.uint32()
  const nowMs = reader.uint64()
  const owner = readOwner(reader)
  assert(owner !== undefined, 'a session is opened by somebody')
  return { kind: 'open', key, owner, cleanStart, expirySeconds, nowMs, will: reader.optionalBlob() }
}

const begin = (key: SessionKey): FieldWriter => new FieldWriter(VERSION).text(key.tenant).text(key.clientId)
