// SPDX-License-Identifier: Apache-2.0
// Builds the bytes of one value: fields one after the other, big-endian, without names. What is read back is in field-reader.ts.
import { assert } from '#base/assert'
import { writeUint64 } from '#base/bytes'

const CAPACITY_BYTES = 128

export class FieldWriter {
  #bytes: Buffer
  #length = 0

  /** Every value begins with the version of its format (RELIABILITY R55). */
  constructor(version: number, capacityBytes = CAPACITY_BYTES) {
    this.#bytes = Buffer.allocUnsafe(capacityBytes)
    this.uint8(version)
  }

  get length(): number {
    return this.#length
  }

  uint8(value: number): this {
    const at = this.#reserve(1)
    this.#bytes.writeUInt8(value, at)
    return this
  }

  flag(value: boolean): this {
    return this.uint8(value ? 1 : 0)
  }

  uint16(value: number): this {
    const at = this.#reserve(2)
    this.#bytes.writeUInt16BE(value, at)
    return this
  }

  uint32(value: number): this {
    const at = this.#reserve(4)
    this.#bytes.writeUInt32BE(value, at)
    return this
  }

  /** A safe, non-negative integer. */
  uint64(value: number): this {
    const at = this.#reserve(8)
    writeUint64(this.#bytes, value, at)
    return this
  }

  /** UTF-8 after its length in bytes. */
  text(value: string): this {
    const length = Buffer.byteLength(value)
    const at = this.uint32(length).#reserve(length)
    this.#bytes.write(value, at)
    return this
  }

  /** Bytes after their length. */
  blob(value: Buffer): this {
    const at = this.uint32(value.length).#reserve(value.length)
    value.copy(this.#bytes, at)
    return this
  }

  optionalBlob(value: Buffer | undefined): this {
    return value === undefined ? this.flag(false) : this.flag(true).blob(value)
  }

  /** The bytes so far. The writer is not used afterwards. */
  take(): Buffer {
    assert(this.#length > 0, 'the bytes of a writer are taken once')
    const taken = this.#bytes.subarray(0, this.#length)
    this.#length = 0
    return taken
  }

  #reserve(count: number): number {
    const at = this.#length
    this.#length = at + count
    if (this.#length > this.#bytes.length) {
      const grown = Buffer.allocUnsafe(Math.max(this.#length, this.#bytes.length * 2))
      this.#bytes.copy(grown, 0, 0, at)
      this.#bytes = grown
    }
    return at
  }
}
