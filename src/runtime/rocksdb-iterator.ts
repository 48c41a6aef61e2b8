// SPDX-License-Identifier: Apache-2.0
// A consistent view of a range of the store.
import type level from 'level-rocksdb'
import { assert } from '#base/assert'
import type { KvIterator, KvPair } from '#base/port/kv'
import { storeError } from './rocksdb-error.ts'
import type { StoreGuard } from './rocksdb-guard.ts'

/** Says what is thought of a pair, and of a failure. */
export interface PairJudge {
  unseal(key: Buffer, stored: Buffer): Buffer
  error(tried: string, cause: Error): Error
}

/** A last page of fewer bytes is left to the garbage collector. */
const PAGE_BYTES_LEFT_MAX = 16 * 1024

export class RocksdbIterator implements KvIterator {
  readonly #guard: StoreGuard
  readonly #judge: PairJudge
  readonly #source: level.HandleIterator
  readonly #siblings: Set<RocksdbIterator>
  readonly #reverse: boolean
  /** Pairs still to come before the limit, if there is one. */
  #pairsLeft: number
  /** The range has no more pairs. */
  #isExhausted = false
  /** Of the page that was fetched last, as far as it was taken. */
  #pageBytes = 0
  /** The call under way, if any. */
  #reading: Promise<readonly KvPair[]> | undefined
  #closed: Promise<void> | undefined

  /** Is in `siblings` until it is closed. `limit` and `reverse`: those of the source. */
  constructor(
    guard: StoreGuard,
    source: level.HandleIterator,
    siblings: Set<RocksdbIterator>,
    limit: number,
    reverse: boolean,
    judge: PairJudge = guard,
  ) {
    this.#guard = guard
    this.#judge = judge
    this.#source = source
    this.#siblings = siblings
    this.#reverse = reverse
    this.#pairsLeft = limit
    siblings.add(this)
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
    this.#guard.requireSound()
    const pairs: KvPair[] = []
    this.#drain(pairs, count)
    while (pairs.length < count && (await this.#fetch(pairs))) this.#drain(pairs, count)
    return pairs
  }

  async #end(): Promise<void> {
    // How the read ended is its caller's concern.
    if (this.#reading !== undefined) await Promise.allSettled([this.#reading])
    if (this.#pageBytes > PAGE_BYTES_LEFT_MAX && (this.#pairsLeft === 0 || this.#isExhausted)) await this.#dropPage()
    await new Promise<void>((resolve, reject) => {
      this.#source.end((error) => (error ? reject(storeError(this.#guard.directory, 'close', error)) : resolve()))
    })
    this.#siblings.delete(this)
  }

  /** Takes what is fetched without a trip, or a tick, for each pair. */
  #drain(pairs: KvPair[], count: number): void {
    const cache = this.#source.cache
    if (cache === null) return
    while (pairs.length < count && cache.length > 0) {
      const key = cache.pop() as Buffer
      pairs.push(this.#taken(key, cache.pop() as Buffer))
    }
  }

  async #fetch(pairs: KvPair[]): Promise<boolean> {
    const pair = await this.#nextStored()
    if (pair === undefined) {
      this.#isExhausted = true
      return false
    }
    this.#pageBytes = 0
    pairs.push(this.#taken(pair.key, pair.value))
    return true
  }

  #taken(key: Buffer, stored: Buffer): KvPair {
    this.#pairsLeft--
    this.#pageBytes += stored.length
    return { key, value: this.#judge.unseal(key, stored) }
  }

  /**
   * The binding keeps its copy of a page until the next one is read, or until the object is collected, and V8 does not know of those bytes: a reader of
   * large values gathers hundreds of MiB between two collections. Behind the last pair another read finds nothing, and frees the page. How it ends does not
   * matter. The wrapper would not ask the binding when the end came with the page: it is made to forget that. Forwards there is always a key to step on
   * from, that of the chain; backwards there may be none, which the binding does not check.
   */
  async #dropPage(): Promise<void> {
    if (!this.#reverse) this.#source.finished = false
    await Promise.allSettled([this.#nextStored()])
  }

  #nextStored(): Promise<KvPair | undefined> {
    const slot = this.#guard.begin()
    return new Promise((resolve, reject) => {
      this.#source.next((error, key, value) => {
        this.#guard.end(slot)
        if (error) reject(this.#judge.error('read', error))
        else resolve(key && { key, value: value as Buffer })
      })
    })
  }
}
