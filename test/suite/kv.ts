// SPDX-License-Identifier: Apache-2.0
// What every implementation of the Kv port must do. Run on RocksDB and on the simulator's store.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Kv, KvPair, KvRange } from '#base/port/kv'

export interface KvFixture {
  readonly kv: Kv
  /** Closes the store and opens what it has written. */
  reopen(): Promise<Kv>
  /** Closes the store and removes it. */
  dispose(): Promise<void>
}

const key = (text: string): Buffer => Buffer.from(text, 'latin1')
const text = (pairs: readonly KvPair[]): string =>
  pairs.map((pair) => `${pair.key.toString('latin1')}=${pair.value.toString('latin1')}`).join(' ')
const put = (name: string, value: string) => ({ key: key(name), value: key(value) })
const remove = (name: string) => ({ key: key(name), value: undefined })
const range = (gte: string, lt: string, rest: Partial<KvRange> = {}): KvRange => ({ gte: key(gte), lt: key(lt), ...rest })
const LAZY = { sync: false }
const SYNCED = { sync: true }

export function kvSuite(name: string, create: () => Promise<KvFixture>): void {
  describe(`Kv: ${name}`, () => {
    let fixture: KvFixture
    let kv: Kv
    before(async () => {
      fixture = await create()
      kv = fixture.kv
    })
    after(() => fixture.dispose())

    pointReads(() => kv)
    scans(() => kv)
    iterators(() => kv)
    verifications(() => kv)

    it('what is written is there after a reopen, an empty value is not an absent one', async () => {
      await kv.write([put('reopen/a', '1'), put('reopen/empty', '')], LAZY)
      await kv.write([], SYNCED)
      kv = await fixture.reopen()
      assert.equal(text(await kv.scan(range('reopen/', 'reopen0'))), 'reopen/a=1 reopen/empty=')
    })
  })
}

function pointReads(kv: () => Kv): void {
  it('a key that was never written is undefined', async () => {
    assert.equal(await kv().get(key('never')), undefined)
  })

  it('a batch writes and deletes, and the later operation of the same key wins', async () => {
    await kv().write([put('b/1', 'old'), put('b/2', 'x'), put('b/1', 'new'), remove('b/2'), remove('b/3'), put('b/3', 'back')], LAZY)
    assert.deepEqual(await kv().get(key('b/1')), key('new'))
    assert.equal(await kv().get(key('b/2')), undefined)
    assert.deepEqual(await kv().get(key('b/3')), key('back'))
  })

  it('keys and values are bytes: zero, 0xff and invalid UTF-8 come back as they were', async () => {
    const name = Buffer.from([0, 0xff, 0xc3, 0x28, 0])
    const value = Buffer.from([0xff, 0, 0xfe, 0x80])
    await kv().write([{ key: name, value }], SYNCED)
    assert.deepEqual(await kv().get(name), value)
  })

  it('the caller may reuse its buffers once the write has resolved', async () => {
    const name = key('reuse/1')
    const value = key('first')
    await kv().write([{ key: name, value }], LAZY)
    name.fill(0x7a)
    value.fill(0x7a)
    assert.deepEqual(await kv().get(key('reuse/1')), key('first'))
  })

  it('getMany answers in the order of the keys, repeated and missing ones included', async () => {
    await kv().write([put('m/1', 'one'), put('m/2', 'two')], LAZY)
    const values = await kv().getMany([key('m/2'), key('m/none'), key('m/1'), key('m/2')])
    assert.deepEqual(values, [key('two'), undefined, key('one'), key('two')])
    assert.deepEqual(await kv().getMany([]), [])
  })

  it('a batch is seen whole or not at all by reads beside it', async () => {
    const names = ['w/a', 'w/b', 'w/c'].map(key)
    await kv().write([put('w/a', '0'), put('w/b', '0'), put('w/c', '0')], LAZY)
    const work: Promise<unknown>[] = []
    for (let round = 1; round <= 20; round++) {
      work.push(
        kv().write([put('w/a', `${round}`), put('w/b', `${round}`), put('w/c', `${round}`)], LAZY),
        kv()
          .getMany(names)
          .then((values) => assert.equal(new Set(values.map(String)).size, 1, 'one snapshot')),
      )
    }
    await Promise.all(work)
  })
}

