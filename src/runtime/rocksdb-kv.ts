// SPDX-License-Identifier: Apache-2.0
// The key-value store of a node on RocksDB. The only file that knows the binding: it is opened through level-rocksdb, and used without
// that wrapper, which would encode every key and copy every operation.
import level from 'level-rocksdb'
import { assert } from '#base/assert'
import { isPlatformError, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Kv, KvIterator, KvOperation, KvPair, KvRange } from '#base/port/kv'

const MIB = 1024 * 1024
const OPEN_OPTIONS = { cacheSize: 64 * MIB, writeBufferSize: 64 * MIB, compression: true } as const

/** Pairs of a scan that names no limit. */
const SCAN_COUNT = 1000
/** Bytes that one trip to the thread pool brings back. */
const FETCH_BYTES = 256 * 1024
const LIMIT_NONE = -1

/**
 * The binding does not write an empty batch, not even a synced one. Deleting a key that is never there does: it puts a record at the end of the
 * RocksDB log, and its sync covers all before it. Owners' keys begin with a group number, far below these bytes.
 */
const SYNC_MARK: KvOperation = { key: Buffer.from('\xff\xff\xff\xffsync', 'latin1'), value: undefined }

export class RocksdbKv implements Kv {
  readonly #directory: string
  readonly #database: level.Database
  readonly #handle: level.Handle
  /** Iterators that are not closed: they must end before the database does. */
  readonly #iterators = new Set<RocksdbIterator>()
  #closed: Promise<void> | undefined

  private constructor(directory: string, database: level.Database) {
    this.#directory = directory
    this.#database = database
    this.#handle = database._db.db
  }

  /** Opens or creates the store; the parent directory must exist. Rejects with dataLocked, dataDamaged, diskFull or diskFailed. */
  static async open(directory: string): Promise<RocksdbKv> {
    let database: level.Database | undefined
    await promised(directory, 'open', (done) => {
      database = level(directory, OPEN_OPTIONS, done)
    })
    assert(database !== undefined, 'an open database has a handle')
    return new RocksdbKv(directory, database)
  }

  async get(key: Buffer): Promise<Buffer | undefined> {
    this.#assertOpen()
    return new Promise((resolve, reject) => {
      this.#handle.get(key, (error, value) => {
        if (!error) resolve(value)
        else if (isNotFound(error)) resolve(undefined)
        else reject(storeError(this.#directory, 'read', error))
      })
    })
  }

  async getMany(keys: readonly Buffer[]): Promise<readonly (Buffer | undefined)[]> {
    this.#assertOpen()
    if (keys.length === 0) return []
    return new Promise((resolve, reject) => {
      this.#handle.getMany(keys, (error, values) => {
        if (error) reject(storeError(this.#directory, 'read', error))
        else resolve(values.map((value) => value ?? undefined))
      })
    })
  }

