// SPDX-License-Identifier: Apache-2.0
// Seeded randomness (sfc32), split into named streams so that a new draw in one does not shift the others (RELIABILITY T6).
import { assert, must } from '#base/assert'
import type { Random } from '#base/port/random'

/** Steps that a fresh generator runs before its first draw, so that similar seeds part. */
const WARM_UP_STEPS = 12

export class SimRandom implements Random {
  readonly #key: number
  readonly #streamCounts = new Map<string, number>()
  #a: number
  #b: number
  #c: number
  #counter = 1

  /** `seed` is any integer; only its low 32 bits and `name` matter. */
  constructor(seed: number, name = 'root') {
    this.#key = hash(seed | 0, name)
    this.#a = this.#key
    this.#b = scramble(this.#key ^ 0x9e3779b9)
    this.#c = scramble(this.#b ^ 0x85ebca6b)
    for (let step = 0; step < WARM_UP_STEPS; step++) this.uint32()
  }

  uint32(): number {
    const result = (this.#a + this.#b + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + result) | 0
    return result >>> 0
  }

  range(min: number, max: number): number {
    assert(Number.isSafeInteger(min) && Number.isSafeInteger(max) && min <= max, 'a range has integer ends in order')
    return min + Math.floor(this.fraction() * (max - min + 1))
  }

  chance(ratio: number): boolean {
    return this.fraction() < ratio
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.alloc(length)
    for (let at = 0; at < length; at++) bytes[at] = this.uint32() >>> 24
    return bytes
  }

  /** The n-th stream of one name differs from the others of that name, and depends on no draw made before. */
  stream(name: string): SimRandom {
    const count = this.#streamCounts.get(name) ?? 0
    this.#streamCounts.set(name, count + 1)
    return new SimRandom(this.#key, `${name}#${count}`)
  }

  /** Uniform in [0, 1). */
  fraction(): number {
    return this.uint32() / 0x1_0000_0000
  }

  pick<T>(values: readonly T[]): T {
    return must(values[this.range(0, values.length - 1)], 'a pick is made from at least one value')
  }

  /** Delay with a long tail: mostly near `mean`, now and then ten times as much. */
  delayMs(mean: number): number {
    return mean * this.fraction() * (this.uint32() % 32 === 0 ? 10 : 2)
  }
}

function hash(seed: number, name: string): number {
  let value = scramble(seed ^ 0x811c9dc5)
  for (let at = 0; at < name.length; at++) value = Math.imul(value ^ name.charCodeAt(at), 0x01000193)
  return scramble(value)
}

/** The finaliser of MurmurHash3: every input bit reaches every output bit. */
export function scramble(input: number): number {
  let value = input | 0
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b)
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35)
  return (value ^ (value >>> 16)) | 0
}
