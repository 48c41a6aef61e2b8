// SPDX-License-Identifier: Apache-2.0
// What one part of a meta group's state is made of. The store is asynchronous and applying is not, so a machine first declares what a command
// may read; the driver fetches it for many commands at once; then each is applied to the fetched state.
import type { KvPair } from '#base/port/kv'
import type { KeyRange } from '../codec/key.ts'

/** A machine for some types of commands. Pure: the reply and the new state depend on nothing but the state and the command (RELIABILITY R52). */
export interface Machine<C> {
  readonly commandTypes: readonly number[]
  /** Throws dataVersion or dataDamaged, which stops the process (R53). */
  decode(type: number, body: Buffer): C
  /** Names all that `apply` may read. May depend on the command only, never on state: how entries fall into batches differs among replicas. */
  declareReads(command: C, reads: ReadSet): void
  /** Gives the reply. Every outcome is a value: an exception stops the process. */
  apply(command: C, view: StateView): unknown
}

export interface ReadSet {
  key(key: Buffer): void
  /** All items of a collection, that is every key that begins with `collection`; and the key of its directory. */
  items(collection: Buffer, directory: Directory): void
  /** The first pairs of a range, exactly as the commands before this one leave it. Costs a scan of its own: for commands that are rare. */
  range(range: BoundedRange): void
}

export interface BoundedRange extends KeyRange {
  readonly pairsMax: number
  readonly bytesMax: number
}

export interface RangeView {
  /** In the order of keys. */
  readonly pairs: readonly KvPair[]
  /** Of their keys and values. */
  readonly bytes: number
  /** The range holds more than its bounds allow. */
  readonly more: boolean
}

/** Spares looking for items where the stored value of another key tells which there are: a scan costs far more than a read. */
export interface Directory {
  readonly key: Buffer
  /** All items that the stored collection can hold, or 'scan' when the value does not tell. */
  readonly itemsOf: (value: Buffer | undefined) => readonly Buffer[] | 'scan'
}

/** The state as the commands before this one left it. */
export interface StateView {
  /** Asserts that the key was declared. */
  get(key: Buffer): Buffer | undefined
  put(key: Buffer, value: Buffer): void
  delete(key: Buffer): void
  /** Values of a collection in the order of their keys. Asserts that the collection was declared. */
  items(collection: Buffer): readonly Buffer[]
  putItem(collection: Buffer, item: Buffer, value: Buffer): void
  deleteItem(collection: Buffer, item: Buffer): void
  /** Asserts that the collection was declared. */
  deleteItems(collection: Buffer): void
  /** As it was before this command. Asserts that the range was declared by this command. */
  range(range: BoundedRange): RangeView
}