  async write(batch: readonly KvOperation[], options: { readonly sync: boolean }): Promise<void> {
    this.#assertOpen()
    if (batch.length === 0 && !options.sync) return
    const operations = (batch.length === 0 ? [SYNC_MARK] : batch).map(toOperation)
    await promised(this.#directory, 'write', (done) => this.#handle._batch(operations, options, done))
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

  iterate(range: KvRange): KvIterator {
    this.#assertOpen()
    // The binding takes an empty bound for no bound. No key is below the empty one.
    if (range.lt.length === 0 || range.limit === 0) return NO_PAIRS
    const { gte, lt, reverse = false, limit = LIMIT_NONE } = range
    const source = this.#handle.iterator({ gte, lt, reverse, limit, highWaterMark: FETCH_BYTES })
    const iterator = new RocksdbIterator(this.#directory, source, this.#iterators)
    this.#iterators.add(iterator)
    return iterator
  }

  /** Waits for the calls that are under way. Harmless when repeated. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    await Promise.all(Array.from(this.#iterators, (iterator) => iterator.close()))
    await promised(this.#directory, 'close', (done) => this.#database.close(done))
  }

  /** The binding does not check: a call on a closed database would be a segmentation fault. */
  #assertOpen(): void {
    assert(this.#closed === undefined, 'the store is not used after it is closed')
  }
}

class RocksdbIterator implements KvIterator {
  readonly #directory: string
  readonly #source: level.HandleIterator
  readonly #siblings: Set<RocksdbIterator>
  /** The call under way, if any. */
  #reading: Promise<readonly KvPair[]> | undefined
  #closed: Promise<void> | undefined

  constructor(directory: string, source: level.HandleIterator, siblings: Set<RocksdbIterator>) {
    this.#directory = directory
    this.#source = source
    this.#siblings = siblings
  }

  next(count: number): Promise<readonly KvPair[]> {
    assert(this.#closed === undefined, 'an iterator is not used after it is closed')
    assert(this.#reading === undefined, 'an iterator serves one call at a time')
    this.#reading = this.#read(count).finally(() => {
      this.#reading = undefined
    })
    return this.#reading
  }

  close(): Promise<void> {
    this.#closed ??= this.#end()
    return this.#closed
  }

  async #read(count: number): Promise<readonly KvPair[]> {
    const pairs: KvPair[] = []
    this.#drain(pairs, count)
    while (pairs.length < count && (await this.#fetch(pairs))) this.#drain(pairs, count)
    return pairs
  }

  async #end(): Promise<void> {
    // How the read ended is its caller's concern.
    if (this.#reading !== undefined) await Promise.allSettled([this.#reading])
    await promised(this.#directory, 'close', (done) => this.#source.end(done))
    this.#siblings.delete(this)
  }

  /** Takes what is fetched without a trip, or a tick, for each pair. */
  #drain(pairs: KvPair[], count: number): void {
    const cache = this.#source.cache
    if (cache === null) return
    while (pairs.length < count && cache.length > 0) pairs.push({ key: cache.pop() as Buffer, value: cache.pop() as Buffer })
  }

  #fetch(pairs: KvPair[]): Promise<boolean> {
    return new Promise((resolve, reject) => {
      this.#source.next((error, key, value) => {
        if (error) reject(storeError(this.#directory, 'read', error))
        else if (key === undefined) resolve(false)
        else {
          pairs.push({ key, value: value as Buffer })
          resolve(true)
        }
      })
    })
  }
}

const NO_PAIRS: KvIterator = Object.freeze({ next: async () => [], close: async () => {} })

const toOperation = ({ key, value }: KvOperation): level.Operation => ({ type: value === undefined ? 'del' : 'put', key, value })

function promised(directory: string, tried: string, call: (done: level.Done) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    call((error) => (error ? reject(storeError(directory, tried, error)) : resolve()))
  })
}

/** The binding gives this error no code. */
const isNotFound = (error: Error): boolean => /^notfound/i.test(error.message)

/** What RocksDB says, in the terms of the error catalogue. It says it in words only. */
export function storeError(directory: string, tried: string, cause: Error): PlatformError {
  if (isPlatformError(cause)) return cause
  const words = cause.message
  const options = { detail: { directory }, cause }
  if (/^IO error:.*(lock hold by current process|LOCK: )/s.test(words)) {
    return new PlatformError(
      ERROR_CODES.dataLocked,
      `another process uses the data in ${directory}: stop it, or give this node a data_path of its own`,
      options,
    )
  }
  if (/no space left|disk quota exceeded/i.test(words)) {
    return new PlatformError(ERROR_CODES.diskFull, `cannot ${tried} ${directory}: the disk is full, free space or enlarge it`, options)
  }
  if (/^Corruption/i.test(words)) {
    return new PlatformError(
      ERROR_CODES.dataDamaged,
      `cannot ${tried} ${directory}: the stored data is damaged (${words}); keep a copy of the directory, check the disk, and restore from a backup`,
      options,
    )
  }
  return new PlatformError(ERROR_CODES.diskFailed, `cannot ${tried} ${directory}: ${words}`, options)
}
