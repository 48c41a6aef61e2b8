// SPDX-License-Identifier: Apache-2.0
// Time. The only source of it: every layer above the ports runs unchanged under the simulator's clock.

export interface Timer {
  /** Forgets the callback. Harmless when it has fired. */
  cancel(): void
}

export interface Clock {
  /** Milliseconds since an arbitrary point; never goes back. */
  monotonic(): number
  /** Milliseconds since 1970-01-01T00:00:00Z; may jump either way. */
  realtime(): number
  /** Fires once, at least `delayMs` from now. */
  after(delayMs: number, fire: () => void): Timer
  /** Fires when all input that is ready now has been delivered: the end of the loop turn, where batches are closed. */
  endOfTurn(fire: () => void): void
}
