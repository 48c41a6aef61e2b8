// SPDX-License-Identifier: Apache-2.0
// The key-value port with the crash semantics of RocksDB, every write of which can be where the power goes: a prefix of what was not synced is kept.
import type { KvOperation } from '#base/port/kv'
import { SortedMap } from '../../sim/sorted-map.ts'
import { ModelKv } from './model-kv.ts'

/** Called when a write has reached the store and is not durable: a promise that never settles stops it there. */
export type KvGate = () => Promise<void> | undefined

type Batch = readonly KvOperation[]

export class CrashKv extends ModelKv {
  readonly #gate: KvGate
  readonly #current: SortedMap
  #durable: SortedMap
  #unsynced: Batch[]

  constructor(gate: KvGate, current = new SortedMap(), durable = new SortedMap(), unsynced: readonly Batch[] = []) {
    super(current)
    this.#gate = gate
    this.#current = current
    this.#durable = durable
    this.#unsynced = [...unsynced]
  }

  /** Batches that a power loss may lose. */
  get unsyncedCount(): number {
    return this.#unsynced.length
  }

  override async write(batch: Batch, options: { readonly sync: boolean }): Promise<void> {
    const copy = batch.map(({ key, value }) => ({ key: Buffer.from(key), value: value && Buffer.from(value) }))
    await super.write(copy, options)
    this.#unsynced.push(copy)
    const covered = [...this.#unsynced]
    await this.#gate()
    if (!options.sync) return
    for (const one of covered) applyBatch(this.#durable, one)
    this.#unsynced = this.#unsynced.filter((one) => !covered.includes(one))
  }

  /** What the death of the process leaves. */
  killed(gate: KvGate): CrashKv {
    return new CrashKv(gate, this.#current.fork(), this.#durable.fork(), this.#unsynced)
  }

  /** What a power loss leaves that loses all but the first `kept` of what was not synced. */
  crashed(kept: number, gate: KvGate): CrashKv {
    const left = this.#durable.fork()
    for (const batch of this.#unsynced.slice(0, kept)) applyBatch(left, batch)
    return new CrashKv(gate, left, left.fork())
  }
}

function applyBatch(map: SortedMap, batch: Batch): void {
  for (const { key, value } of batch) {
    if (value === undefined) map.delete(key.toString('latin1'))
    else map.set(key.toString('latin1'), value)
  }
}
