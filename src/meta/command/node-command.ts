// SPDX-License-Identifier: Apache-2.0
// Commands on nodes, with their bytes and their replies.
import { FieldReader } from '../codec/field-reader.ts'
import { FieldWriter } from '../codec/field-writer.ts'
import { COMMAND, type Command } from './command.ts'

const VERSION = 1

export interface NodeCommand {
  readonly kind: 'register'
  readonly node: number
  readonly nowMs: number
}

/** The reply is the boot epoch of this life. */
export const registerNode = (node: number, nowMs: number): Command<number> => ({
  type: COMMAND.registerNode,
  body: new FieldWriter(VERSION).uint32(node).uint64(nowMs).take(),
})

export function decodeNodeCommand(body: Buffer): NodeCommand {
  const reader = new FieldReader(body, VERSION, 'a node command')
  const command: NodeCommand = { kind: 'register', node: reader.uint32(), nowMs: reader.uint64() }
  reader.end()
  return command
}
