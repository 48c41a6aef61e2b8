// SPDX-License-Identifier: Apache-2.0
// Ends the process when the store can't be trusted any more: when it returns what was not written, or does not return.
//
// When a flush fails, RocksDB tries it again for ever and holds back all writes meanwhile: no error reaches a caller (R48). So every call has a deadline.
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Clock, Timer } from '#base/port/clock'
import { storeDamaged, storeError } from './rocksdb-error.ts'
import { unsealValue } from './rocksdb-value.ts'

/**
 * Writes wait for flushes and compactions, which on a slow disk take many seconds by right: two memtables of 64 MiB at 5 MB/s are 27 s.
 */
const ANSWER_MS = 30_000
/** Parts of the deadline. A call is late when it has seen this many beginnings of a part: it is reported after one part more at the latest. */
const PARTS = 4
/** Of a key, in a message. */
const KEY_BYTES_SHOWN = 32

export interface StoreGuardOptions {
  readonly clock: Pick<Clock, 'after'>
  /** Ends the process (R48). */
  readonly crash: (reason: Error) => void
  /** Time for which a call may take; 30 s by default. */
  readonly answerMs?: number
  /** Keys whose damage is for the reader alone to deal with: what is in other values does not rest on theirs. None by default. */
  readonly isolates?: (key: Buffer) => boolean
}

/** The part of the deadline in which a call began. */
export type CallSlot = number

export class StoreGuard {
  readonly directory: string
  readonly #clock: Pick<Clock, 'after'>
  readonly #crash: (reason: Error) => void
  readonly #answerMs: number
  readonly #isolates: (key: Buffer) => boolean
  /**
   * Calls under way by the part in which they began, as a ring. Parts are counted, not read from a clock: a process that was stopped for an hour has
   * seen one part go by, and its calls are given the others to end in.
   */
  readonly #calls = new Array<number>(PARTS + 1).fill(0)
  #slot: CallSlot = 0
  #timer: Timer | undefined
  #failure: PlatformError | undefined

  constructor(directory: string, { clock, crash, answerMs = ANSWER_MS, isolates = () => false }: StoreGuardOptions) {
    this.directory = directory
    this.#clock = clock
    this.#crash = crash
    this.#answerMs = answerMs
    this.#isolates = isolates
    this.#arm()
  }

  /** Of a store that has failed nothing is served, while the process ends. */
  requireSound(): void {
    if (this.#failure !== undefined) throw this.#failure
  }

  begin(): CallSlot {
    this.#calls[this.#slot]!++
    return this.#slot
  }

  end(slot: CallSlot): void {
    this.#calls[slot]!--
  }

  close(): void {
    this.#timer?.cancel()
  }

  /** The error of a call, for its caller. Damage ends the process, unless the call was for isolated `keys` only: it is never retried (E6). */
  error(tried: string, cause: Error, keys: readonly Buffer[] = []): PlatformError {
    const error = storeError(this.directory, tried, cause)
    if (error.code !== ERROR_CODES.dataDamaged || (keys.length > 0 && keys.every(this.#isolates))) return error
    return this.#fail(error)
  }

  /** The value as its owner wrote it. Throws dataDamaged when it is not that, and ends the process, unless the key is isolated. */
  unseal(key: Buffer, stored: Buffer): Buffer {
    const value = unsealValue(key, stored)
    if (value !== undefined) return value
    const name = key.toString('hex', 0, KEY_BYTES_SHOWN)
    const error = storeDamaged(this.directory, `the value of key ${name} does not match its checksum`)
    throw this.#isolates(key) ? error : this.#fail(error)
  }

  #arm(): void {
    this.#timer = this.#clock.after(this.#answerMs / PARTS, () => this.#onPart())
  }

  #onPart(): void {
    this.#slot = (this.#slot + 1) % this.#calls.length
    if (this.#calls[this.#slot] === 0) this.#arm()
    else this.#fail(this.#silent())
  }

  #silent(): PlatformError {
    const text =
      `the store in ${this.directory} has not answered for ${this.#answerMs / 1000} s: the disk is far too slow, or it failed a flush of the store, ` +
      'which then writes nothing any more; check the disk (the log of the system tells of I/O errors) and start again'
    return new PlatformError(ERROR_CODES.diskFailed, text, { detail: { directory: this.directory } })
  }

  #fail(error: PlatformError): PlatformError {
    if (this.#failure === undefined) {
      this.#failure = error
      this.close()
      this.#crash(error)
    }
    return error
  }
}
