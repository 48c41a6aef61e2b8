// SPDX-License-Identifier: Apache-2.0
// The stored forms of a retained message: a head of fixed size, which is all that filtering and ordering read, and a body with the payload.
import type { RetainedValue, RetainedWrite } from '#contract/client/meta-client'
import { FieldReader } from './field-reader.ts'
import { FieldWriter } from './field-writer.ts'

const HEAD_VERSION = 2
const BODY_VERSION = 1

export interface RetainedHead {
  readonly log: number
  readonly position: number
  /** Append time of the record, ms since 1970. */
  readonly appendTimeMs: number
  /** A tombstone: keeps the position so that an older value does not come back. */
  readonly removed: boolean
  /** When there is something to collect: the message expires, the tombstone may go. 0 for never. */
  readonly dueMs: number
  /** Of the body; 0 for a tombstone. */
  readonly sizeBytes: number
}

export function encodeHead(head: RetainedHead): Buffer {
  const writer = new FieldWriter(HEAD_VERSION, 40).uint32(head.log).uint64(head.position).uint64(head.appendTimeMs).flag(head.removed)
  return writer.uint64(head.dueMs).uint32(head.sizeBytes).take()
}

export function decodeHead(bytes: Buffer): RetainedHead {
  const reader = new FieldReader(bytes, HEAD_VERSION, 'a stored retained head')
  const log = reader.uint32()
  const position = reader.uint64()
  const head = { log, position, appendTimeMs: reader.uint64(), removed: reader.flag(), dueMs: reader.uint64(), sizeBytes: reader.uint32() }
  reader.end()
  return head
}

/** The body of a write that stores a message; undefined for one that removes it. */
export function encodeBody(write: RetainedWrite): Buffer | undefined {
  const message = write.message
  if (message === undefined) return undefined
  const writer = new FieldWriter(BODY_VERSION, 64 + message.headers.length + message.payload.length)
  writer.uint32(write.log).uint64(write.position).uint8(message.qos).uint64(message.expiryMs).uint64(message.storedAtMs)
  return writer.uint64(message.publisher).blob(message.headers).blob(message.payload).take()
}

export function decodeBody(topic: string, bytes: Buffer): RetainedValue {
  const reader = new FieldReader(bytes, BODY_VERSION, 'a stored retained message')
  const log = reader.uint32()
  const position = reader.uint64()
  const qos = reader.uint8()
  const expiryMs = reader.uint64()
  const storedAtMs = reader.uint64()
  const publisher = reader.uint64()
  const headers = reader.blob()
  const payload = reader.blob()
  reader.end()
  return { topic, qos, expiryMs, storedAtMs, publisher, headers, payload, log, position }
}