function scans(kv: () => Kv): void {
  it('a range includes its first key and excludes its end, in the order of bytes', async () => {
    await kv().write([put('s/\xff', '4'), put('s/b', '3'), put('s/a\0', '2'), put('s/a', '1')], LAZY)
    assert.equal(text(await kv().scan(range('s/a', 's/\xff'))), 's/a=1 s/a\0=2 s/b=3')
    assert.equal(text(await kv().scan(range('s/', 's0'))), 's/a=1 s/a\0=2 s/b=3 s/\xff=4')
  })

  it('reverse goes from the end, which stays exclusive', async () => {
    await kv().write([put('r/1', 'a'), put('r/2', 'b'), put('r/3', 'c')], LAZY)
    assert.equal(text(await kv().scan(range('r/1', 'r/3', { reverse: true }))), 'r/2=b r/1=a')
    assert.equal(text(await kv().scan(range('r/1', 'r/9', { reverse: true, limit: 1 }))), 'r/3=c')
  })

  it('an empty, an inverted and an unbounded-below range', async () => {
    await kv().write([put('e/1', 'a')], LAZY)
    assert.equal(text(await kv().scan(range('e/1', 'e/1'))), '')
    assert.equal(text(await kv().scan(range('e/2', 'e/1'))), '')
    assert.equal(text(await kv().scan(range('', ''))), '', 'no key is below the empty one')
    assert.equal(text(await kv().scan(range('', 'e/2', { reverse: true, limit: 1 }))), 'e/1=a')
    assert.equal(text(await kv().scan(range('e/1', 'e/2', { limit: 0 }))), '')
  })

  it('a scan returns 1000 pairs unless told otherwise, and pages on from the last key + 0', async () => {
    const batch = Array.from({ length: 1500 }, (_, at) => put(`p/${String(at).padStart(4, '0')}`, `${at}`))
    await kv().write(batch, LAZY)
    const first = await kv().scan(range('p/', 'p0'))
    assert.equal(first.length, 1000)
    const last = first[first.length - 1] as KvPair
    assert.equal(last.key.toString(), 'p/0999')
    const second = await kv().scan({ gte: Buffer.concat([last.key, Buffer.from([0])]), lt: key('p0') })
    assert.equal(second.length, 500)
    assert.equal(second[0]?.key.toString(), 'p/1000')
    assert.equal((await kv().scan(range('p/', 'p0', { limit: 1200 }))).length, 1200)
  })
}

function verifications(kv: () => Kv): void {
  it('a verification goes through a range in pages, and finds nothing in what is whole', async () => {
    await kv().write(
      ['v/1', 'v/2', 'v/3', 'w'].map((name) => put(name, 'value')),
      LAZY,
    )
    const seen: number[] = []
    for (let gte: Buffer | undefined = key('v/'); gte !== undefined; ) {
      const { bytes, next, damaged } = await kv().verify({ gte, lt: key('v0'), limit: 2 })
      assert.deepEqual(damaged, [])
      seen.push(bytes)
      gte = next
    }
    assert.equal(seen.length, 2)
    assert.ok((seen[0] as number) >= 16 && (seen[1] as number) >= 8)
    assert.deepEqual(await kv().verify(range('none/', 'none0')), { bytes: 0, next: undefined, damaged: [] })
  })
}

function iterators(kv: () => Kv): void {
  it('an iterator keeps the view of its beginning while writes go on', async () => {
    await kv().write([put('i/1', 'a'), put('i/2', 'b'), put('i/3', 'c')], LAZY)
    const iterator = kv().iterate(range('i/', 'i0'))
    await kv().write([put('i/1', 'changed'), remove('i/2'), put('i/4', 'new')], SYNCED)
    assert.equal(text(await iterator.next(2)), 'i/1=a i/2=b')
    assert.equal(text(await iterator.next(10)), 'i/3=c')
    assert.equal(text(await iterator.next(10)), '')
    await iterator.close()
    assert.equal(text(await kv().scan(range('i/', 'i0'))), 'i/1=changed i/3=c i/4=new')
  })

  it('an iterator gives every pair once, whatever the size of the steps', async () => {
    await kv().write(
      Array.from({ length: 2500 }, (_, at) => put(`n/${String(at).padStart(4, '0')}`, 'v'.repeat(at % 400))),
      LAZY,
    )
    const iterator = kv().iterate(range('n/', 'n0', { limit: 2400 }))
    const seen: string[] = []
    for (let step = 1; ; step = (step * 7) % 997) {
      const pairs = await iterator.next(step)
      assert.ok(pairs.length <= step, 'never more than asked for')
      if (pairs.length === 0) break
      for (const pair of pairs) {
        assert.equal(pair.value.length, Number(pair.key.subarray(2).toString()) % 400)
        seen.push(pair.key.toString())
      }
    }
    await iterator.close()
    assert.equal(seen.length, 2400)
    assert.deepEqual(seen, [...new Set(seen)].sort())
  })

  it('an iterator may be closed before its end, and twice', async () => {
    await kv().write([put('c/1', 'a'), put('c/2', 'b')], LAZY)
    const iterator = kv().iterate(range('c/', 'c0'))
    assert.equal((await iterator.next(1)).length, 1)
    await iterator.close()
    await iterator.close()
  })
}
