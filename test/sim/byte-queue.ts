// SPDX-License-Identifier: Apache-2.0
// Bytes in order, taken out in pieces of any size: a chunk may be split or joined at every byte.
import { assert } from '#base/assert'

export class ByteQueue {
  #chunks: Buffer[] = []
  #length = 0

  get length(): number {
    return this.#length
  }

  push(bytes: Buffer): void {
    if (bytes.length === 0) return
    this.#chunks.push(bytes)
    this.#length += bytes.length
  }

  /** The first `length` bytes. */
  take(length: number): Buffer {
    assert(length <= this.#length, 'no more is taken than there is')
    const parts: Buffer[] = []
    let missing = length
    let used = 0
    while (missing > 0) {
      const chunk = this.#chunks[used] as Buffer
      if (chunk.length > missing) {
        parts.push(chunk.subarray(0, missing))
        this.#chunks[used] = chunk.subarray(missing)
        break
      }
      parts.push(chunk)
      missing -= chunk.length
      used++
    }
    this.#chunks.splice(0, used)
    this.#length -= length
    return Buffer.concat(parts)
  }

  clear(): void {
    this.#chunks = []
    this.#length = 0
  }
}
