// SPDX-License-Identifier: Apache-2.0
// Randomness of the operating system: unpredictable, so that ids and jitter cannot be guessed.
import { randomBytes, randomFillSync } from 'node:crypto'
import { assert } from '#base/assert'
import type { Random } from '#base/port/random'

const DRAW_COUNT = 1024
const UINT32_COUNT = 2 ** 32
const SAFE_COUNT = 2 ** 53

export class CryptoRandom implements Random {
  readonly #draws = new Uint32Array(DRAW_COUNT)
  #next = DRAW_COUNT

  uint32(): number {
    if (this.#next === DRAW_COUNT) {
      randomFillSync(this.#draws)
      this.#next = 0
    }
    const draw = this.#draws[this.#next] as number
    this.#draws[this.#next] = 0
    this.#next += 1
    return draw
  }

  range(min: number, max: number): number {
    assert(Number.isSafeInteger(min) && Number.isSafeInteger(max) && min <= max, 'a range goes from one safe integer up to another')
    const span = max - min + 1
    assert(span <= SAFE_COUNT, 'a range has at most 2^53 values')
    // Draws above the last whole multiple of the span are thrown away: they would favour the low values.
    const limit = SAFE_COUNT - (SAFE_COUNT % span)
    let draw = this.#uint53()
    while (draw >= limit) draw = this.#uint53()
    return min + (draw % span)
  }

  chance(ratio: number): boolean {
    return this.#uint53() < ratio * SAFE_COUNT
  }

  bytes(length: number): Buffer {
    return randomBytes(length)
  }

  /** Draws are independent anyhow; names matter only where a seed decides. */
  stream(_name: string): Random {
    return this
  }

  #uint53(): number {
    return (this.uint32() >>> 11) * UINT32_COUNT + this.uint32()
  }
}
