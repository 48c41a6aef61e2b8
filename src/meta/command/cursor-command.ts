// SPDX-License-Identifier: Apache-2.0
// Commands on cursors, with their bytes and their replies.
import { assert } from '#base/assert'
import type { Cursor } from '#contract/record/session'
import { encodeCursor } from '../codec/cursor-codec.ts'
import { FieldReader } from '../codec/field-reader.ts'
import { FieldWriter } from '../codec/field-writer.ts'
import { COMMAND, type Command } from './command.ts'

const VERSION = 1

/** The cursors of one session, to be saved by its owner of that epoch. */
export interface CursorSave {
  readonly uid: number
  readonly epoch: number
  readonly cursors: readonly Cursor[]
}

export interface ClaimCommand {
  readonly kind: 'claim'
  readonly uid: number
  readonly epoch: number
}

export interface SaveCommand {
  readonly kind: 'save'
  readonly saves: readonly {
    readonly uid: number
    readonly epoch: number
    readonly cursors: readonly { readonly log: number; readonly value: Buffer }[]
  }[]
}

export interface ForgetCommand {
  readonly kind: 'forget'
  readonly uids: readonly number[]
}

export type CursorCommand = ClaimCommand | SaveCommand | ForgetCommand

/** From now on only saves of this epoch or a higher one count; the reply is the cursors as they stand, encoded. */
export const claimCursors = (uid: number, epoch: number): Command<readonly Buffer[]> => ({
  type: COMMAND.claimCursors,
  body: new FieldWriter(VERSION).uint64(uid).uint64(epoch).take(),
})

export function saveCursors(saves: readonly CursorSave[]): Command<undefined> {
  const writer = new FieldWriter(VERSION).uint32(saves.length)
  for (const { uid, epoch, cursors } of saves) {
    writer.uint64(uid).uint64(epoch).uint32(cursors.length)
    for (const cursor of cursors) writer.uint32(cursor.log).blob(encodeCursor(cursor))
  }
  return { type: COMMAND.saveCursors, body: writer.take() }
}

export function forgetCursors(uids: readonly number[]): Command<undefined> {
  const writer = new FieldWriter(VERSION).uint32(uids.length)
  for (const uid of uids) writer.uint64(uid)
  return { type: COMMAND.forgetCursors, body: writer.take() }
}

export function decodeCursorCommand(type: number, body: Buffer): CursorCommand {
  const reader = new FieldReader(body, VERSION, 'a cursor command')
  const command = decodeFields(type, reader)
  reader.end()
  return command
}

function decodeFields(type: number, reader: FieldReader): CursorCommand {
  switch (type) {
    case COMMAND.claimCursors:
      return { kind: 'claim', uid: reader.uint64(), epoch: reader.uint64() }
    case COMMAND.saveCursors:
      return { kind: 'save', saves: Array.from({ length: reader.uint32() }, () => decodeSave(reader)) }
    default:
      assert(type === COMMAND.forgetCursors, 'only cursor commands come here')
      return { kind: 'forget', uids: Array.from({ length: reader.uint32() }, () => reader.uint64()) }
  }
}

function decodeSave(reader: FieldReader): SaveCommand['saves'][number] {
  const uid = reader.uint64()
  const epoch = reader.uint64()
  const cursors = Array.from({ length: reader.uint32() }, () => ({ log: reader.uint32(), value: reader.blob() }))
  return { uid, epoch, cursors }
}
