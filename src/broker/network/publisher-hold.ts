// SPDX-License-Identifier: Apache-2.0
// Publishers that an alarm of the node keeps from being read, until it is over.

/** Someone who stores messages. */
export interface Held {
  resumeReading(): void
}

export class PublisherHold {
  readonly #held = new Set<Held>()
  #raised = false

  get raised(): boolean {
    return this.#raised
  }

  raise(): void {
    this.#raised = true
  }

  /** It is over: those who wait go on. */
  lift(): void {
    this.#raised = false
    const held = [...this.#held]
    this.#held.clear()
    for (const publisher of held) publisher.resumeReading()
  }

  /** It has stopped reading, and is told to go on when the alarm is over. */
  wait(publisher: Held): void {
    this.#held.add(publisher)
  }

  forget(publisher: Held): void {
    this.#held.delete(publisher)
  }
}
