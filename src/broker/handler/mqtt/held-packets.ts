// SPDX-License-Identifier: Apache-2.0
// Packets that leave only when the state they rest on is committed. They leave in the order in which they came.
import type { Clock } from '#base/port/clock'

export class HeldPackets {
  readonly #clock: Clock
  readonly #commit: () => Promise<void>
  readonly #send: (bytes: Buffer) => void
  readonly #failed: (error: unknown) => void
  #held: Buffer[] = []
  #committing = false
  #dropped = false

  /** `commit` saves the state as it is when it is called; one call at a time. */
  constructor(clock: Clock, commit: () => Promise<void>, send: (bytes: Buffer) => void, failed: (error: unknown) => void) {
    this.#clock = clock
    this.#commit = commit
    this.#send = send
    this.#failed = failed
  }

  /** Something is waiting: what must not overtake it has to wait too. */
  get waiting(): boolean {
    return this.#committing
  }

  add(bytes: Buffer): void {
    this.#held.push(bytes)
    if (this.#committing) return
    this.#committing = true
    this.#clock.endOfTurn(() => void this.#release())
  }

  /** Nothing leaves any more. */
  drop(): void {
    this.#dropped = true
    this.#held = []
  }

  async #release(): Promise<void> {
    try {
      while (this.#held.length > 0) {
        const held = this.#held
        this.#held = []
        await this.#commit()
        if (this.#dropped) return
        for (const bytes of held) this.#send(bytes)
      }
    } catch (error) {
      this.#failed(error)
    } finally {
      this.#committing = false
    }
  }
}
