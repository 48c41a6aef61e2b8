// SPDX-License-Identifier: Apache-2.0
// Takes apart what field-writer.ts built. Every length is checked before it is believed.
import { readUint64 } from '#base/bytes'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'

export class FieldReader {
  readonly #bytes: Buffer
  readonly #what: string
  #at = 0

  /** `what` names the value in errors. Throws dataVersion when the value is of another version: it is never guessed at, nor skipped (R55). */
  constructor(bytes: Buffer, version: number, what: string) {
    this.#bytes = bytes
    this.#what = what
    const found = this.uint8()
    if (found !== version) {
      const detail = { found, expected: version }
      throw new PlatformError(
        ERROR_CODES.dataVersion,
        `${what} has format version ${found}, this program reads ${version}; run a newer one`,
        {
          detail,
        },
      )
    }
  }

  uint8(): number {
    return this.#bytes.readUInt8(this.#advance(1))
  }

  flag(): boolean {
    return this.uint8() !== 0
  }

  uint16(): number {
    return this.#bytes.readUInt16BE(this.#advance(2))
  }

  uint32(): number {
    return this.#bytes.readUInt32BE(this.#advance(4))
  }

  uint64(): number {
    const value = readUint64(this.#bytes, this.#advance(8))
    if (Number.isNaN(value)) throw this.#damaged('holds an integer beyond 2^53')
    return value
  }

  text(): string {
    const length = this.uint32()
    const at = this.#advance(length)
    return this.#bytes.toString('utf8', at, at + length)
  }

  /** A view into the value, no copy. */
  blob(): Buffer {
    const length = this.uint32()
    const at = this.#advance(length)
    return this.#bytes.subarray(at, at + length)
  }

  optionalBlob(): Buffer | undefined {
    return this.flag() ? this.blob() : undefined
  }

  /** Checks that nothing is left over. */
  end(): void {
    if (this.#at !== this.#bytes.length) throw this.#damaged(`has ${this.#bytes.length - this.#at} bytes too many`)
  }

  #advance(count: number): number {
    const at = this.#at
    if (count > this.#bytes.length - at) throw this.#damaged(`ends after ${this.#bytes.length} bytes, in the middle of a field`)
    this.#at = at + count
    return at
  }

  #damaged(how: string): PlatformError {
    return new PlatformError(ERROR_CODES.dataDamaged, `${this.#what} ${how}; restore the data directory from a copy`)
  }
}
