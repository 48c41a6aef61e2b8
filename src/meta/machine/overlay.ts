// SPDX-License-Identifier: Apache-2.0
// What a batch of commands reads and writes: fetched from the store, changed in memory, written back at once.
import { assert, must } from '#base/assert'
import type { Kv, KvOperation } from '#base/port/kv'
import { rangeOf } from '../codec/key.ts'
import { scanRange } from '../scan.ts'
import type { ChangeChain } from './change-chain.ts'
import { readRange } from './range-read.ts'
import type { BoundedRange, Directory, RangeView, ReadSet, StateView } from './state-machine.ts'

/** Scans that are under way at the same time: to begin one takes time of the loop. */
const SCANS_MAX = 16

/** Item to value. */
type Items = Map<string, Buffer>

interface DeclaredCollection {
  readonly collection: Buffer
  readonly directory: Directory
}

/** Gathers what some commands declare. Keys are kept as latin1 text, which sorts as the bytes do. */
export class DeclaredReads implements ReadSet {
  readonly keys = new Map<string, Buffer>()
  readonly collections = new Map<string, DeclaredCollection>()
  readonly ranges: BoundedRange[] = []

  key(key: Buffer): void {
    this.keys.set(key.toString('latin1'), key)
  }

  items(collection: Buffer, directory: Directory): void {
    this.key(directory.key)
    this.collections.set(collection.toString('latin1'), { collection, directory })
  }

  range(range: BoundedRange): void {
    this.ranges.push(range)
  }
}

/** The state as the commands of one batch see it, one after the other. */
export class Overlay implements StateView {
  /** Told of every change, in order. */
  readonly #chain: ChangeChain
  /** Declared keys, with what the batch has made of them so far. */
  readonly #values = new Map<string, Buffer | undefined>()
  /** Declared collections, likewise. */
  readonly #collections = new Map<string, Items>()
  readonly #writes = new Map<string, KvOperation>()
  #ranges: readonly { readonly range: BoundedRange; readonly view: RangeView }[] = []

  constructor(chain: ChangeChain) {
    this.#chain = chain
  }

  /** Fetches what is declared and not here yet. Ranges replace those that were fetched before. */
  async fetch(kv: Kv, reads: DeclaredReads): Promise<void> {
    await this.#fetchValues(kv, reads.keys)
    await this.#fetchCollections(kv, reads.collections)
    const ranges: { range: BoundedRange; view: RangeView }[] = []
    for (const range of reads.ranges) ranges.push({ range, view: await readRange(kv, range, this.#writes) })
    this.#ranges = ranges
  }

  /** The last write of each key. */
  writes(): KvOperation[] {
    return [...this.#writes.values()]
  }

  get(key: Buffer): Buffer | undefined {
    const name = key.toString('latin1')
    const value = this.#values.get(name)
    assert(value !== undefined || this.#values.has(name), 'a command reads only keys that it declared')
    return value
  }

  put(key: Buffer, value: Buffer): void {
    this.#write(key, value)
  }

  delete(key: Buffer): void {
    this.#write(key, undefined)
  }

  items(collection: Buffer): readonly Buffer[] {
    const items = this.#items(collection)
    return sortedNames(items).map((item) => must(items.get(item), 'the item is in its collection'))
  }

  putItem(collection: Buffer, item: Buffer, value: Buffer): void {
    this.#write(Buffer.concat([collection, item]), value)
    this.#collections.get(collection.toString('latin1'))?.set(item.toString('latin1'), value)
  }

  deleteItem(collection: Buffer, item: Buffer): void {
    this.#write(Buffer.concat([collection, item]), undefined)
    this.#collections.get(collection.toString('latin1'))?.delete(item.toString('latin1'))
  }

  deleteItems(collection: Buffer): void {
    const items = this.#items(collection)
    // In an order that does not depend on how the items came here: the chain of changes must not either.
    for (const item of sortedNames(items)) this.#write(Buffer.concat([collection, Buffer.from(item, 'latin1')]), undefined)
    items.clear()
  }

  range({ gte, lt }: BoundedRange): RangeView {
    const found = this.#ranges.find(({ range }) => range.gte.equals(gte) && range.lt.equals(lt))
    return must(found, 'a command reads only ranges that it declared').view
  }

  #items(collection: Buffer): Items {
    return must(this.#collections.get(collection.toString('latin1')), 'a command reads only collections that it declared')
  }

  #write(key: Buffer, value: Buffer | undefined): void {
    const name = key.toString('latin1')
    this.#chain.change(key, value)
    if (this.#values.has(name)) this.#values.set(name, value)
    this.#writes.set(name, { key, value })
  }

  async #fetchValues(kv: Kv, keys: ReadonlyMap<string, Buffer>): Promise<void> {
    const wanted: Buffer[] = []
    const names: string[] = []
    for (const [name, key] of keys) {
      if (this.#values.has(name)) continue
      const written = this.#writes.get(name)
      if (written !== undefined) {
        this.#values.set(name, written.value)
      } else {
        wanted.push(key)
        names.push(name)
      }
    }
    const fetched = wanted.length === 0 ? [] : await kv.getMany(wanted)
    for (const [at, name] of names.entries()) this.#values.set(name, fetched[at])
  }

  async #fetchCollections(kv: Kv, declared: ReadonlyMap<string, DeclaredCollection>): Promise<void> {
    const listed: { readonly key: Buffer; readonly item: string; readonly into: Items }[] = []
    const scanned: { readonly collection: Buffer; readonly into: Items }[] = []
    const added: { readonly collection: Buffer; readonly into: Items }[] = []
    for (const [name, { collection, directory }] of declared) {
      if (this.#collections.has(name)) continue
      const into: Items = new Map()
      added.push({ collection, into })
      this.#collections.set(name, into)
      const items = directory.itemsOf(this.#values.get(directory.key.toString('latin1')))
      if (items === 'scan') scanned.push({ collection, into })
      else for (const item of items) listed.push({ key: Buffer.concat([collection, item]), item: item.toString('latin1'), into })
    }
    const found = listed.length === 0 ? [] : await kv.getMany(listed.map(({ key }) => key))
    for (const [at, { item, into }] of listed.entries()) {
      const value = found[at]
      if (value !== undefined) into.set(item, value)
    }
    const lane = async (): Promise<void> => {
      for (let next = scanned.pop(); next !== undefined; next = scanned.pop()) await scanItems(kv, next.collection, next.into)
    }
    await Promise.all(Array.from({ length: Math.min(SCANS_MAX, scanned.length) }, lane))
    if (this.#writes.size > 0) for (const { collection, into } of added) this.#addWritten(collection, into)
  }

  /** What earlier commands of the batch have made of a collection that was not fetched yet. */
  #addWritten(collection: Buffer, into: Items): void {
    const prefix = collection.toString('latin1')
    for (const [name, { value }] of this.#writes) {
      if (!name.startsWith(prefix)) continue
      const item = name.slice(prefix.length)
      if (value === undefined) into.delete(item)
      else into.set(item, value)
    }
  }
}

const sortedNames = (items: Items): readonly string[] => [...items.keys()].sort()

async function scanItems(kv: Kv, collection: Buffer, into: Items): Promise<void> {
  await scanRange(kv, rangeOf(collection), ({ key, value }) => {
    into.set(key.toString('latin1', collection.length), value)
    return true
  })
}
