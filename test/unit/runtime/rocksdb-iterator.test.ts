// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { it } from 'node:test'
import type level from 'level-rocksdb'
import { NodeClock } from '#runtime'
import { StoreGuard } from '../../../src/runtime/rocksdb-guard.ts'
import { RocksdbIterator } from '../../../src/runtime/rocksdb-iterator.ts'
import { sealValue } from '../../../src/runtime/rocksdb-value.ts'

const LARGE = Buffer.alloc(32 * 1024)
const key = (at: number): Buffer => Buffer.from(`k${at}`)

/** What the binding keeps of its pages, and when it is asked: as iterator.js of rocksdb 5.2.1 does it. All pairs come in one page, and the end with them. */
class Source implements level.HandleIterator {
  cache: Buffer[] | null = null
  finished = false
  /** Pairs that the binding holds a copy of. */
  held = 0
  #left: number

  constructor(count: number) {
    this.#left = count
  }

  next(callback: (error: Error | null | undefined, key?: Buffer, value?: Buffer) => void): void {
    const cached = this.cache?.pop()
    if (cached !== undefined) callback(null, cached, this.cache?.pop() as Buffer)
    else if (this.finished) callback(null)
    else {
      this.held = this.#left
      this.cache = []
      for (let at = this.#left - 1; at >= 0; at--) this.cache.push(sealValue(key(at), LARGE), key(at))
      this.#left = 0
      this.finished = true
      this.next(callback)
    }
  }

  end(callback: level.Done): void {
    callback(null)
  }
}

for (const { name, limit } of [
  { name: 'its limit', limit: 3 },
  { name: 'the end of its range', limit: 4 },
]) {
  it(`an iterator that is closed at ${name} leaves no page with the binding, although the end came with that page`, async (context) => {
    const guard = new StoreGuard('kv', { clock: new NodeClock(), crash: (reason) => assert.fail(reason) })
    context.after(() => guard.close())
    const source = new Source(3)
    const iterator = new RocksdbIterator(guard, source, new Set(), limit, false)
    assert.equal((await iterator.next(limit)).length, 3)
    assert.equal(source.held, 3)
    await iterator.close()
    assert.equal(source.held, 0)
  })
}
