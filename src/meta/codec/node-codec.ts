// SPDX-License-Identifier: Apache-2.0
// The stored form of a node.
import { FieldReader } from './field-reader.ts'
import { FieldWriter } from './field-writer.ts'

const VERSION = 1

export interface StoredNode {
  readonly bootEpoch: number
  readonly registeredAtMs: number
}

export const encodeNode = (node: StoredNode): Buffer =>
  new FieldWriter(VERSION, 32).uint64(node.bootEpoch).uint64(node.registeredAtMs).take()

export function decodeNode(bytes: Buffer): StoredNode {
  const reader = new FieldReader(bytes, VERSION, 'a stored node')
  const node = { bootEpoch: reader.uint64(), registeredAtMs: reader.uint64() }
  reader.end()
  return node
}
