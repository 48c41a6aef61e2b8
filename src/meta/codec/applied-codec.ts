// SPDX-License-Identifier: Apache-2.0
// The stored form of how far a group's state has come, and of which group it is.
import { must } from '#base/assert'
import { FieldReader } from './field-reader.ts'
import { FieldWriter } from './field-writer.ts'

const VERSION = 1
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
}

export const encodeApplied = (identity: GroupIdentity, index: number): Buffer =>
  new FieldWriter(VERSION, 16).uint8(KINDS.indexOf(identity.kind)).uint16(identity.ordinal).uint16(identity.groupCount).uint64(index).take()

export function decodeApplied(bytes: Buffer): Applied {
  const reader = new FieldReader(bytes, VERSION, 'the applied index of a meta group')
  const kind = must(KINDS[reader.uint8()], 'the kind of a group is one of those there are')
  const applied = { kind, ordinal: reader.uint16(), groupCount: reader.uint16(), index: reader.uint64() }
  reader.end()
  return applied
}
