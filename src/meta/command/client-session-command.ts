// SPDX-License-Identifier: Apache-2.0
// Commands of client sessions (R54): opening one, and any other command done in one, which is done once however often it is proposed.
//
//   open       := version-u8 now-ms-u64
//   in-session := version-u8 session-u64 sequence-u64 now-ms-u64 type-u8 body
import { FieldReader } from '../codec/field-reader.ts'
import { FieldWriter } from '../codec/field-writer.ts'
import { COMMAND, type Command, type RawCommand } from './command.ts'

const VERSION = 1

export interface OpenClientSessionCommand {
  readonly kind: 'open'
  readonly nowMs: number
}

export interface InClientSessionCommand {
  readonly kind: 'inSession'
  readonly session: number
  readonly sequence: number
  readonly nowMs: number
  readonly inner: RawCommand
}

/** 'expired': the session has ended. 'superseded': a later command has taken the place of this one's reply. Either way nothing is done now. */
export type InSessionReply<Reply> = { readonly kind: 'done'; readonly reply: Reply } | { readonly kind: 'expired' | 'superseded' }

/** The reply is the number of the session. */
export const openClientSession = (nowMs: number): Command<number> => ({
  type: COMMAND.openClientSession,
  body: new FieldWriter(VERSION, 9).uint64(nowMs).take(),
})

export const inClientSession = <Reply>(
  session: number,
  sequence: number,
  nowMs: number,
  { type, body }: Command<Reply>,
): Command<InSessionReply<Reply>> => ({
  type: COMMAND.inClientSession,
  innerType: type,
  body: new FieldWriter(VERSION, 30 + body.length).uint64(session).uint64(sequence).uint64(nowMs).uint8(type).blob(body).take(),
})

export function decodeClientSessionCommand(type: number, body: Buffer): OpenClientSessionCommand | InClientSessionCommand {
  const reader = new FieldReader(body, VERSION, 'a client session command')
  const command = type === COMMAND.openClientSession ? ({ kind: 'open', nowMs: reader.uint64() } as const) : readInSession(reader)
  reader.end()
  return command
}

const readInSession = (reader: FieldReader): InClientSessionCommand => ({
  kind: 'inSession',
  session: reader.uint64(),
  sequence: reader.uint64(),
  nowMs: reader.uint64(),
  inner: { type: reader.uint8(), body: reader.blob() },
})
