// SPDX-License-Identifier: Apache-2.0
// What a meta group replicates: entries of commands.
//
//   entry := version-u8 count-u16 (type-u8 length-u32 body)*
//   body  := version-u8 fields
import { FieldReader } from '../codec/field-reader.ts'
import { FieldWriter } from '../codec/field-writer.ts'

const ENTRY_VERSION = 1

/** Numbers are part of the format: append only. A number that a program does not know stops it (RELIABILITY R55). */
export const COMMAND = {
  openSession: 1,
  closeSession: 2,
  takeWill: 3,
  endSession: 4,
  subscribe: 5,
  unsubscribe: 6,
  claimCursors: 10,
  saveCursors: 11,
  forgetCursors: 12,
  retain: 20,
  collectRetained: 21,
  registerNode: 30,
  raiseClusterVersion: 31,
  setMember: 32,
  removeMember: 33,
  putDelayed: 40,
  takeDelayed: 41,
  releaseDelayed: 42,
  forgetDelayed: 43,
  claimExclusive: 50,
  releaseExclusive: 51,
  transactKv: 60,
  openClientSession: 70,
  inClientSession: 71,
  createLog: 80,
  removeLog: 81,
} as const

export interface RawCommand {
  readonly type: number
  readonly body: Buffer
}

/** An encoded command, whose application gives a `Reply`. */
export interface Command<Reply> extends RawCommand {
  /** The type of the command that this one carries, if it does: whoever applies this one must know that one too. */
  readonly innerType?: number
  /** Never set: it ties the type of the reply to the command. */
  readonly reply?: Reply
}

export function encodeEntry(commands: readonly RawCommand[]): Buffer {
  let bytes = 3
  for (const { body } of commands) bytes += 5 + body.length
  const writer = new FieldWriter(ENTRY_VERSION, bytes).uint16(commands.length)
  for (const { type, body } of commands) writer.uint8(type).blob(body)
  return writer.take()
}

/** The bodies are views into `data`. */
export function decodeEntry(data: Buffer): RawCommand[] {
  const reader = new FieldReader(data, ENTRY_VERSION, 'an entry of a meta group')
  const commands: RawCommand[] = []
  for (let left = reader.uint16(); left > 0; left--) commands.push({ type: reader.uint8(), body: reader.blob() })
  reader.end()
  return commands
}
