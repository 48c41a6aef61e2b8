// SPDX-License-Identifier: Apache-2.0
// Commands on the addresses of members, with their bytes. They have no reply.
//
//   set    := 1-u8 node-u32 address-text
//   remove := 1-u8 node-u32
import { FieldReader } from '../codec/field-reader.ts'
import { FieldWriter } from '../codec/field-writer.ts'
import { COMMAND, type Command } from './command.ts'

const VERSION = 1

export interface MemberCommand {
  readonly node: number
  /** Undefined: it is a member no more. */
  readonly address: string | undefined
}

export const setMember = (node: number, address: string): Command<void> => ({
  type: COMMAND.setMember,
  body: new FieldWriter(VERSION).uint32(node).text(address).take(),
})

export const removeMember = (node: number): Command<void> => ({
  type: COMMAND.removeMember,
  body: new FieldWriter(VERSION).uint32(node).take(),
})

export function decodeMemberCommand(type: number, body: Buffer): MemberCommand {
  const reader = new FieldReader(body, VERSION, 'a command on a member')
  const node = reader.uint32()
  const address = type === COMMAND.setMember ? reader.text() : undefined
  reader.end()
  return { node, address }
}
