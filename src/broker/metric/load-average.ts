// SPDX-License-Identifier: Apache-2.0
// How much a count grows in a minute, smoothed over 1, 5 and 15 minutes, like the load average of Unix and the values of Mosquitto.

export const LOAD_MINUTES = Object.freeze([1, 5, 15] as const)

const MINUTE_MS = 60_000

export class LoadAverage {
  readonly #read: () => number
  readonly #perMinute = [0, 0, 0]
  #last: number

  constructor(read: () => number) {
    this.#read = read
    this.#last = read()
  }

  /** Takes the count in. `elapsedMs`: since the time before. */
  sample(elapsedMs: number): void {
    if (elapsedMs <= 0) return
    const count = this.#read()
    const rate = ((count - this.#last) * MINUTE_MS) / elapsedMs
    this.#last = count
    for (const [at, minutes] of LOAD_MINUTES.entries()) {
      const kept = Math.exp(-elapsedMs / (minutes * MINUTE_MS))
      this.#perMinute[at] = rate + kept * ((this.#perMinute[at] as number) - rate)
    }
  }

  /** Smoothed over LOAD_MINUTES[at] minutes. */
  perMinute(at: number): number {
    return this.#perMinute[at] ?? 0
  }
}
