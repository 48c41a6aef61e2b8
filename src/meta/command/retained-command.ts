// SPDX-License-Identifier: Apache-2.0
// Commands on the retained view, with their bytes and their replies.
import { assert } from '#base/assert'
import type { RetainedWrite } from '#contract/client/meta-client'
import { FieldReader } from '../codec/field-reader.ts'
import { FieldWriter } from '../codec/field-writer.ts'
import type { Due } from '../codec/key.ts'
import { encodeBody } from '../codec/retained-codec.ts'
import { COMMAND, type Command } from './command.ts'

const VERSION = 2

export interface RetainCommand {
  readonly kind: 'retain'
  readonly tenant: string
  readonly nowMs: number
  readonly writes: readonly EncodedWrite[]
}

export interface EncodedWrite {
  readonly topic: string
  readonly log: number
  readonly position: number
  readonly appendTimeMs: number
  readonly isRepeated: boolean
  /** Of the message, ms since 1970; 0 for none. */
  readonly expiryMs: number
  /** Encoded; undefined removes the value. */
  readonly body: Buffer | undefined
}

/** Drops what was found to be due, unless it has been written again since. */
export interface CollectCommand {
  readonly kind: 'collect'
  readonly nowMs: number
  readonly dues: readonly Due[]
}

export type RetainedCommand = RetainCommand | CollectCommand

/** What the group has of retained messages, afterwards. */
export interface RetainedReply {
  readonly count: number
  readonly bytes: number
}

export function retain(tenant: string, nowMs: number, writes: readonly RetainedWrite[]): Command<RetainedReply> {
  const writer = new FieldWriter(VERSION).text(tenant).uint64(nowMs).uint32(writes.length)
  for (const write of writes) {
    writer
      .text(write.topic)
      .uint32(write.log)
      .uint64(write.position)
      .uint64(write.appendTimeMs)
      .flag(write.isRepeated)
      .uint64(write.message?.expiryMs ?? 0)
    writer.optionalBlob(encodeBody(write))
  }
  return { type: COMMAND.retain, body: writer.take() }
}

export function collectRetained(nowMs: number, dues: readonly Due[]): Command<RetainedReply> {
  const writer = new FieldWriter(VERSION).uint64(nowMs).uint32(dues.length)
  for (const { dueMs, tenant, topic } of dues) writer.uint64(dueMs).text(tenant).text(topic)
  return { type: COMMAND.collectRetained, body: writer.take() }
}

export function decodeRetainedCommand(type: number, body: Buffer): RetainedCommand {
  const reader = new FieldReader(body, VERSION, 'a retained command')
  const command = type === COMMAND.retain ? decodeRetain(reader) : decodeCollect(type, reader)
  reader.end()
  return command
}

function decodeRetain(reader: FieldReader): RetainCommand {
  const tenant = reader.text()
  const nowMs = reader.uint64()
  return { kind: 'retain', tenant, nowMs, writes: Array.from({ length: reader.uint32() }, () => decodeWrite(reader)) }
}

function decodeWrite(reader: FieldReader): EncodedWrite {
  const topic = reader.text()
  const log = reader.uint32()
  const position = reader.uint64()
  const appendTimeMs = reader.uint64()
  const isRepeated = reader.flag()
  return { topic, log, position, appendTimeMs, isRepeated, expiryMs: reader.uint64(), body: reader.optionalBlob() }
}

function decodeCollect(type: number, reader: FieldReader): CollectCommand {
  assert(type === COMMAND.collectRetained, 'only retained commands come here')
  const nowMs = reader.uint64()
  const dues = Array.from({ length: reader.uint32() }, () => ({ dueMs: reader.uint64(), tenant: reader.text(), topic: reader.text() }))
  return { kind: 'collect', nowMs, dues }
}
