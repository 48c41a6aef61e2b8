// SPDX-License-Identifier: Apache-2.0
// Finds connections whose peer takes nothing: memory is held for them that others need. One timer for all of them, and none while there are none.
import type { Clock, Timer } from '#base/port/clock'

export interface Stallable {
  /** Bytes that the transport has taken so far. */
  readonly takenBytes: number
  /** More is queued than a connection may hold for long. */
  readonly congested: boolean
  /** The peer has taken nothing for the whole time. It is not watched any more. */
  stalled(): void
}

interface Progress {
  takenBytes: number
  sinceMs: number
}

const CHECK_MS = 1_000

export class WriteStalls {
  readonly #clock: Clock
  readonly #timeoutMs: () => number
  readonly #watched = new Map<Stallable, Progress>()
  #timer: Timer | undefined

  constructor(clock: Clock, timeoutMs: () => number) {
    this.#clock = clock
    this.#timeoutMs = timeoutMs
  }

  /** It is watched until it is no longer congested. */
  watch(output: Stallable): void {
    if (this.#watched.has(output)) return
    this.#watched.set(output, { takenBytes: output.takenBytes, sinceMs: this.#clock.monotonic() })
    this.#timer ??= this.#clock.after(CHECK_MS, this.#check)
  }

  forget(output: Stallable): void {
    this.#watched.delete(output)
  }

  stop(): void {
    this.#timer?.cancel()
  }

  readonly #check = (): void => {
    this.#timer = undefined
    const nowMs = this.#clock.monotonic()
    for (const [output, progress] of this.#watched) {
      if (!output.congested) this.#watched.delete(output)
      else if (output.takenBytes !== progress.takenBytes) {
        progress.takenBytes = output.takenBytes
        progress.sinceMs = nowMs
      } else if (nowMs - progress.sinceMs >= this.#timeoutMs()) {
        this.#watched.delete(output)
        output.stalled()
      }
    }
    if (this.#watched.size > 0) this.#timer ??= this.#clock.after(CHECK_MS, this.#check)
  }
}
