// SPDX-License-Identifier: Apache-2.0
// Commands on nodes and on the version of the cluster, with their bytes and their replies.
//
//   register := 2-u8 node-u32 now-ms-u64 program-version-u32        (version 1: without the program version, which was 1)
//   raise    := 1-u8 version-u32 count-u16 (node-u32)*
import { FieldReader } from '../codec/field-reader.ts'
import { FieldWriter } from '../codec/field-writer.ts'
import { COMMAND, type Command } from './command.ts'

const REGISTER_UNVERSIONED = 1
const REGISTER_VERSION = 2
const RAISE_VERSION = 1

export interface RegisterNodeCommand {
  readonly kind: 'register'
  readonly node: number
  readonly nowMs: number
  readonly programVersion: number
}

export interface RaiseClusterVersionCommand {
  readonly kind: 'raise'
  readonly version: number
  /** All members of the cluster, learners included. */
  readonly members: readonly number[]
}

export type NodeCommand = RegisterNodeCommand | RaiseClusterVersionCommand

export interface RegisterReply {
  readonly bootEpoch: number
  readonly clusterVersion: number
}

/** Announces what the program of this life of the node knows (R55). */
export const registerNode = (node: number, nowMs: number, programVersion: number): Command<RegisterReply> => ({
  type: COMMAND.registerNode,
  body: new FieldWriter(REGISTER_VERSION).uint32(node).uint64(nowMs).uint32(programVersion).take(),
})

/** The reply is the cluster version afterwards: raised only if each of the members has announced that it knows the new one. */
export function raiseClusterVersion(version: number, members: readonly number[]): Command<number> {
  const writer = new FieldWriter(RAISE_VERSION).uint32(version).uint16(members.length)
  for (const node of members) writer.uint32(node)
  return { type: COMMAND.raiseClusterVersion, body: writer.take() }
}

export function decodeNodeCommand(type: number, body: Buffer): NodeCommand {
  return type === COMMAND.registerNode ? decodeRegister(body) : decodeRaise(body)
}

function decodeRegister(body: Buffer): RegisterNodeCommand {
  const version = body[0] === REGISTER_UNVERSIONED ? REGISTER_UNVERSIONED : REGISTER_VERSION
  const reader = new FieldReader(body, version, 'the registration of a node')
  const command = { node: reader.uint32(), nowMs: reader.uint64() }
  const programVersion = version === REGISTER_VERSION ? reader.uint32() : 1
  reader.end()
  return { kind: 'register', ...command, programVersion }
}

function decodeRaise(body: Buffer): RaiseClusterVersionCommand {
  const reader = new FieldReader(body, RAISE_VERSION, 'a raise of the cluster version')
  const version = reader.uint32()
  const members = Array.from({ length: reader.uint16() }, () => reader.uint32())
  reader.end()
  return { kind: 'raise', version, members }
}
