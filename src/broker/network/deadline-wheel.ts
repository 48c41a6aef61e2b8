// SPDX-License-Identifier: Apache-2.0
// Deadlines of connections, to the second: time to CONNECT, keep alive, time to drain. One timer for all; moving a deadline later costs
// an assignment, because it is looked at again only when the old one comes round. Input that waits goes first (M7): a client that has spoken while the
// process stood still has kept its deadline.
import type { Clock, Timer } from '#base/port/clock'

export interface Expiring {
  /** When it is due, on the monotonic clock in ms; Infinity for never. */
  readonly deadlineMs: number
  /** Called once the deadline has passed. The wheel has forgotten it by then. */
  onDeadline(): void
}

const TICK_MS = 1_000
const SLOTS = 256

export class DeadlineWheel {
  readonly #clock: Clock
  readonly #slots: Set<Expiring>[] = Array.from({ length: SLOTS }, () => new Set())
  #tick = 0
  /** Runs until the deadlines of its tick have been looked at; undefined when nothing has to be watched. */
  #timer: Timer | undefined
  #size = 0

  constructor(clock: Clock) {
    this.#clock = clock
    this.#tick = Math.floor(clock.monotonic() / TICK_MS)
  }

  /** Watches a deadline. A deadline that moves closer must be removed and added again. */
  add(item: Expiring): void {
    this.#size++
    if (this.#timer === undefined) {
      this.#tick = Math.floor(this.#clock.monotonic() / TICK_MS)
      this.#arm()
    }
    this.#place(item)
  }

  /** `item` need not be in the wheel any more. Searching all slots is for connections that end: rare beside packets. */
  remove(item: Expiring): void {
    for (const slot of this.#slots) {
      if (!slot.delete(item)) continue
      this.#size--
      return
    }
  }

  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    for (const slot of this.#slots) slot.clear()
    this.#size = 0
  }

  /** In the slot of its deadline, or in the farthest one when that is beyond the wheel. */
  #place(item: Expiring): void {
    const due = Math.ceil(Math.min(item.deadlineMs, Number.MAX_SAFE_INTEGER) / TICK_MS)
    const ticks = Math.min(Math.max(due - this.#tick, 1), SLOTS - 1)
    this.#slots[(this.#tick + ticks) % SLOTS]?.add(item)
  }

  #arm(): void {
    this.#timer = this.#clock.after(TICK_MS, this.#onTick)
  }

  readonly #onTick = (): void => this.#clock.endOfTurn(this.#onInputRead)

  readonly #onInputRead = (): void => {
    const now = Math.floor(this.#clock.monotonic() / TICK_MS)
    // After a stall the wheel catches up, but goes round at most once.
    this.#tick = Math.max(this.#tick, now - SLOTS)
    while (this.#tick < now) {
      this.#tick++
      this.#turn(this.#tick % SLOTS)
    }
    if (this.#size > 0) this.#arm()
    else this.#timer = undefined
  }

  #turn(slot: number): void {
    const items = this.#slots[slot] as Set<Expiring>
    if (items.size === 0) return
    this.#slots[slot] = new Set()
    const nowMs = this.#clock.monotonic()
    for (const item of items) {
      if (item.deadlineMs > nowMs) {
        this.#place(item)
        continue
      }
      this.#size--
      item.onDeadline()
    }
  }
}
