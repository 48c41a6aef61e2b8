// SPDX-License-Identifier: Apache-2.0
// Keys, values, and the history of their changes.
//
// The revision is a count of this table's changes, not the index of an entry: it needs no place inside of an entry, has no gaps, and so tells a
// watcher by itself that nothing is missing. History is kept in blocks of revisions, and a bounded number of blocks: as revisions are
// dense, the keys of a block that goes are known without a look into the store.
import { assertNever } from '#base/assert'
import { KV_LIMITS, type KvAction, type KvActionResult, type KvCompare, type KvTransaction } from '#contract/client/kv-client'
import type { GroupKeys } from '../codec/key.ts'
import { keyOfPair } from '../codec/key.ts'
import {
  decodeKvHead,
  decodePair,
  encodeEvents,
  encodeKvHead,
  encodePair,
  itemOf,
  type KvHead,
  type StoredEvent,
} from '../codec/kv-codec.ts'
import { COMMAND } from '../command/command.ts'
import { decodeKvCommand, type KvReply } from '../command/kv-command.ts'
import type { BoundedRange, Machine, RangeView, ReadSet, StateView } from './state-machine.ts'

/** A block is full at this many revisions or bytes of events. One revision has at most about 2 MiB of them. */
const BLOCK_REVISIONS = 256
const BLOCK_BYTES = 1 << 20
const BLOCKS_MAX = 64

const TOO_LARGE: KvReply = Object.freeze({ kind: 'tooLarge' })

export class KvMachine implements Machine<KvTransaction> {
  readonly commandTypes = [COMMAND.transactKv]
  readonly #keys: GroupKeys

  constructor(keys: GroupKeys) {
    this.#keys = keys
  }

  decode(_type: number, body: Buffer): KvTransaction {
    return decodeKvCommand(body)
  }

  declareReads({ compares, success, failure }: KvTransaction, reads: ReadSet): void {
    reads.key(this.#keys.kvHead)
    for (const { key } of compares) reads.key(this.#keys.kvPair(key))
    for (const action of [...success, ...failure]) {
      if (action.kind === 'deleteSpan') reads.range(this.#rangeOf(action))
      else reads.key(this.#keys.kvPair(action.key))
    }
  }

  apply({ compares, success, failure }: KvTransaction, view: StateView): KvReply {
    const head = decodeKvHead(view.get(this.#keys.kvHead))
    const succeeded = compares.every((compare) => this.#holds(compare, view))
    const actions = succeeded ? success : failure
    if (this.#affectsTooMuch(actions, view)) return TOO_LARGE
    const next = head.revision + 1
    const events: StoredEvent[] = []
    const results = actions.map((action) => this.#act(action, next, events, view))
    if (events.length > 0) this.#record(head, events, view)
    return { kind: 'done', succeeded, revision: events.length > 0 ? next : head.revision, results }
  }

  #holds(compare: KvCompare, view: StateView): boolean {
    const bytes = view.get(this.#keys.kvPair(compare.key))
    const pair = bytes && decodePair(bytes)
    return compare.kind === 'revision' ? (pair?.modRevision ?? 0) === compare.revision : pair?.value.equals(compare.value) === true
  }

  /** What is replaced, deleted and returned is bounded, as the events and the reply hold all of it. */
  #affectsTooMuch(actions: readonly KvAction[], view: StateView): boolean {
    let bytes = 0
    for (const action of actions) {
      if (action.kind === 'deleteSpan') {
        const found = this.#found(action, view)
        if (found.more) return true
        bytes += found.bytes
      } else {
        bytes += view.get(this.#keys.kvPair(action.key))?.length ?? 0
      }
    }
    return bytes > KV_LIMITS.affectedBytesMax
  }

  #act(action: KvAction, revision: number, events: StoredEvent[], view: StateView): KvActionResult {
    switch (action.kind) {
      case 'get': {
        const bytes = view.get(this.#keys.kvPair(action.key))
        return { kind: 'get', item: bytes && itemOf(action.key, bytes) }
      }
      case 'put': {
        const stored = this.#keys.kvPair(action.key)
        const previous = view.get(stored)
        const before = previous && decodePair(previous)
        const { value } = action
        const pair = {
          createRevision: before?.createRevision ?? revision,
          modRevision: revision,
          version: (before?.version ?? 0) + 1,
          value,
        }
        view.put(stored, encodePair(pair))
        events.push({ key: action.key, pair, previous })
        return { kind: 'put' }
      }
      case 'delete': {
        const stored = this.#keys.kvPair(action.key)
        const previous = view.get(stored)
        if (previous === undefined) return { kind: 'delete', deleted: 0 }
        view.delete(stored)
        events.push({ key: action.key, pair: undefined, previous })
        return { kind: 'delete', deleted: 1 }
      }
      case 'deleteSpan': {
        const { pairs } = this.#found(action, view)
        for (const { key, value } of pairs) {
          view.delete(key)
          events.push({ key: keyOfPair(key), pair: undefined, previous: value })
        }
        return { kind: 'delete', deleted: pairs.length }
      }
      default:
        return assertNever(action)
    }
  }

  /** Writes the events of the next revision, and drops the oldest block when there is one too many. */
  #record({ revision, blockBytes, blocks }: KvHead, events: readonly StoredEvent[], view: StateView): void {
    const next = revision + 1
    const bytes = encodeEvents(events)
    const last = blocks.at(-1)
    const fits = last !== undefined && next - last < BLOCK_REVISIONS && blockBytes + bytes.length <= BLOCK_BYTES
    const kept = fits ? blocks : [...blocks, next].slice(-BLOCKS_MAX)
    const [dropped, first] = [blocks[0], kept[0]]
    if (dropped !== undefined && first !== undefined) {
      for (let old = dropped; old < first; old++) view.delete(this.#keys.kvEvents(old))
    }
    view.put(this.#keys.kvEvents(next), bytes)
    view.put(this.#keys.kvHead, encodeKvHead({ revision: next, blockBytes: fits ? blockBytes + bytes.length : bytes.length, blocks: kept }))
  }

  #found(action: Extract<KvAction, { kind: 'deleteSpan' }>, view: StateView): RangeView {
    return view.range(this.#rangeOf(action))
  }

  #rangeOf({ span }: Extract<KvAction, { kind: 'deleteSpan' }>): BoundedRange {
    return { ...this.#keys.kvPairs(span), pairsMax: KV_LIMITS.affectedPairsMax, bytesMax: KV_LIMITS.affectedBytesMax }
  }
}
