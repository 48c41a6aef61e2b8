// SPDX-License-Identifier: Apache-2.0
// Randomness, injected. Streams are independent: a new draw in one does not shift the others.

export interface Random {
  uint32(): number
  /** Integer in [min, max]. */
  range(min: number, max: number): number
  /** True with probability `ratio` (0 to 1). */
  chance(ratio: number): boolean
  /** `length` random bytes; unpredictable in production. */
  bytes(length: number): Buffer
  stream(name: string): Random
}
