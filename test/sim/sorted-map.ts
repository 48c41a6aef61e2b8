// SPDX-License-Identifier: Apache-2.0
// An ordered map of byte keys that can be forked for the price of its directory: the state of the model key-value store.
//
// Keys are latin1 strings, whose order in JavaScript is the order of their bytes. They lie in chunks; a fork shares all chunks, and either side
// copies a chunk before it first writes to it.
import { must } from '#base/assert'

const CHUNK_KEYS_MAX = 256

interface Chunk {
  readonly keys: string[]
  readonly values: Buffer[]
  /** The map that may write to it; any other copies it first. */
  readonly owner: object
}

export class SortedMap {
  #chunks: Chunk[]
  #owner = {}
  #size: number

  constructor(chunks: Chunk[] = [], size = 0) {
    this.#chunks = chunks
    this.#size = size
  }

  get size(): number {
    return this.#size
  }

  /** A map with the same content. Neither sees the other's writes. */
  fork(): SortedMap {
    this.#owner = {}
    return new SortedMap(this.#chunks.slice(), this.#size)
  }

  get(key: string): Buffer | undefined {
    const chunk = this.#chunks[this.#chunkOf(key)]
    if (chunk === undefined) return undefined
    const at = lowerBound(chunk.keys, key)
    return chunk.keys[at] === key ? chunk.values[at] : undefined
  }

  set(key: string, value: Buffer): void {
    if (this.#chunks.length === 0) this.#chunks.push({ keys: [], values: [], owner: this.#owner })
    const index = this.#chunkOf(key)
    const chunk = this.#writable(index)
    const at = lowerBound(chunk.keys, key)
    if (chunk.keys[at] === key) {
      chunk.values[at] = value
      return
    }
    chunk.keys.splice(at, 0, key)
    chunk.values.splice(at, 0, value)
    this.#size++
    if (chunk.keys.length > CHUNK_KEYS_MAX) this.#split(index)
  }

  delete(key: string): void {
    const index = this.#chunkOf(key)
    const found = this.#chunks[index]
    if (found === undefined) return
    const at = lowerBound(found.keys, key)
    if (found.keys[at] !== key) return
    const chunk = this.#writable(index)
    chunk.keys.splice(at, 1)
    chunk.values.splice(at, 1)
    this.#size--
    if (chunk.keys.length === 0) this.#chunks.splice(index, 1)
  }

  /** Calls `visit` with the pairs of [gte, lt) in order, or in reverse, until it returns false. */
  walk(gte: string, lt: string, reverse: boolean, visit: (key: string, value: Buffer) => boolean): void {
    if (gte >= lt || this.#chunks.length === 0) return
    const step = reverse ? -1 : 1
    for (let index = this.#chunkOf(reverse ? lt : gte); index >= 0 && index < this.#chunks.length; index += step) {
      const { keys, values } = must(this.#chunks[index], 'the index is within the directory')
      for (let at = reverse ? lowerBound(keys, lt) - 1 : lowerBound(keys, gte); at >= 0 && at < keys.length; at += step) {
        const key = keys[at] as string
        if (reverse ? key < gte : key >= lt) return
        if (!visit(key, values[at] as Buffer)) return
      }
    }
  }

  /** The last chunk that begins at or before `key`, or the first one. */
  #chunkOf(key: string): number {
    let low = 0
    let high = this.#chunks.length
    while (low < high) {
      const middle = (low + high) >> 1
      if (((this.#chunks[middle] as Chunk).keys[0] as string) <= key) low = middle + 1
      else high = middle
    }
    return Math.max(0, low - 1)
  }

  #writable(index: number): Chunk {
    const chunk = must(this.#chunks[index], 'only existing chunks are written')
    if (chunk.owner === this.#owner) return chunk
    const copy: Chunk = { keys: chunk.keys.slice(), values: chunk.values.slice(), owner: this.#owner }
    this.#chunks[index] = copy
    return copy
  }

  #split(index: number): void {
    const chunk = this.#writable(index)
    const middle = chunk.keys.length >> 1
    this.#chunks.splice(index + 1, 0, { keys: chunk.keys.splice(middle), values: chunk.values.splice(middle), owner: this.#owner })
  }
}

/** Index of the first key that is not below `key`. */
function lowerBound(keys: readonly string[], key: string): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((keys[middle] as string) < key) low = middle + 1
    else high = middle
  }
  return low
}
