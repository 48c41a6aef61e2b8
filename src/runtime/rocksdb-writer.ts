// SPDX-License-Identifier: Apache-2.0
// The writes of the store, one at a time, each a link of a chain.
//
// The binding opens RocksDB with `paranoid_checks = false`: at a start a damaged record of its log is skipped, and the records after it are applied. One
// flipped bit would lose acknowledged writes without a word. So each write puts the key of its number and deletes the key of the number before, in its
// own batch. A store that has lost none has one such key. A lost write leaves the key before it for ever, since only that write would have deleted
// it: two keys are a gap. (A lost end is no gap; whoever had it synced keeps the index of what was applied in it, and misses that.)
//
// The chain orders writes only when they reach RocksDB in order, one after the other. What arrives during a write goes into the next one, as a whole.
import type level from 'level-rocksdb'
import { readUint64, writeUint64 } from '#base/bytes'
import type { PlatformError } from '#base/error'
import type { KvOperation } from '#base/port/kv'
import type { StoreGuard } from './rocksdb-guard.ts'
import { sealedSize, sealInto, sealValue } from './rocksdb-value.ts'

/** Owners' keys begin with a group number, far below these bytes. */
export const RESERVED_PREFIX = Buffer.from('ffffffff', 'hex')
const CHAIN_PREFIX = Buffer.concat([RESERVED_PREFIX, Buffer.from('chain/')])
const NUMBER_BYTES = 8
export const CHAIN_RANGE = { gte: chainKey(0), lt: Buffer.concat([RESERVED_PREFIX, Buffer.from('chain0')]) } as const

/** A write takes no more batches when it has reached this size: it bounds what one write adds to the latency of the next. */
const WRITE_BYTES_MAX = 1024 * 1024
/** Larger batches are sealed in memory of their own. */
const ROOM_BYTES = 512 * 1024
const NOTHING = Buffer.alloc(0)

interface WaitingBatch {
  readonly operations: readonly level.Operation[]
  readonly bytes: number
  readonly sync: boolean
  readonly resolve: () => void
  readonly reject: (error: PlatformError) => void
}

export class RocksdbWriter {
  readonly #handle: level.Handle
  readonly #guard: StoreGuard
  /** In the order in which they were given. Bounded by what its owners have in flight. */
  #waiting: WaitingBatch[] = []
  #isWriting = false
  #chainNumber: number
  #chainKey: Buffer
  /** Of the first write that failed: whether it is in the log is unknown, so nothing may be put after it (R48). */
  #failure: PlatformError | undefined
  /** Where the values of a batch are sealed that is written at once: the binding has copied them when the call returns. */
  readonly #room = Buffer.allocUnsafeSlow(ROOM_BYTES)
  #last: Promise<void> = Promise.resolve()

  /** `chainNumber` is that of the last write. */
  constructor(handle: level.Handle, guard: StoreGuard, chainNumber: number) {
    this.#handle = handle
    this.#guard = guard
    this.#chainNumber = chainNumber
    this.#chainKey = chainKey(chainNumber)
  }

  /** An empty batch is written too: its link has all before it synced, when it is synced. The keys must not change until it is done. */
  write(batch: readonly KvOperation[], sync: boolean): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    const operations: level.Operation[] = []
    let bytes = 0
    let sealedBytes = 0
    for (const { key, value } of batch) {
      bytes += key.length
      if (value !== undefined) sealedBytes += sealedSize(value)
    }
    bytes += sealedBytes
    const room = this.#isWriting || sealedBytes > ROOM_BYTES ? Buffer.allocUnsafe(sealedBytes) : this.#room
    let at = 0
    for (const { key, value } of batch) {
      operations.push(value === undefined ? { type: 'del', key, value } : { type: 'put', key, value: sealInto(room, at, key, value) })
      if (value !== undefined) at += sealedSize(value)
    }
    const done = new Promise<void>((resolve, reject) => {
      this.#waiting.push({ operations, bytes, sync, resolve, reject })
    })
    this.#last = done
    if (!this.#isWriting) this.#writeNext()
    return done
  }

  /** When all writes that were given have ended, well or not. */
  async settled(): Promise<void> {
    await Promise.allSettled([this.#last])
  }

  #writeNext(): void {
    const batches = this.#take()
    const operations = batches.length === 1 ? (batches[0]!.operations as level.Operation[]) : batches.flatMap((batch) => batch.operations)
    const previous = this.#chainKey
    this.#chainNumber++
    this.#chainKey = chainKey(this.#chainNumber)
    operations.push(linkOperation(this.#chainKey), { type: 'del', key: previous, value: undefined })
    this.#isWriting = true
    const slot = this.#guard.begin()
    this.#handle._batch(operations, { sync: batches.some(({ sync }) => sync) }, (error) => {
      this.#guard.end(slot)
      this.#isWriting = false
      if (error) this.#fail(batches, this.#guard.error('write', error))
      else for (const batch of batches) batch.resolve()
      if (this.#waiting.length > 0) this.#writeNext()
    })
  }

  /** Whole batches from the front of the queue, at least one. */
  #take(): readonly WaitingBatch[] {
    let count = 0
    for (let bytes = 0; count < this.#waiting.length && bytes < WRITE_BYTES_MAX; count++) bytes += this.#waiting[count]!.bytes
    if (count < this.#waiting.length) return this.#waiting.splice(0, count)
    const all = this.#waiting
    this.#waiting = []
    return all
  }

  #fail(batches: readonly WaitingBatch[], failure: PlatformError): void {
    this.#failure = failure
    for (const batch of batches) batch.reject(failure)
    for (const batch of this.#waiting) batch.reject(failure)
    this.#waiting = []
  }
}

export function chainKey(number: number): Buffer {
  const key = Buffer.allocUnsafe(CHAIN_PREFIX.length + NUMBER_BYTES)
  CHAIN_PREFIX.copy(key)
  writeUint64(key, number, CHAIN_PREFIX.length)
  return key
}

export const chainNumberOf = (key: Buffer): number => readUint64(key, CHAIN_PREFIX.length)

export const linkOperation = (key: Buffer): level.Operation => ({ type: 'put', key, value: sealValue(key, NOTHING) })
