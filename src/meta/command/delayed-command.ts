// SPDX-License-Identifier: Apache-2.0
// Commands on delayed messages, with their bytes and their replies.
import { assert } from '#base/assert'
import type { DelayedKey, DelayedMessage, DelayedReceipt } from '#contract/client/delayed-client'
import { encodeDelayedBody, encodeDelayedHead } from '../codec/delayed-codec.ts'
import { FieldReader } from '../codec/field-reader.ts'
import { FieldWriter } from '../codec/field-writer.ts'
import { COMMAND, type Command } from './command.ts'

const VERSION = 1

export interface PutCommand {
  readonly kind: 'put'
  readonly dueMs: number
  readonly receipt: DelayedReceipt | undefined
  /** Encoded; opaque to the state machine. */
  readonly head: Buffer
  readonly body: Buffer
}

export interface TakeCommand {
  readonly kind: 'take'
  readonly keys: readonly DelayedKey[]
}

export interface ReleaseCommand {
  readonly kind: 'release'
  readonly receipt: DelayedReceipt
}

export interface ForgetCommand {
  readonly kind: 'forget'
  readonly publishers: readonly number[]
}

export type DelayedCommand = PutCommand | TakeCommand | ReleaseCommand | ForgetCommand

export function putDelayed(message: DelayedMessage, dueMs: number, packetId: number | undefined): Command<DelayedKey> {
  const [head, body] = [encodeDelayedHead(message), encodeDelayedBody(message)]
  const writer = new FieldWriter(VERSION, 64 + head.length + body.length).uint64(dueMs).flag(packetId !== undefined)
  if (packetId !== undefined) writeReceipt(writer, { publisher: message.publisher, packetId })
  return { type: COMMAND.putDelayed, body: writer.blob(head).blob(body).take() }
}

export function takeDelayed(keys: readonly DelayedKey[]): Command<readonly boolean[]> {
  const writer = new FieldWriter(VERSION).uint32(keys.length)
  for (const { dueMs, id } of keys) writer.uint64(dueMs).uint64(id)
  return { type: COMMAND.takeDelayed, body: writer.take() }
}

export const releaseDelayed = (receipt: DelayedReceipt): Command<undefined> => ({
  type: COMMAND.releaseDelayed,
  body: writeReceipt(new FieldWriter(VERSION), receipt).take(),
})

export function forgetDelayed(publishers: readonly number[]): Command<undefined> {
  const writer = new FieldWriter(VERSION).uint32(publishers.length)
  for (const publisher of publishers) writer.uint64(publisher)
  return { type: COMMAND.forgetDelayed, body: writer.take() }
}

export function decodeDelayedCommand(type: number, body: Buffer): DelayedCommand {
  const reader = new FieldReader(body, VERSION, 'a delayed command')
  const command = decodeFields(type, reader)
  reader.end()
  return command
}

function decodeFields(type: number, reader: FieldReader): DelayedCommand {
  switch (type) {
    case COMMAND.putDelayed: {
      const dueMs = reader.uint64()
      const receipt = reader.flag() ? readReceipt(reader) : undefined
      return { kind: 'put', dueMs, receipt, head: reader.blob(), body: reader.blob() }
    }
    case COMMAND.takeDelayed:
      return { kind: 'take', keys: Array.from({ length: reader.uint32() }, () => ({ dueMs: reader.uint64(), id: reader.uint64() })) }
    case COMMAND.releaseDelayed:
      return { kind: 'release', receipt: readReceipt(reader) }
    default:
      assert(type === COMMAND.forgetDelayed, 'only delayed commands come here')
      return { kind: 'forget', publishers: Array.from({ length: reader.uint32() }, () => reader.uint64()) }
  }
}

const writeReceipt = (writer: FieldWriter, { publisher, packetId }: DelayedReceipt): FieldWriter =>
  writer.uint64(publisher).uint16(packetId)

const readReceipt = (reader: FieldReader): DelayedReceipt => ({ publisher: reader.uint64(), packetId: reader.uint16() })
