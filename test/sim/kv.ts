// SPDX-License-Identifier: Apache-2.0
// A model of the Kv port with the crash semantics of RocksDB: a batch is atomic, process death keeps every batch that was applied, and a
// power loss keeps a prefix of them that reaches at least to the last synced one.
import { assert } from '#base/assert'
import type { Kv, KvIterator, KvOperation, KvPair, KvRange, KvVerification } from '#base/port/kv'
import { type Life, never } from './life.ts'
import type { SimRandom } from './random.ts'
import { SortedMap } from './sorted-map.ts'
import type { World } from './world.ts'

const SCAN_PAIRS_DEFAULT = 1000
/** Above this many unsynced batches the system writes some back by itself, as it does after half a minute. */
const UNSYNCED_BATCHES_MAX = 256

export interface KvConditions {
  /** Mean time of a read or an unsynced write. */
  readonly delayMs: number
  /** Mean additional time of a synced write. */
  readonly syncDelayMs: number
}

interface PendingWrite {
  readonly batch: readonly KvOperation[]
  readonly sync: boolean
}

/** What is on the machine: it outlives every process that opens it. */
export class SimKvStore {
  readonly #world: World
  readonly #random: SimRandom
  readonly #conditions: KvConditions
  #current = new SortedMap()
  #durable = new SortedMap()
  /** Batches applied and not yet durable, in order. */
  #unsynced: (readonly KvOperation[])[] = []
  /** Handed over by the process and not yet applied. */
  readonly #pending = new Set<PendingWrite>()

  constructor(world: World, random: SimRandom, conditions: KvConditions) {
    this.#world = world
    this.#random = random
    this.#conditions = conditions
  }

  get size(): number {
    return this.#current.size
  }

  /** The port as one incarnation sees it. */
  open(life: Life): Kv {
    return new SimKv(this, life)
  }

  /** The process is gone, its life has ended: each of the writes under way had reached the store by then or had not. */
  kill(): void {
    for (const write of this.#pending) if (this.#random.chance(0.5)) this.#apply(write)
    this.#pending.clear()
  }

  /** The power is gone: a prefix of what was not synced is kept. */
  crash(): void {
    this.kill()
    const kept = this.#unsynced.length === 0 ? 0 : this.#random.range(0, this.#unsynced.length)
    for (let at = 0; at < kept; at++) applyBatch(this.#durable, this.#unsynced[at] as readonly KvOperation[])
    this.#unsynced = []
    this.#current = this.#durable.fork()
  }

  /** Everything is as it was when `view` was taken, durably. */
  restore(view: SortedMap): void {
    this.#pending.clear()
    this.#unsynced = []
    this.#durable = view.fork()
    this.#current = view.fork()
  }

  view(): SortedMap {
    return this.#current
  }

  /** Runs a read at the end of its delay. */
  read<T>(life: Life, read: (map: SortedMap) => T): Promise<T> {
    if (!life.alive) return never()
    return new Promise((resolve) => {
      this.#world.schedule('kv', life, this.#random.delayMs(this.#conditions.delayMs), () => resolve(read(this.#current)))
    })
  }

  /** Writes that are under way at once reach the store in any order: the threads of the real one race each other too. */
  write(life: Life, batch: readonly KvOperation[], sync: boolean): Promise<void> {
    if (!life.alive) return never()
    const write: PendingWrite = { batch: batch.map(({ key, value }) => ({ key: Buffer.from(key), value: copyOf(value) })), sync }
    this.#pending.add(write)
    const delayMs = this.#random.delayMs(this.#conditions.delayMs) + (sync ? this.#random.delayMs(this.#conditions.syncDelayMs) : 0)
    return new Promise((resolve) => {
      this.#world.schedule('kv', life, delayMs, () => {
        this.#pending.delete(write)
        this.#apply(write)
        resolve()
      })
    })
  }

  #apply({ batch, sync }: PendingWrite): void {
    applyBatch(this.#current, batch)
    for (const { key, value } of batch) {
      this.#world.trace.mixBytes(key)
      if (value !== undefined) this.#world.trace.mixBytes(value)
    }
    this.#unsynced.push(batch)
    if (sync) {
      this.#unsynced = []
      this.#durable = this.#current.fork()
    } else if (this.#unsynced.length > UNSYNCED_BATCHES_MAX) {
      for (const written of this.#unsynced.splice(0, UNSYNCED_BATCHES_MAX >> 1)) applyBatch(this.#durable, written)
    }
  }
}

class SimKv implements Kv {
  readonly #store: SimKvStore
  readonly #life: Life
  #closed = false

