// SPDX-License-Identifier: Apache-2.0
// The stored forms of the key-value table: its head, its pairs, and the events of a revision.
//
//   head   := version-u8 revision-u64 block-bytes-u32 count-u32 (first-revision-u64)*
//   pair   := version-u8 create-revision-u64 mod-revision-u64 version-u64 value
//   events := version-u8 count-u32 (kind-u8 key [create-revision-u64 version-u64] value previous-pair?)*
import type { KvEvent, KvItem } from '#contract/client/kv-client'
import { FieldReader } from './field-reader.ts'
import { FieldWriter } from './field-writer.ts'

const VERSION = 1
const KIND = { put: 1, delete: 2 } as const
const NO_VALUE = Buffer.alloc(0)

/** How far the table has come, and what is left of its history. */
export interface KvHead {
  /** Of the last change; 0 before the first. */
  readonly revision: number
  /** Of events, in the last block. */
  readonly blockBytes: number
  /** The first revision of each block of events that is kept, the oldest first. */
  readonly blocks: readonly number[]
}

export interface StoredPair {
  readonly createRevision: number
  readonly modRevision: number
  readonly version: number
  readonly value: Buffer
}

const HEAD_EMPTY: KvHead = Object.freeze({ revision: 0, blockBytes: 0, blocks: [] })

export function encodeKvHead({ revision, blockBytes, blocks }: KvHead): Buffer {
  const writer = new FieldWriter(VERSION, 17 + 8 * blocks.length).uint64(revision).uint32(blockBytes).uint32(blocks.length)
  for (const first of blocks) writer.uint64(first)
  return writer.take()
}

export function decodeKvHead(bytes: Buffer | undefined): KvHead {
  if (bytes === undefined) return HEAD_EMPTY
  const reader = new FieldReader(bytes, VERSION, 'the head of the key-value table')
  const [revision, blockBytes] = [reader.uint64(), reader.uint32()]
  const blocks: number[] = []
  for (let left = reader.uint32(); left > 0; left--) blocks.push(reader.uint64())
  reader.end()
  return { revision, blockBytes, blocks }
}

/** The first revision whose events are kept, or will be. */
export const firstRevisionOf = ({ revision, blocks }: KvHead): number => blocks[0] ?? revision + 1

export const encodePair = ({ createRevision, modRevision, version, value }: StoredPair): Buffer =>
  new FieldWriter(VERSION, 29 + value.length).uint64(createRevision).uint64(modRevision).uint64(version).blob(value).take()

/** The value is a view into `bytes`. */
export function decodePair(bytes: Buffer): StoredPair {
  const reader = new FieldReader(bytes, VERSION, 'a pair of the key-value table')
  const pair = { createRevision: reader.uint64(), modRevision: reader.uint64(), version: reader.uint64(), value: reader.blob() }
  reader.end()
  return pair
}

export const itemOf = (key: Buffer, bytes: Buffer): KvItem => ({ key, ...decodePair(bytes) })

/** A change as its transaction makes it. */
export interface StoredEvent {
  readonly key: Buffer
  /** Undefined for a delete. */
  readonly pair: StoredPair | undefined
  /** The bytes of the pair before. */
  readonly previous: Buffer | undefined
}

export function encodeEvents(events: readonly StoredEvent[]): Buffer {
  const writer = new FieldWriter(VERSION).uint32(events.length)
  for (const { key, pair, previous } of events) {
    writer.uint8(pair === undefined ? KIND.delete : KIND.put).blob(key)
    if (pair !== undefined) writer.uint64(pair.createRevision).uint64(pair.version).blob(pair.value)
    writer.optionalBlob(previous)
  }
  return writer.take()
}

/** All events of a revision, with what was before. Keys and values are views into `bytes`. */
export function decodeEvents(revision: number, bytes: Buffer): readonly KvEvent[] {
  const reader = new FieldReader(bytes, VERSION, 'the events of a revision')
  const events: KvEvent[] = []
  for (let left = reader.uint32(); left > 0; left--) {
    const isPut = reader.uint8() === KIND.put
    const key = reader.blob()
    const put = isPut
      ? { key, createRevision: reader.uint64(), modRevision: revision, version: reader.uint64(), value: reader.blob() }
      : undefined
    const stored = reader.optionalBlob()
    const previous = stored && itemOf(key, stored)
    if (put !== undefined) events.push({ kind: 'put', item: put, previous })
    else events.push({ kind: 'delete', item: deleted(key, revision, previous), previous })
  }
  reader.end()
  return events
}

const deleted = (key: Buffer, revision: number, previous: KvItem | undefined): KvItem => ({
  key,
  value: NO_VALUE,
  createRevision: previous?.createRevision ?? 0,
  modRevision: revision,
  version: previous?.version ?? 0,
})
