// SPDX-License-Identifier: Apache-2.0
// Who waits to read: for the core to confirm a read of the leader, or for this replica to apply as far as its leader had committed.
import { must } from '#base/assert'
import type { PlatformError } from '#base/error'
import type { LogIndex } from './core/message.ts'
import type { ReadNumber, ReadResult } from './core/read-index.ts'

interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: PlatformError) => void
}

export class ReadWaiters {
  readonly #asked = new Map<ReadNumber, Waiter>()
  /** Few, and in no order. */
  #awaiting: { readonly index: LogIndex; readonly waiter: Waiter }[] = []

  get count(): number {
    return this.#asked.size + this.#awaiting.length
  }

  /** Resolves or rejects when the core has decided. */
  decided(read: ReadNumber): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#asked.set(read, { resolve, reject })
    })
  }

  settle(results: readonly ReadResult[], lost: () => PlatformError): void {
    for (const { read, kind } of results) {
      const waiter = must(this.#asked.get(read), 'every read has somebody who waits for it')
      this.#asked.delete(read)
      if (kind === 'servable') waiter.resolve()
      else waiter.reject(lost())
    }
  }

  /** Resolves when `applied` was told of that index. */
  await(index: LogIndex, waiter: Waiter): void {
    this.#awaiting.push({ index, waiter })
  }

  applied(applied: LogIndex): void {
    if (this.#awaiting.length === 0) return
    const due = this.#awaiting.filter(({ index }) => index <= applied)
    if (due.length === 0) return
    this.#awaiting = this.#awaiting.filter(({ index }) => index > applied)
    for (const { waiter } of due) waiter.resolve()
  }

  failAll(error: PlatformError): void {
    const waiters = [...this.#asked.values(), ...this.#awaiting.map(({ waiter }) => waiter)]
    this.#asked.clear()
    this.#awaiting = []
    for (const waiter of waiters) waiter.reject(error)
  }
}
