// SPDX-License-Identifier: Apache-2.0
// The key-value store of a node on RocksDB. It is opened through level-rocksdb, and used without that wrapper, which would encode every key and copy
// every operation. RocksDB is trusted with nothing: a chain through all writes shows those that are gone, a checksum on each value those that changed.
import level from 'level-rocksdb'
import { assert, must } from '#base/assert'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Kv, KvIterator, KvOperation, KvPair, KvRange, KvVerification } from '#base/port/kv'
import { storeError } from './rocksdb-error.ts'
import { requireFiles, restoreChain } from './rocksdb-format.ts'
import { StoreGuard, type StoreGuardOptions } from './rocksdb-guard.ts'
import { type PairJudge, RocksdbIterator } from './rocksdb-iterator.ts'
import { checkTables, listTables } from './rocksdb-table.ts'
import { PairVerifier } from './rocksdb-verifier.ts'
import { RocksdbWriter } from './rocksdb-writer.ts'

const MIB = 1024 * 1024
const OPEN_OPTIONS = { cacheSize: 8 * MIB, writeBufferSize: 8 * MIB, compression: true } as const

/** Pairs of a scan that names no limit. */
const SCAN_COUNT = 1000
/** Bytes that one trip to the thread pool brings back. */
const FETCH_BYTES = 64 * 1024
const LIMIT_NONE = -1

export class RocksdbKv implements Kv {
  readonly #directory: string
  readonly #database: level.Database
  readonly #handle: level.Handle
  readonly #guard: StoreGuard
  readonly #writer: RocksdbWriter
  /** Iterators that are not closed: they must end before the database does. */
  readonly #iterators = new Set<RocksdbIterator>()
  #closed: Promise<void> | undefined

  private constructor(database: level.Database, guard: StoreGuard, chainNumber: number) {
    this.#directory = guard.directory
    this.#database = database
    this.#handle = database._db.db
    this.#guard = guard
    this.#writer = new RocksdbWriter(this.#handle, guard, chainNumber)
  }

  /**
   * Opens or creates the store; the parent directory must exist. Rejects with dataLocked, dataDamaged, dataVersion, diskFull or diskFailed.
   * Later, `crash` is told of damage (E6), and of a call that has no answer in time.
   */
  static async open(directory: string, options: StoreGuardOptions): Promise<RocksdbKv> {
    await requireFiles(directory)
    const tables = await listTables(directory)
    let database: level.Database | undefined
    await promised(directory, 'open', (done) => {
      database = level(directory, OPEN_OPTIONS, done)
    })
    const opened = must(database, 'an open database has a handle')
    try {
      await checkTables(directory, tables)
      const chainNumber = await restoreChain(directory, opened._db.db)
      return new RocksdbKv(opened, new StoreGuard(directory, options), chainNumber)
    } catch (error) {
      await promised(directory, 'close', (done) => opened.close(done))
      throw error
    }
  }

  async get(key: Buffer): Promise<Buffer | undefined> {
    this.#requireUsable()
    const stored = await this.#getStored(key)
    return stored && this.#guard.unseal(key, stored)
  }

  async getMany(keys: readonly Buffer[]): Promise<readonly (Buffer | undefined)[]> {
    this.#requireUsable()
    if (keys.length === 0) return []
    const found = await this.#getManyStored(keys)
    return found.map((stored, at) => (stored ? this.#guard.unseal(keys[at]!, stored) : undefined))
  }

  async write(batch: readonly KvOperation[], { sync }: { readonly sync: boolean }): Promise<void> {
    this.#requireUsable()
    if (batch.length > 0 || sync) await this.#writer.write(batch, sync)
  }

  async scan(range: KvRange): Promise<readonly KvPair[]> {
    const limit = range.limit ?? SCAN_COUNT
    const iterator = this.iterate({ ...range, limit })
    try {
      return await iterator.next(limit)
    } finally {
      await iterator.close()
    }
  }

  async verify(range: KvRange): Promise<KvVerification> {
    const limit = range.limit ?? SCAN_COUNT
    const verifier = new PairVerifier(this.#directory)
    const iterator = this.#iterate({ ...range, limit }, verifier)
    try {
      const pairs = await iterator.next(limit)
      return verifier.result(pairs.length < limit ? undefined : pairs.at(-1)?.key)
    } catch (error) {
      if (!isPlatformError(error, ERROR_CODES.dataDamaged)) throw error
      return verifier.cutShort(range.gte)
    } finally {
      await iterator.close()
    }
  }

  iterate(range: KvRange): KvIterator {
    return this.#iterate(range)
  }

  #iterate(range: KvRange, judge?: PairJudge): KvIterator {
    this.#requireUsable()
    // The binding takes an empty bound for no bound. No key is below the empty one.
    if (range.lt.length === 0 || range.limit === 0) return NO_PAIRS
    const { gte, lt, reverse = false, limit = LIMIT_NONE } = range
    const source = this.#handle.iterator({ gte, lt, reverse, limit, highWaterMark: FETCH_BYTES })
    return new RocksdbIterator(this.#guard, source, this.#iterators, limit, reverse, judge)
  }

  /** Waits for the calls that are under way. Harmless when repeated. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    await this.#writer.settled()
    await Promise.all(Array.from(this.#iterators, (iterator) => iterator.close()))
    this.#guard.close()
    await promised(this.#directory, 'close', (done) => this.#database.close(done))
  }

  #getStored(key: Buffer): Promise<Buffer | undefined> {
    const slot = this.#guard.begin()
    return new Promise((resolve, reject) => {
      this.#handle.get(key, (error, stored) => {
        this.#guard.end(slot)
        if (!error) resolve(stored)
        else if (isNotFound(error)) resolve(undefined)
        else reject(this.#guard.error('read', error))
      })
    })
  }

  #getManyStored(keys: readonly Buffer[]): Promise<readonly (Buffer | null | undefined)[]> {
    const slot = this.#guard.begin()
    return new Promise((resolve, reject) => {
      this.#handle.getMany(keys, (error, found) => {
        this.#guard.end(slot)
        if (error) reject(this.#guard.error('read', error, keys))
        else resolve(found)
      })
    })
  }

  /** The binding does not check: a call on a closed database would be a segmentation fault. */
  #requireUsable(): void {
    this.#guard.requireSound()
    assert(this.#closed === undefined, 'the store is not used after it is closed')
  }
}

const NO_PAIRS: KvIterator = Object.freeze({ next: async () => [], close: async () => {} })

function promised(directory: string, tried: string, call: (done: level.Done) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    call((error) => (error ? reject(storeError(directory, tried, error)) : resolve()))
  })
}

/** The binding gives this error no code. */
const isNotFound = (error: Error): boolean => /^notfound/i.test(error.message)
