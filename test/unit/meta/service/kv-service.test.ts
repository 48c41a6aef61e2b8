// SPDX-License-Identifier: Apache-2.0
// The key-value service of a node: what a client is promised of reads, writes and sessions.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { createMetaNode } from '../meta-node.ts'

const bytes = (text: string): Buffer => Buffer.from(text)

describe('a KV client', () => {
  it('reads what was written, with its revisions and version', async () => {
    const { kv } = (await createMetaNode()).service
    assert.deepEqual(await kv.get(bytes('k')), { revision: 0, item: undefined })
    await kv.put(bytes('k'), bytes('1'))
    await kv.put(bytes('other'), bytes('x'))
    assert.deepEqual(await kv.put(bytes('k'), bytes('2')), { revision: 3 })
    const item = { key: bytes('k'), value: bytes('2'), createRevision: 1, modRevision: 3, version: 2 }
    assert.deepEqual(await kv.get(bytes('k')), { revision: 3, item })
    assert.deepEqual(await kv.delete(bytes('k')), { revision: 4, deleted: 1 })
    assert.deepEqual(await kv.delete(bytes('k')), { revision: 4, deleted: 0 })
    await kv.put(bytes('k'), bytes('3'))
    assert.deepEqual((await kv.get(bytes('k'))).item, { ...item, value: bytes('3'), createRevision: 5, modRevision: 5, version: 1 })
  })

  it('sets only what is as it expects, and is told what is there else', async () => {
    const { kv } = (await createMetaNode()).service
    assert.deepEqual(await kv.compareAndSet(bytes('k'), 0, bytes('mine')), { kind: 'done', revision: 1 })
    const conflict = await kv.compareAndSet(bytes('k'), 0, bytes('too late'))
    assert.equal(conflict.kind === 'conflict' && String(conflict.item?.value), 'mine')
    assert.deepEqual(await kv.compareAndSet(bytes('k'), 1, undefined), { kind: 'done', revision: 2 })
    assert.deepEqual(await kv.compareAndSet(bytes('k'), 1, bytes('again')), { kind: 'conflict', revision: 2, item: undefined })
  })

  it('reads a span in pages, each a view of its own', async () => {
    const { kv } = (await createMetaNode()).service
    for (const name of ['a', 'b', 'c', 'd', 'e']) await kv.put(bytes(name), bytes(name.toUpperCase()))
    const names = async (request: Parameters<typeof kv.range>[0]) => {
      const { items, more } = await kv.range(request)
      return [items.map(({ key }) => String(key)).join(''), more]
    }
    assert.deepEqual(await names({ gte: bytes('b'), lt: bytes('e') }), ['bcd', false])
    assert.deepEqual(await names({ gte: bytes('b'), lt: undefined, limit: 2 }), ['bc', true])
    assert.deepEqual(await names({ gte: bytes('c\0'), lt: undefined, limit: 2 }), ['de', false])
    assert.deepEqual(await names({ gte: Buffer.alloc(0), lt: undefined, limit: 5 }), ['abcde', false])
    assert.equal((await kv.range({ gte: bytes('a'), lt: bytes('b'), keysOnly: true })).items[0]?.value.length, 0)
    assert.deepEqual(await kv.deleteSpan({ gte: bytes('b'), lt: bytes('d') }), { revision: 6, deleted: 2 })
    assert.deepEqual(await names({ gte: Buffer.alloc(0), lt: undefined }), ['ade', false])
  })

  it('ends a page of large values by its bytes, and never with less than one item', async () => {
    const { kv } = (await createMetaNode()).service
    const big = Buffer.alloc(1 << 18)
    for (let at = 0; at < 9; at++) await kv.put(bytes(`k${at}`), big)
    const { items, more } = await kv.range({ gte: bytes('k'), lt: undefined })
    assert.ok(more && items.length === 3, `${items.length} items`)
  })

  it('is refused what is malformed or too large, before it is proposed', async () => {
    const { service, metadata } = await createMetaNode()
    const { kv } = service
    await assert.rejects(kv.put(Buffer.alloc(0), bytes('v')), { code: ERROR_CODES.invalid })
    await assert.rejects(kv.put(bytes('k'), Buffer.alloc((1 << 18) + 1)), { code: ERROR_CODES.tooLarge })
    await assert.rejects(kv.range({ gte: bytes('b'), lt: bytes('a') }), { code: ERROR_CODES.invalid })
    await assert.rejects(kv.range({ gte: bytes('b'), lt: undefined, limit: 0 }), { code: ERROR_CODES.invalid })
    await assert.rejects(kv.put(bytes('k'), bytes('v'), { attempt: { session: 1, sequence: 0 } }), { code: ERROR_CODES.invalid })
    assert.throws(() => kv.watch({ gte: bytes('b'), lt: undefined, fromRevision: 0 }), { code: ERROR_CODES.invalid })
    assert.equal(metadata.entries.length, 0)
  })

  it('that reads linearizably waits for the group, and for nothing when a stale value will do', async () => {
    const { service, metadata } = await createMetaNode()
    const { kv } = service
    metadata.held = true
    const write = kv.put(bytes('k'), bytes('v'))
    await Promise.resolve()
    assert.equal((await kv.get(bytes('k'), { consistency: 'stale' })).item, undefined)
    metadata.release()
    await write
    assert.equal(String((await kv.get(bytes('k'))).item?.value), 'v')
  })

  it('gives up at its deadline without knowing what became of a write', async () => {
    const { service, metadata, clock } = await createMetaNode()
    metadata.held = true
    const write = service.kv.put(bytes('k'), bytes('v'), { deadlineMs: 70 })
    clock.timers.find(({ delayMs }) => delayMs === 70)?.fire()
    await assert.rejects(write, { code: ERROR_CODES.outcomeUnknown })
  })

  it('R54: does a write once that it makes again in its session', async () => {
    const { kv } = (await createMetaNode()).service
    const session = await kv.openSession()
    const attempt = { session, sequence: 1 }
    const first = await kv.compareAndSet(bytes('k'), 0, bytes('v'), { attempt })
    assert.deepEqual(first, { kind: 'done', revision: 1 })
    assert.deepEqual(await kv.compareAndSet(bytes('k'), 0, bytes('v'), { attempt }), first)
    await assert.rejects(kv.put(bytes('k'), bytes('v'), { attempt: { session: 99, sequence: 1 } }), { code: ERROR_CODES.sessionExpired })
  })
})

