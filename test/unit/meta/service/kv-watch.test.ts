// SPDX-License-Identifier: Apache-2.0
// T13: what a watch promises. Ordered, unique, atomic, without a gap, resumable, with progress, previous values and a filter.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ERROR_CODES } from '#base/error-code'
import type { KvClient, KvWatch, KvWatchMessage, KvWatchRequest } from '#contract/client/kv-client'
import { createMetaNode, type MetaNode } from '../meta-node.ts'

const bytes = (text: string): Buffer => Buffer.from(text)
const ALL: KvWatchRequest = { gte: Buffer.alloc(0), lt: undefined }
const from = (fromRevision: number, rest: Partial<KvWatchRequest> = {}): KvWatchRequest => ({ ...ALL, fromRevision, ...rest })
const put = (key: string, value: string) => ({ kind: 'put' as const, key: bytes(key), value: bytes(value) })

function text(message: KvWatchMessage | undefined): string {
  if (message === undefined) return 'end'
  if (message.kind === 'compacted') return `compacted, from ${message.firstRevision}`
  if (message.kind === 'progress') return `progress ${message.revision}`
  const events = message.events.map(({ kind, item, previous }) => {
    const after = kind === 'put' ? `${item.key}=${item.value}` : `-${item.key}`
    return previous === undefined ? after : `${after} was ${previous.value}`
  })
  return `${message.revision}: ${events.join(', ')}`
}

async function told(watch: KvWatch, count: number): Promise<string[]> {
  const texts: string[] = []
  while (texts.length < count) texts.push(text(await watch.next()))
  return texts
}

async function fill(kv: KvClient): Promise<void> {
  await kv.put(bytes('a'), bytes('1'))
  await kv.transaction({ compares: [], success: [put('a', '2'), put('b', '1'), put('c', '1')], failure: [] })
  await kv.delete(bytes('b'))
  await kv.put(bytes('a'), bytes('3'))
}

