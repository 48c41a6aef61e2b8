// SPDX-License-Identifier: Apache-2.0
// The state that a batch of commands sees: what was declared, with what the commands before wrote.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { AssertionError } from '#base/assert'
import { ChangeChain } from '../../../../src/meta/machine/change-chain.ts'
import { DeclaredReads, Overlay } from '../../../../src/meta/machine/overlay.ts'
import type { Directory } from '../../../../src/meta/machine/state-machine.ts'
import { MemoryKv } from '../memory-kv.ts'

const bytes = (text: string): Buffer => Buffer.from(text)

async function storeOf(...pairs: (readonly [string, string])[]): Promise<MemoryKv> {
  const kv = new MemoryKv()
  await kv.write(
    pairs.map(([key, value]) => ({ key: bytes(key), value: bytes(value) })),
    { sync: false },
  )
  return kv
}

async function viewOf(kv: MemoryKv, reads: DeclaredReads): Promise<Overlay> {
  const view = new Overlay(new ChangeChain())
  await view.fetch(kv, reads)
  return view
}

const scanning: Directory = { key: bytes('directory'), itemsOf: () => 'scan' }

describe('the overlay', () => {
  it('refuses to read what was not declared, even when it was written', async () => {
    const view = await viewOf(await storeOf(['k', 'v']), new DeclaredReads())
    view.put(bytes('k'), bytes('w'))
    assert.throws(() => view.get(bytes('k')), AssertionError)
    assert.throws(() => view.items(bytes('k')), AssertionError)
    assert.throws(() => view.deleteItems(bytes('k')), AssertionError)
  })

  it('shows a declared key as the last write left it', async () => {
    const reads = new DeclaredReads()
    reads.key(bytes('k'))
    reads.key(bytes('none'))
    const view = await viewOf(await storeOf(['k', 'v']), reads)
    assert.deepEqual(view.get(bytes('k')), bytes('v'))
    assert.equal(view.get(bytes('none')), undefined)
    view.put(bytes('k'), bytes('w'))
    assert.deepEqual(view.get(bytes('k')), bytes('w'))
    view.delete(bytes('k'))
    assert.equal(view.get(bytes('k')), undefined)
    assert.deepEqual(view.writes(), [{ key: bytes('k'), value: undefined }])
  })

  it('shows a collection in the order of its keys, with items that were put and without those deleted', async () => {
    const reads = new DeclaredReads()
    reads.items(bytes('c/'), scanning)
    const kv = await storeOf(['c/2', 'two'], ['c/4', 'four'], ['d', 'other'], ['c', 'other'])
    const view = await viewOf(kv, reads)
    view.putItem(bytes('c/'), bytes('3'), bytes('three'))
    view.putItem(bytes('c/'), bytes('10'), bytes('ten'))
    view.deleteItem(bytes('c/'), bytes('4'))
    assert.deepEqual(view.items(bytes('c/')).map(String), ['ten', 'two', 'three'])
    view.deleteItems(bytes('c/'))
    assert.deepEqual(view.items(bytes('c/')), [])
    await kv.write(view.writes(), { sync: false })
    assert.equal(kv.size, 2)
  })

  it('reads the items that a directory lists without a scan, in the order of their keys', async () => {
    const kv = await storeOf(['d', 'b,a,gone'], ['c/a', 'A'], ['c/b', 'B'], ['c/x', 'not listed'])
    const reads = new DeclaredReads()
    reads.items(bytes('c/'), { key: bytes('d'), itemsOf: (list) => String(list).split(',').map(bytes) })
    const view = await viewOf(kv, reads)
    assert.deepEqual(view.items(bytes('c/')).map(String), ['A', 'B'])
    assert.equal(kv.scans, 0)
  })
})
