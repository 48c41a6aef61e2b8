// SPDX-License-Identifier: Apache-2.0
// T13: the history behind all watches, where it is cut off while it is being read, and where a snapshot takes its place.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { KvRange } from '#base/port/kv'
import { AppliedSignal } from '#meta'
import { GroupKeys } from '../../../../src/meta/codec/key.ts'
import { encodeEvents, encodeKvHead, type KvHead } from '../../../../src/meta/codec/kv-codec.ts'
import { KvHistory } from '../../../../src/meta/service/kv-history.ts'
import { MemoryKv } from '../memory-kv.ts'

const KEYS = new GroupKeys(1)
const events = encodeEvents([{ key: Buffer.from('k'), pair: undefined, previous: undefined }])

/** A store that holds the history from `first` to `revision`, and another one from the first scan on, when told so. */
class HistoryKv extends MemoryKv {
  beforeScan: (() => Promise<void>) | undefined

  async keep(first: number, revision: number): Promise<void> {
    const head: KvHead = { revision, blockBytes: 0, blocks: [first] }
    const kept = []
    for (let at = 1; at <= revision; at++) kept.push({ key: KEYS.kvEvents(at), value: at < first ? undefined : events })
    await this.write([...kept, { key: KEYS.kvHead, value: encodeKvHead(head) }], { sync: false })
  }

  override async scan(range: KvRange) {
    const before = this.beforeScan
    this.beforeScan = undefined
    await before?.()
    return super.scan(range)
  }
}

describe('the history of the key-value table', () => {
  it('that is cut off between the look at its head and the reading is compacted, never a history with a gap', async () => {
    const kv = new HistoryKv()
    await kv.keep(1, 5)
    const history = new KvHistory(kv, KEYS, new AppliedSignal())
    kv.beforeScan = () => kv.keep(3, 5)
    assert.deepEqual(await history.read(1), { kind: 'compacted', firstRevision: 3 })
  })

  it('that a snapshot has replaced is compacted for who was at its end, and goes on from there for others', async () => {
    const kv = new HistoryKv()
    const signal = new AppliedSignal()
    const history = new KvHistory(kv, KEYS, signal)
    history.attach()
    await kv.keep(1, 5)
    await history.applied(5).promise
    const waiting = history.applied(6)
    await kv.keep(40, 50)
    signal.raise()
    await waiting.promise
    assert.deepEqual(await history.read(6), { kind: 'compacted', firstRevision: 40 })
    const page = await history.read(45)
    assert.deepEqual(page.kind === 'changes' && page.changes.map(({ revision }) => revision), [45, 46, 47, 48, 49, 50])
    history.detach()
  })
})