describe('a group without a leader', () => {
  const lost = new PlatformError(ERROR_CODES.notLeader, 'no leader')

  it('has what was certainly not done proposed again, until there is one', async () => {
    const { service, metadata, clock } = await createMetaNode()
    metadata.refusal = lost
    const write = service.kv.put(bytes('k'), bytes('v'))
    for (let tries = 0; tries < 3; tries++) {
      await new Promise((resolve) => setImmediate(resolve))
      clock.timers
        .filter(({ delayMs, cancelled }) => delayMs === 50 && !cancelled)
        .at(-1)
        ?.fire()
    }
    metadata.refusal = undefined
    await new Promise((resolve) => setImmediate(resolve))
    clock.timers
      .filter(({ delayMs }) => delayMs === 50)
      .at(-1)
      ?.fire()
    assert.deepEqual(await write, { revision: 1 })
    assert.equal(metadata.entries.length, 1)
  })

  it('fails what it was asked after some seconds, and at once when the service stops', async () => {
    const { service, metadata, clock } = await createMetaNode()
    metadata.refusal = lost
    const old = service.kv.put(bytes('k'), bytes('v'))
    await new Promise((resolve) => setImmediate(resolve))
    clock.nowMs += 5000
    clock.timers.find(({ delayMs }) => delayMs === 50)?.fire()
    await assert.rejects(old, { code: ERROR_CODES.notLeader })
    const late = service.kv.put(bytes('k'), bytes('v'))
    await new Promise((resolve) => setImmediate(resolve))
    await Promise.all([assert.rejects(late, { code: ERROR_CODES.notLeader }), service.stop()])
  })

  it('never has tried again what may have been done', async () => {
    const { service, metadata } = await createMetaNode()
    metadata.refusal = new PlatformError(ERROR_CODES.outcomeUnknown, 'perhaps')
    await assert.rejects(service.kv.put(bytes('k'), bytes('v')), { code: ERROR_CODES.outcomeUnknown })
  })
})

describe('what is done once in a cluster', () => {
  it('is left alone by a node that leads nothing', async () => {
    const { service, data, offset, clock, idle } = await createMetaNode()
    for (const group of [...data, ...offset]) group.leads = false
    await service.start()
    clock.timers.at(-1)?.fire()
    await idle()
    assert.deepEqual(
      [...data, ...offset].map(({ entries }) => entries.length),
      [0, 0],
    )
    await service.stop()
  })
})
