// SPDX-License-Identifier: Apache-2.0
// The ordered key-value store that holds state. RocksDB in production, a model with the same crash semantics in the simulator.

export interface KvRange {
  /** First key, inclusive. */
  readonly gte: Buffer
  /** End, exclusive. */
  readonly lt: Buffer
  readonly reverse?: boolean
  /** Most pairs to return. */
  readonly limit?: number
}

export interface KvPair {
  readonly key: Buffer
  readonly value: Buffer
}

/** A batch is applied whole or not at all. `value: undefined` deletes. Later operations win over earlier ones of the same key. */
export interface KvOperation {
  readonly key: Buffer
  readonly value: Buffer | undefined
}

/** What a verification has found. */
export interface KvVerification {
  /** Of the keys and values that were read. */
  readonly bytes: number
  /** Where to go on; undefined at the end of the range, and where it can't be read on. */
  readonly next: Buffer | undefined
  /** Keys whose values are not what was written, and the key from which on nothing can be read. */
  readonly damaged: readonly Buffer[]
}

/** Rejects with PlatformError diskFull, diskFailed or dataDamaged. */
export interface Kv {
  get(key: Buffer): Promise<Buffer | undefined>
  /** Values in the order of `keys`, read from one snapshot. */
  getMany(keys: readonly Buffer[]): Promise<readonly (Buffer | undefined)[]>
  /** Unsynced batches survive the death of the process, and after a power loss a prefix of them survives. A synced batch makes all earlier ones durable. */
  write(batch: readonly KvOperation[], options: { readonly sync: boolean }): Promise<void>
  /** The pairs of a range, at most `limit` (default 1000) of them, read from one snapshot. Page on with `gte` = last key + '\0'. */
  scan(range: KvRange): Promise<readonly KvPair[]>
  /** Reads at most `limit` (default 1000) pairs of a range and judges them. Damage that is found is told: it is not thrown, and ends nothing. */
  verify(range: KvRange): Promise<KvVerification>
  /** A consistent view that stays as it is while writes go on. Must be closed. */
  iterate(range: KvRange): KvIterator
  close(): Promise<void>
}

export interface KvIterator {
  /** The next pairs, at most `count`; empty at the end. */
  next(count: number): Promise<readonly KvPair[]>
  close(): Promise<void>
}