describe('T13: a watch', () => {
  it('tells what came from a revision on, in order, all of a revision together, and says where it begins', async () => {
    const { kv } = (await createMetaNode()).service
    await fill(kv)
    assert.deepEqual(await told(kv.watch(from(1)), 5), ['progress 0', '1: a=1', '2: a=2, b=1, c=1', '3: -b', '4: a=3'])
    assert.deepEqual(await told(kv.watch(from(3)), 3), ['progress 2', '3: -b', '4: a=3'])
  })

  it('without a revision tells what comes after the call', async () => {
    const { kv } = (await createMetaNode()).service
    await fill(kv)
    const watch = kv.watch(ALL)
    assert.deepEqual(await told(watch, 1), ['progress 4'])
    const next = watch.next()
    await kv.put(bytes('z'), bytes('1'))
    assert.equal(text(await next), '5: z=1')
  })

  it('tells the values before, when asked', async () => {
    const { kv } = (await createMetaNode()).service
    await fill(kv)
    assert.deepEqual(await told(kv.watch(from(2, { previousValues: true })), 4), [
      'progress 1',
      '2: a=2 was 1, b=1, c=1',
      '3: -b was 1',
      '4: a=3 was 2',
    ])
  })

  it('tells of its span only, and of a revision only what is in it', async () => {
    const { kv } = (await createMetaNode()).service
    await fill(kv)
    const watch = kv.watch(from(1, { gte: bytes('b'), lt: bytes('c') }))
    assert.deepEqual(await told(watch, 3), ['progress 0', '2: b=1', '3: -b'])
  })

  it('marks its progress while nothing concerns it, so that it can be taken up there', async () => {
    const { kv } = (await createMetaNode()).service
    const watch = kv.watch(from(1, { gte: bytes('x'), lt: undefined }))
    for (let at = 0; at < 100; at++) await kv.put(bytes('a'), bytes(`${at}`))
    await kv.put(bytes('x'), bytes('1'))
    assert.deepEqual(await told(watch, 5), ['progress 0', 'progress 32', 'progress 64', 'progress 96', '101: x=1'])
  })

  it('of a revision that is no longer kept says which one is, and is over', async () => {
    const node = await createMetaNode()
    const { kv } = node.service
    await kv.put(bytes('late'), bytes('x'))
    const slow = kv.watch(from(1))
    assert.deepEqual(await told(slow, 2), ['progress 0', '1: late=x'])
    for (let round = 0; round < 70; round++)
      await Promise.all(Array.from({ length: 256 }, (_, at) => kv.put(bytes('k'), bytes(`${round} ${at}`))))
    const [, compacted] = await told(kv.watch(from(1)), 2)
    assert.match(compacted ?? '', /^compacted, from \d+$/)
    const first = Number(compacted?.split(' ').at(-1))
    const [, kept] = await told(kv.watch(from(first)), 2)
    assert.ok(kept?.startsWith(`${first}: k=`))
    assert.deepEqual(await told(slow, 2), [compacted, 'end'])
  })

  it('waits for a revision that is not there yet, and never shows what is not applied', async () => {
    const { service, metadata } = await createMetaNode()
    const { kv } = service
    await fill(kv)
    const watch = kv.watch(from(6))
    assert.deepEqual(await told(watch, 1), ['progress 5'])
    let seen = 'nothing'
    const next = watch.next().then((message) => {
      seen = text(message)
    })
    await kv.put(bytes('five'), bytes('1'))
    metadata.held = true
    const write = kv.put(bytes('six'), bytes('1'))
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
    assert.equal(seen, 'nothing')
    metadata.release()
    await Promise.all([write, next])
    assert.equal(seen, '6: six=1')
  })

  it('ends when it is closed, also while its reader waits, and with an error when the node stops', async () => {
    const { service } = await createMetaNode()
    const closed = service.kv.watch(from(1))
    const open = service.kv.watch(from(1))
    await told(closed, 1)
    await told(open, 1)
    const [end, failure] = [closed.next(), open.next()]
    failure.catch(() => undefined)
    await new Promise((resolve) => setImmediate(resolve))
    closed.close()
    assert.equal(text(await end), 'end')
    await service.stop()
    await assert.rejects(failure, { code: ERROR_CODES.stopping })
  })

  it('costs the store one reading for all who are at the end', async () => {
    const node = await createMetaNode()
    const { kv } = node.service
    const watches = Array.from({ length: 50 }, () => kv.watch(from(1)))
    await Promise.all(watches.map((watch) => told(watch, 1)))
    const next = watches.map((watch) => watch.next())
    await settle(node)
    node.kv.scans = 0
    await kv.put(bytes('k'), bytes('v'))
    assert.deepEqual(new Set((await Promise.all(next)).map(text)), new Set(['1: k=v']))
    assert.ok(node.kv.scans <= 2, `${node.kv.scans} scans for 50 watches`)
  })

  it('tells each revision once and misses none, wherever it is taken up again', async () => {
    const key = fc.constantFrom('a', 'b', 'c')
    const write = fc.array(fc.tuple(key, fc.boolean()), { minLength: 1, maxLength: 3 })
    await fc.assert(
      fc.asyncProperty(
        fc.array(write, { maxLength: 30 }),
        fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 8 }),
        key,
        async (writes, cuts, only) => {
          const { kv } = (await createMetaNode()).service
          const expected: string[] = []
          const writing = (async () => {
            for (const [at, actions] of writes.entries()) {
              const distinct = new Map(actions)
              await kv.transaction({
                compares: [],
                success: [...distinct].map(([name, isPut]) => (isPut ? put(name, `${at}`) : { kind: 'delete', key: bytes(name) })),
                failure: [],
              })
            }
            await kv.put(bytes(only), bytes('end'))
          })()
          const found: string[] = []
          let next = 1
          for (let at = 0; found.at(-1)?.endsWith('=end') !== true; at++) {
            const watch = kv.watch(from(next, { gte: bytes(only), lt: bytes(`${only}\0`) }))
            for (let left = cuts[at] ?? Number.POSITIVE_INFINITY; left > 0 && found.at(-1)?.endsWith('=end') !== true; left--) {
              const message = await watch.next()
              assert.ok(message !== undefined && message.kind !== 'compacted')
              if (message.kind === 'events') found.push(text(message))
              next = message.revision + 1
            }
            watch.close()
          }
          await writing
          const all = kv.watch(from(1))
          while (expected.at(-1)?.endsWith(`${only}=end`) !== true) {
            const message = await all.next()
            assert.ok(message !== undefined && message.kind !== 'compacted')
            if (message.kind !== 'events') continue
            const own = message.events.filter(({ item }) => String(item.key) === only)
            if (own.length > 0) expected.push(text({ ...message, events: own }))
          }
          assert.deepEqual(found, expected)
        },
      ),
      { numRuns: 60 },
    )
  })
})

async function settle(node: MetaNode): Promise<void> {
  await node.idle()
}
