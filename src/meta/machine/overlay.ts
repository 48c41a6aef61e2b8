// SPDX-License-Identifier: Apache-2.0
// What a batch of commands reads and writes: fetched once from the store, changed in memory, written back at once.
import { assert, must } from '#base/assert'
import type { Kv, KvOperation } from '#base/port/kv'
import { rangeOf } from '../codec/key.ts'
import { scanRange } from '../scan.ts'
import type { Directory, ReadSet, StateView } from './state-machine.ts'

/** Scans that are under way at the same time: to begin one takes time of the loop. */
const SCANS_MAX = 16

/** Item to value. */
type Items = Map<string, Buffer>

interface DeclaredCollection {
  readonly collection: Buffer
  readonly directory: Directory
}

/** Gathers what a batch of commands declares. Keys are kept as latin1 text, which sorts as the bytes do. */
export class DeclaredReads implements ReadSet {
  readonly #keys = new Map<string, Buffer>()
  readonly #collections = new Map<string, DeclaredCollection>()

  key(key: Buffer): void {
    this.#keys.set(key.toString('latin1'), key)
  }

  items(collection: Buffer, directory: Directory): void {
    this.key(directory.key)
    this.#collections.set(collection.toString('latin1'), { collection, directory })
  }

  async fetch(kv: Kv): Promise<Overlay> {
    const values = await fetchValues(kv, this.#keys)
    const collections = new Map<string, Items>()
    const listed: { readonly key: Buffer; readonly item: string; readonly into: Items }[] = []
    const scanned: { readonly collection: Buffer; readonly into: Items }[] = []
    for (const [name, { collection, directory }] of this.#collections) {
      const into: Items = new Map()
      collections.set(name, into)
      const items = directory.itemsOf(values.get(directory.key.toString('latin1')))
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
    return new Overlay(values, collections)
  }
}

/** The state as the commands of one batch see it, one after the other. */
export class Overlay implements StateView {
  /** Declared keys, with what the batch has made of them so far. */
  readonly #values: Map<string, Buffer | undefined>
  /** Declared collections, likewise. */
  readonly #collections: ReadonlyMap<string, Items>
  readonly #writes = new Map<string, KvOperation>()

  constructor(values: Map<string, Buffer | undefined>, collections: ReadonlyMap<string, Items>) {
    this.#values = values
    this.#collections = collections
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
    return [...items.keys()].sort().map((item) => must(items.get(item), 'the item is in its collection'))
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
    for (const item of items.keys()) this.#write(Buffer.concat([collection, Buffer.from(item, 'latin1')]), undefined)
    items.clear()
  }

  #items(collection: Buffer): Items {
    return must(this.#collections.get(collection.toString('latin1')), 'a command reads only collections that it declared')
  }

  #write(key: Buffer, value: Buffer | undefined): void {
    const name = key.toString('latin1')
    if (this.#values.has(name)) this.#values.set(name, value)
    this.#writes.set(name, { key, value })
  }
}

async function fetchValues(kv: Kv, keys: ReadonlyMap<string, Buffer>): Promise<Map<string, Buffer | undefined>> {
  const fetched = keys.size === 0 ? [] : await kv.getMany([...keys.values()])
  const values = new Map<string, Buffer | undefined>()
  let at = 0
  for (const name of keys.keys()) values.set(name, fetched[at++])
  return values
}

async function scanItems(kv: Kv, collection: Buffer, into: Items): Promise<void> {
  await scanRange(kv, rangeOf(collection), ({ key, value }) => {
    into.set(key.toString('latin1', collection.length), value)
    return true
  })
}
