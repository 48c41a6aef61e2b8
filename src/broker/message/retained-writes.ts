// SPDX-License-Identifier: Apache-2.0
// Batches with retained messages that are not stored yet. Who subscribes waits for those that came before, of whatever client: live when the
// subscription begins, such a message would reach it without the mark that it is retained (MQTT 5 section 3.3.1.3).

interface Waiter {
  /** The last batch it waits for. */
  readonly upTo: number
  readonly resolve: () => void
}

export class RetainedWrites {
  #begun = 0
  /** Numbers of the batches under way, ascending. */
  readonly #underWay = new Set<number>()
  /** In the order of `upTo`. */
  #waiters: Waiter[] = []

  /** A batch has its first retained message. Returns the number to settle it by. */
  begin(): number {
    this.#underWay.add(++this.#begun)
    return this.#begun
  }

  /** The batch is stored, or certainly not, or nobody will know. */
  settle(batch: number): void {
    this.#underWay.delete(batch)
    if (this.#waiters.length === 0) return
    const [oldest = Number.POSITIVE_INFINITY] = this.#underWay
    while (this.#waiters[0] !== undefined && this.#waiters[0].upTo < oldest) this.#waiters.shift()?.resolve()
  }

  /** Resolves when all that are under way now are settled; undefined when there are none. Never rejects. */
  settled(): Promise<void> | undefined {
    if (this.#underWay.size === 0) return undefined
    return new Promise((resolve) => this.#waiters.push({ upTo: this.#begun, resolve }))
  }
}
