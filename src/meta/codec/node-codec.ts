// SPDX-License-Identifier: Apache-2.0
// The stored form of a node.
//
//   node := 2-u8 boot-epoch-u64 registered-at-ms-u64 program-version-u32
//
// Version 1 ended before the program version, which was 1.
import { FieldReader } from './field-reader.ts'
import { FieldWriter } from './field-writer.ts'

const VERSION_UNVERSIONED = 1
const VERSION = 2

export interface StoredNode {
  readonly bootEpoch: number
  readonly registeredAtMs: number
  /** The highest cluster version that the node's program knows. */
  readonly programVersion: number
}

export const encodeNode = (node: StoredNode): Buffer =>
  new FieldWriter(VERSION, 32).uint64(node.bootEpoch).uint64(node.registeredAtMs).uint32(node.programVersion).take()

export function decodeNode(bytes: Buffer): StoredNode {
  const version = bytes[0] === VERSION_UNVERSIONED ? VERSION_UNVERSIONED : VERSION
  const reader = new FieldReader(bytes, version, 'a stored node')
  const node = { bootEpoch: reader.uint64(), registeredAtMs: reader.uint64() }
  const programVersion = version === VERSION ? reader.uint32() : 1
  reader.end()
  return { ...node, programVersion }
}
