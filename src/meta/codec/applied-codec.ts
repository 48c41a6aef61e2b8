// SPDX-License-Identifier: Apache-2.0
// The stored form of how far a group's state has come, and of which group it is.
//
//   applied := 2-u8 kind-u8 ordinal-u16 group-count-u16 index-u64 (0-u8 | 1-u8 hash-u32)
//
// Version 1 ended after the index. A state that was begun with it has no hash of its changes, and never gets one.
import { must } from '#base/assert'
import { FieldReader } from './field-reader.ts'
import { FieldWriter } from './field-writer.ts'

const VERSION_UNHASHED = 1
const VERSION = 2
/** The place in the list is part of the format: append only. */
const KINDS = ['metadata', 'offset', 'data'] as const

export type MetaGroupKind = (typeof KINDS)[number]

/** Which group this is. Keys are hashed over the groups of a kind, so their number is fixed with the first entry. */
export interface GroupIdentity {
  readonly kind: MetaGroupKind
  /** From 0, among the groups of its kind. */
  readonly ordinal: number
  readonly groupCount: number
}

export interface Applied extends GroupIdentity {
  readonly index: number
  /** Of all changes up to `index`; undefined when it is not known. */
  readonly hash: number | undefined
}

export function encodeApplied({ kind, ordinal, groupCount }: GroupIdentity, index: number, hash: number | undefined): Buffer {
  const writer = new FieldWriter(VERSION, 20).uint8(KINDS.indexOf(kind)).uint16(ordinal).uint16(groupCount).uint64(index)
  writer.flag(hash !== undefined)
  if (hash !== undefined) writer.uint32(hash)
  return writer.take()
}

export function decodeApplied(bytes: Buffer): Applied {
  const version = bytes[0] === VERSION_UNHASHED ? VERSION_UNHASHED : VERSION
  const reader = new FieldReader(bytes, version, 'the applied index of a meta group')
  const kind = must(KINDS[reader.uint8()], 'the kind of a group is one of those there are')
  const applied = { kind, ordinal: reader.uint16(), groupCount: reader.uint16(), index: reader.uint64() }
  const hash = version === VERSION && reader.flag() ? reader.uint32() : undefined
  reader.end()
  return { ...applied, hash }
}
