// SPDX-License-Identifier: Apache-2.0
// The values that messages between nodes are made of. One description of a message serves both for its size and for its bytes: it is put
// into a counter first, then into a buffer of exactly that size.
//
// uint := LEB128, seven bits a byte, the lowest first, at most 2^53 - 1 | bytes := length uint, then as many | list := count uint, then as many
import { assert } from '#base/assert'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'

export interface WireSink {
  uint8(value: number): void
  uint32(value: number): void
  uint(value: number): void
  bytes(value: Buffer): void
}

const SEVEN_BITS = 0x80

export class WireCounter implements WireSink {
  size = 0

  uint8(): void {
    this.size += 1
  }

  uint32(): void {
    this.size += 4
  }

  uint(value: number): void {
    assert(Number.isSafeInteger(value) && value >= 0, 'what is sent as an integer is a safe, non-negative one')
    for (let rest = value; rest >= SEVEN_BITS; rest = Math.floor(rest / SEVEN_BITS)) this.size++
    this.size++
  }

  bytes(value: Buffer): void {
    this.uint(value.length)
    this.size += value.length
  }
}

export class WireWriter implements WireSink {
  readonly #into: Buffer
  #at = 0

  constructor(into: Buffer) {
    this.#into = into
  }

  get isFull(): boolean {
    return this.#at === this.#into.length
  }

  uint8(value: number): void {
    this.#at = this.#into.writeUInt8(value, this.#at)
  }

  uint32(value: number): void {
    this.#at = this.#into.writeUInt32BE(value, this.#at)
  }

  uint(value: number): void {
    let rest = value
    // Above 2^31 the bit operators would cut it short.
    for (; rest >= SEVEN_BITS; rest = Math.floor(rest / SEVEN_BITS)) this.#into[this.#at++] = (rest % SEVEN_BITS) | SEVEN_BITS
    this.#into[this.#at++] = rest
  }

  bytes(value: Buffer): void {
    this.uint(value.length)
    this.#at += value.copy(this.#into, this.#at)
  }
}

/** Reads what a peer sent. Every method throws `invalid` where the bytes cannot be what they should. */
export class WireReader {
  readonly #from: Buffer
  #at = 0

  constructor(from: Buffer) {
    this.#from = from
  }

  get remaining(): number {
    return this.#from.length - this.#at
  }

  uint8(): number {
    if (this.remaining < 1) throw malformed('it ends too early')
    return this.#from[this.#at++] as number
  }

  uint32(): number {
    if (this.remaining < 4) throw malformed('it ends too early')
    const value = this.#from.readUInt32BE(this.#at)
    this.#at += 4
    return value
  }

  uint(): number {
    let value = 0
    let scale = 1
    for (;;) {
      const byte = this.uint8()
      value += (byte % SEVEN_BITS) * scale
      if (!Number.isSafeInteger(value)) throw malformed('an integer is too large')
      if (byte < SEVEN_BITS) return value
      scale *= SEVEN_BITS
      if (scale > Number.MAX_SAFE_INTEGER) throw malformed('an integer is too long')
    }
  }

  /** A part of the frame, not a copy: it keeps the frame in memory. */
  bytes(): Buffer {
    const length = this.uint()
    if (length > this.remaining) throw malformed('a length is beyond the end')
    const start = this.#at
    this.#at += length
    return this.#from.subarray(start, this.#at)
  }

  /** Reads a list. Each of its items takes at least a byte, so that no count is believed which the bytes do not bear out. */
  list<T>(read: (reader: WireReader) => T): readonly T[] {
    const count = this.uint()
    if (count > this.remaining) throw malformed('a count is beyond the end')
    const items: T[] = []
    while (items.length < count) items.push(read(this))
    return items
  }
}

export function malformed(why: string): PlatformError {
  return new PlatformError(ERROR_CODES.invalid, `a frame of another node cannot be read: ${why}`)
}