  constructor(store: SimKvStore, life: Life) {
    this.#store = store
    this.#life = life
  }

  async get(key: Buffer): Promise<Buffer | undefined> {
    this.#assertOpen()
    return this.#store.read(this.#life, (map) => copyOf(map.get(text(key))))
  }

  async getMany(keys: readonly Buffer[]): Promise<readonly (Buffer | undefined)[]> {
    this.#assertOpen()
    return this.#store.read(this.#life, (map) => keys.map((key) => copyOf(map.get(text(key)))))
  }

  async write(batch: readonly KvOperation[], options: { readonly sync: boolean }): Promise<void> {
    this.#assertOpen()
    return this.#store.write(this.#life, batch, options.sync)
  }

  async scan(range: KvRange): Promise<readonly KvPair[]> {
    this.#assertOpen()
    return this.#store.read(this.#life, (map) => collect(map, range, range.limit ?? SCAN_PAIRS_DEFAULT))
  }

  /** Nothing in it is ever damaged. */
  async verify(range: KvRange): Promise<KvVerification> {
    const limit = range.limit ?? SCAN_PAIRS_DEFAULT
    const pairs = await this.scan({ ...range, limit })
    const last = pairs.length < limit ? undefined : pairs.at(-1)?.key
    const bytes = pairs.reduce((sum, { key, value }) => sum + key.length + value.length, 0)
    return { bytes, next: last && after(last), damaged: [] }
  }

  iterate(range: KvRange): KvIterator {
    this.#assertOpen()
    return new SimKvIterator(this.#store, this.#life, this.#store.view().fork(), range)
  }

  async close(): Promise<void> {
    this.#closed = true
    return this.#store.read(this.#life, () => undefined)
  }

  #assertOpen(): void {
    assert(!this.#closed || !this.#life.alive, 'a closed key-value store is not used')
  }
}

class SimKvIterator implements KvIterator {
  readonly #store: SimKvStore
  readonly #life: Life
  readonly #snapshot: SortedMap
  /** What is left to read. */
  #range: KvRange
  #left: number
  #busy = false
  #closed = false

  constructor(store: SimKvStore, life: Life, snapshot: SortedMap, range: KvRange) {
    this.#store = store
    this.#life = life
    this.#snapshot = snapshot
    this.#range = range
    this.#left = range.limit ?? Number.POSITIVE_INFINITY
  }

  async next(count: number): Promise<readonly KvPair[]> {
    assert(!this.#closed, 'a closed iterator is not read')
    assert(!this.#busy, 'an iterator serves one call at a time')
    this.#busy = true
    return this.#store.read(this.#life, () => {
      this.#busy = false
      return this.#take(count)
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    return this.#store.read(this.#life, () => undefined)
  }

  #take(count: number): readonly KvPair[] {
    const pairs = collect(this.#snapshot, this.#range, Math.min(count, this.#left))
    this.#left -= pairs.length
    const last = pairs.at(-1)
    if (last !== undefined) this.#range = this.#range.reverse ? { ...this.#range, lt: last.key } : { ...this.#range, gte: after(last.key) }
    return pairs
  }
}

function collect(map: SortedMap, range: KvRange, limit: number): KvPair[] {
  const pairs: KvPair[] = []
  if (limit <= 0) return pairs
  map.walk(text(range.gte), text(range.lt), range.reverse ?? false, (key, value) => {
    pairs.push({ key: Buffer.from(key, 'latin1'), value: Buffer.from(value) })
    return pairs.length < limit
  })
  return pairs
}

function applyBatch(map: SortedMap, batch: readonly KvOperation[]): void {
  for (const { key, value } of batch) {
    if (value === undefined) map.delete(text(key))
    else map.set(text(key), value)
  }
}

const text = (key: Buffer): string => key.toString('latin1')
const copyOf = (value: Buffer | undefined): Buffer | undefined => value && Buffer.from(value)
const after = (key: Buffer): Buffer => Buffer.concat([key, Buffer.alloc(1)])
