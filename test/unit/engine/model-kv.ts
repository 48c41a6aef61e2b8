// SPDX-License-Identifier: Apache-2.0
// The key-value port in memory. Writes can be held back, and the store can be forked as a crash would leave it.
import { assert } from '#base/assert'
import type { Kv, KvIterator, KvOperation, KvPair, KvRange, KvVerification } from '#base/port/kv'
import { SortedMap } from '../../sim/sorted-map.ts'

const SCAN_PAIRS = 1000

interface HeldWrite {
  readonly batch: readonly KvOperation[]
  readonly resolve: () => void
}

export class ModelKv implements Kv {
  readonly #map: SortedMap
  #held: HeldWrite[] | undefined
  writes = 0
  syncs = 0
  puts = 0
  /** Pairs read by any call. */
  pairsRead = 0

  constructor(map = new SortedMap()) {
    this.#map = map
  }

  /** The store as it is now, on its own from now on. */
  fork(): ModelKv {
    return new ModelKv(this.#map.fork())
  }

  get size(): number {
    return this.#map.size
  }

  /** From now on writes wait. */
  hold(): void {
    this.#held ??= []
  }

  /** Lets all waiting writes through, and those to come. */
  letGo(): void {
    const held = this.#held ?? []
    this.#held = undefined
    for (const write of held) {
      this.#apply(write.batch)
      write.resolve()
    }
  }

  /** Number of keys of one kind of one log. */
  count(log: number, kind: string): number {
    const prefix = Buffer.from([0x65, 0, 0, 0, log, kind.charCodeAt(0)]).toString('latin1')
    let count = 0
    this.#map.walk(prefix, `${prefix}\xff\xff`, false, () => {
      count++
      return true
    })
    return count
  }

  async get(key: Buffer): Promise<Buffer | undefined> {
    return this.#read(key)
  }

  async getMany(keys: readonly Buffer[]): Promise<readonly (Buffer | undefined)[]> {
    return keys.map((key) => this.#read(key))
  }

  async write(batch: readonly KvOperation[], options: { readonly sync: boolean }): Promise<void> {
    this.writes++
    if (options.sync) this.syncs++
    const held = this.#held
    if (held !== undefined) return await new Promise((resolve) => held.push({ batch, resolve }))
    this.#apply(batch)
  }

  async scan(range: KvRange): Promise<readonly KvPair[]> {
    const pairs: KvPair[] = []
    const limit = range.limit ?? SCAN_PAIRS
    this.#map.walk(range.gte.toString('latin1'), range.lt.toString('latin1'), range.reverse ?? false, (key, value) => {
      pairs.push({ key: Buffer.from(key, 'latin1'), value })
      return pairs.length < limit
    })
    this.pairsRead += pairs.length
    return pairs
  }

  /** Keys, in latin1, that are called damaged by a verification. */
  readonly damagedKeys = new Set<string>()

  async verify(range: KvRange): Promise<KvVerification> {
    const pairs = await this.scan(range)
    const last = pairs.length < (range.limit ?? SCAN_PAIRS) ? undefined : pairs.at(-1)?.key
    return {
      bytes: pairs.reduce((sum, { key, value }) => sum + key.length + value.length, 0),
      next: last && Buffer.concat([last, Buffer.alloc(1)]),
      damaged: pairs.flatMap(({ key }) => (this.damagedKeys.has(key.toString('latin1')) ? [key] : [])),
    }
  }

  iterate(): KvIterator {
    assert(false, 'no test here iterates')
  }

  async close(): Promise<void> {}

  #read(key: Buffer): Buffer | undefined {
    const value = this.#map.get(key.toString('latin1'))
    if (value !== undefined) this.pairsRead++
    return value
  }

  #apply(batch: readonly KvOperation[]): void {
    for (const { key, value } of batch) {
      this.puts++
      if (value === undefined) this.#map.delete(key.toString('latin1'))
      else this.#map.set(key.toString('latin1'), Buffer.from(value))
    }
  }
}
