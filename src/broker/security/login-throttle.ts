// SPDX-License-Identifier: Apache-2.0
// Slows down the guessing of passwords: after some wrong ones in a row for a user name from an address, the next attempt has to wait, longer after each.
import type { Clock } from '#base/port/clock'

export interface ThrottleSettings {
  /** Wrong passwords before the first wait; 0 turns it off. */
  readonly attemptsMax: number
  readonly backoffMaxMs: number
}

interface Record {
  failures: number
  /** On the monotonic clock. */
  blockedUntilMs: number
}

/** Pairs of address and user name remembered; the one that failed longest ago makes room. */
const PAIRS_MAX = 10_000
const BACKOFF_FIRST_MS = 1_000
/** After so many times the longest wait without a failure, a pair starts afresh. */
const FORGIVEN_AFTER = 4

export class LoginThrottle {
  readonly #clock: Clock
  #settings: ThrottleSettings
  /** In the order of the last failure. */
  readonly #records = new Map<string, Record>()

  constructor(clock: Clock, settings: ThrottleSettings) {
    this.#clock = clock
    this.#settings = settings
  }

  set settings(settings: ThrottleSettings) {
    this.#settings = settings
  }

  get size(): number {
    return this.#records.size
  }

  /** Whether an attempt has to be refused without looking at it. */
  isBlocked(address: string, userName: string): boolean {
    const record = this.#records.get(keyOf(address, userName))
    return record !== undefined && record.blockedUntilMs > this.#clock.monotonic()
  }

  /** Returns the wait that follows, in ms; 0 for none. */
  failed(address: string, userName: string): number {
    const { attemptsMax, backoffMaxMs } = this.#settings
    if (attemptsMax === 0) return 0
    const key = keyOf(address, userName)
    const nowMs = this.#clock.monotonic()
    const before = this.#records.get(key)
    const isForgiven = before !== undefined && nowMs > before.blockedUntilMs + FORGIVEN_AFTER * backoffMaxMs
    const failures = before === undefined || isForgiven ? 1 : before.failures + 1
    const over = failures - attemptsMax
    const waitMs = over < 0 ? 0 : Math.min(BACKOFF_FIRST_MS * 2 ** Math.min(over, 30), backoffMaxMs)
    this.#records.delete(key)
    if (this.#records.size >= PAIRS_MAX) this.#records.delete(this.#records.keys().next().value as string)
    this.#records.set(key, { failures, blockedUntilMs: nowMs + waitMs })
    return waitMs
  }

  succeeded(address: string, userName: string): void {
    if (this.#records.size > 0) this.#records.delete(keyOf(address, userName))
  }
}

/** An address has no space in it. */
const keyOf = (address: string, userName: string): string => `${address} ${userName}`
