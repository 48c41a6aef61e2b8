// SPDX-License-Identifier: Apache-2.0
// An ordered key-value store in memory, for tests of what is built on the port.
import { assert } from '#base/assert'
import type { Kv, KvIterator, KvOperation, KvPair, KvRange, KvVerification } from '#base/port/kv'
import { SortedMap } from '../../sim/sorted-map.ts'

const SCAN_PAIRS = 1000

export class MemoryKv implements Kv {
  #map: SortedMap
  /** Calls, for tests that count them. */
  readonly writes: { readonly operations: number; readonly sync: boolean }[] = []
  scans = 0
  iterations = 0

  constructor(map = new SortedMap()) {
    this.#map = map
  }

  /** The store as it is now, on its own from now on: what a crash at this moment leaves. */
  fork(): MemoryKv {
    return new MemoryKv(this.#map.fork())
  }

  get size(): number {
    return this.#map.size
  }

  /** Every pair as text, in order. */
  dump(): string[] {
    const pairs: string[] = []
    this.#map.walk('', '\xff', false, (key, value) => {
      pairs.push(`${Buffer.from(key, 'latin1').toString('hex')}=${value.toString('hex')}`)
      return true
    })
    return pairs
  }

  async get(key: Buffer): Promise<Buffer | undefined> {
    return this.#map.get(key.toString('latin1'))
  }

  async getMany(keys: readonly Buffer[]): Promise<readonly (Buffer | undefined)[]> {
    return keys.map((key) => this.#map.get(key.toString('latin1')))
  }

  async write(batch: readonly KvOperation[], options: { readonly sync: boolean }): Promise<void> {
    this.writes.push({ operations: batch.length, sync: options.sync })
    for (const { key, value } of batch) {
      if (value === undefined) this.#map.delete(key.toString('latin1'))
      else this.#map.set(key.toString('latin1'), Buffer.from(value))
    }
  }

  async scan(range: KvRange): Promise<readonly KvPair[]> {
    this.scans++
    const pairs: KvPair[] = []
    const limit = range.limit ?? SCAN_PAIRS
    this.#map.walk(range.gte.toString('latin1'), range.lt.toString('latin1'), range.reverse ?? false, (key, value) => {
      pairs.push({ key: Buffer.from(key, 'latin1'), value })
      return pairs.length < limit
    })
    return pairs
  }

  verify(): Promise<KvVerification> {
    assert(false, 'no test here verifies')
  }

  iterate(range: KvRange): KvIterator {
    this.iterations++
    const view = this.#map.fork()
    let { gte } = range
    let left = range.limit ?? Number.POSITIVE_INFINITY
    return {
      next: async (count) => {
        const pairs: KvPair[] = []
        const wanted = Math.min(count, left)
        view.walk(gte.toString('latin1'), range.lt.toString('latin1'), false, (key, value) => {
          if (pairs.length < wanted) pairs.push({ key: Buffer.from(key, 'latin1'), value })
          return pairs.length < wanted
        })
        const last = pairs.at(-1)
        if (last !== undefined) gte = Buffer.concat([last.key, Buffer.of(0)])
        left -= pairs.length
        return pairs
      },
      close: async () => {},
    }
  }

  async close(): Promise<void> {}
}
