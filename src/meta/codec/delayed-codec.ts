// SPDX-License-Identifier: Apache-2.0
// The stored forms of a delayed message: a head, which is all that a start and a list read, and a body with the payload.
import type { DelayedHead, DelayedKey, DelayedMessage } from '#contract/client/delayed-client'
import { FieldReader } from './field-reader.ts'
import { FieldWriter } from './field-writer.ts'
import { readAuthor, writeAuthor } from './session-codec.ts'

const HEAD_VERSION = 1
/** 1 had no author. */
const BODY_VERSION = 2
const KEY_VERSION = 1

export type StoredHead = DelayedHead & { readonly sizeBytes: number }

export function encodeDelayedHead(message: DelayedMessage): Buffer {
  const { publisher, qos, retain, headers, payload, topic, clientId } = message
  const writer = new FieldWriter(HEAD_VERSION).uint64(publisher).uint8(qos).flag(retain)
  return writer
    .uint32(headers.length + payload.length)
    .text(topic)
    .text(clientId)
    .take()
}

export function decodeDelayedHead(bytes: Buffer): StoredHead {
  const reader = new FieldReader(bytes, HEAD_VERSION, 'a stored delayed head')
  const publisher = reader.uint64()
  const qos = reader.uint8()
  const retain = reader.flag()
  const head = { publisher, qos, retain, sizeBytes: reader.uint32(), topic: reader.text(), clientId: reader.text() }
  reader.end()
  return head
}

export function encodeDelayedBody({ messageExpirySeconds, headers, payload, author }: DelayedMessage): Buffer {
  const writer = new FieldWriter(BODY_VERSION, 16 + headers.length + payload.length).flag(messageExpirySeconds !== undefined)
  if (messageExpirySeconds !== undefined) writer.uint32(messageExpirySeconds)
  writer
    .blob(headers)
    .blob(payload)
    .flag(author !== undefined)
  return (author === undefined ? writer : writeAuthor(writer, author)).take()
}

export function decodeDelayedBody(bytes: Buffer): Omit<DelayedMessage, keyof DelayedHead> {
  const version = bytes[0] === 1 ? 1 : BODY_VERSION
  const reader = new FieldReader(bytes, version, 'a stored delayed message')
  const messageExpirySeconds = reader.flag() ? reader.uint32() : undefined
  const body = { messageExpirySeconds, headers: reader.blob(), payload: reader.blob() }
  const author = version > 1 && reader.flag() ? readAuthor(reader) : undefined
  reader.end()
  return author === undefined ? body : { ...body, author }
}

/** What a receipt refers to. */
export const encodeDelayedKey = ({ dueMs, id }: DelayedKey): Buffer => new FieldWriter(KEY_VERSION, 17).uint64(dueMs).uint64(id).take()

export function decodeDelayedKey(bytes: Buffer): DelayedKey {
  const reader = new FieldReader(bytes, KEY_VERSION, 'a stored delayed receipt')
  const key = { dueMs: reader.uint64(), id: reader.uint64() }
  reader.end()
  return key
}
