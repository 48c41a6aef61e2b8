// SPDX-License-Identifier: Apache-2.0
// The retained view: the higher position wins, pages are complete and in order, what is over goes away.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { isValidFilter, matches } from '#base/topic-filter'
import type { RetainedValue } from '#contract/client/meta-client'
import type { MetaService } from '#meta'
import { createMetaNode, type MetaNode, NOW_MS, retainedWrite } from '../meta-node.ts'

const MINUTE_MS = 60_000

const read = (service: MetaService, filter: string, nowMs = NOW_MS): Promise<readonly RetainedValue[]> =>
  service.retained(filter, undefined, 1000, nowMs)
const texts = (values: readonly RetainedValue[]): string[] => values.map(({ topic, payload }) => `${topic}=${payload}`)

async function readPages(service: MetaService, filter: string, count: number): Promise<RetainedValue[]> {
  const values: RetainedValue[] = []
  for (;;) {
    const page = await service.retained(filter, values.at(-1)?.topic, count, NOW_MS)
    values.push(...page)
    if (page.length === 0) return values
    assert.ok(page.length <= count)
  }
}

/** The order of pages: a topic lies next to those below it. */
const byLevel = (a: string, b: string): number => Buffer.compare(Buffer.from(a.replaceAll('/', '\0')), Buffer.from(b.replaceAll('/', '\0')))

/** Fires the timer of the collection, at a time of the clock, and waits for its end. */
async function collectAt(node: MetaNode, nowMs: number): Promise<void> {
  node.clock.nowMs = nowMs
  const timer = node.clock.timers.pop()
  assert.ok(timer !== undefined && !timer.cancelled)
  timer.fire()
  while (node.clock.timers.length === 0) await node.idle()
}

it('Q14: of a topic that was moved, what an old log repeats after a restart does not come back, and what the new one repeats is stored', async () => {
  const { service } = await createMetaNode()
  const write = (log: number, text: string, appendTimeMs: number, isRepeated: boolean): Promise<void> =>
    service.retain([{ ...retainedWrite('t', 1, text, 0, log), appendTimeMs, isRepeated }])
  const moved: readonly (readonly [log: number, text: string, appendTimeMs: number, isRepeated: boolean, then: string[]])[] = [
    [1, 'old', 100, false, ['t=old']],
    [2, 'new', 200, false, ['t=new']],
    [1, 'old', 100, true, ['t=new']],
    [3, '', 300, true, []],
    [2, 'new', 200, true, []],
    // The clock was set back before the topic was moved: what is published now counts all the same.
    [4, 'newest', 50, false, ['t=newest']],
  ]
  for (const [log, text, appendTimeMs, isRepeated, then] of moved) {
    await write(log, text, appendTimeMs, isRepeated)
    assert.deepEqual(texts(await read(service, '#')), then)
  }
})

describe('Q14: the higher position of a log wins', () => {
  const cases: readonly (readonly [string, (readonly [number, string])[], string[]])[] = [
    [
      'a newer value replaces',
      [
        [1, 'old'],
        [2, 'new'],
      ],
      ['t=new'],
    ],
    [
      'an older value is ignored',
      [
        [2, 'new'],
        [1, 'old'],
      ],
      ['t=new'],
    ],
    [
      'the same position is ignored',
      [
        [2, 'first'],
        [2, 'again'],
      ],
      ['t=first'],
    ],
    [
      'a removal removes',
      [
        [1, 'old'],
        [2, ''],
      ],
      [],
    ],
    [
      'an older removal is ignored',
      [
        [2, 'new'],
        [1, ''],
      ],
      ['t=new'],
    ],
    [
      'an older value does not come back after a removal',
      [
        [1, 'old'],
        [3, ''],
        [2, 'late'],
      ],
      [],
    ],
    [
      'not even when nothing was there',
      [
        [3, ''],
        [2, 'late'],
      ],
      [],
    ],
    [
      'a value may follow a removal',
      [
        [1, 'old'],
        [2, ''],
        [3, 'new'],
      ],
      ['t=new'],
    ],
  ]
  for (const [story, writes, expected] of cases) {
    it(story, async () => {
      for (const together of [true, false]) {
        const { service } = await createMetaNode()
        const values = writes.map(([position, text]) => retainedWrite('t', position, text))
        if (together) await service.retain(values)
        else for (const value of values) await service.retain([value])
        assert.deepEqual(texts(await read(service, 't')), expected)
        assert.deepEqual(texts(await read(service, '#')), expected)
        assert.equal(service.retainedCount(), expected.length)
      }
    })
  }

  it('writing a log again from a watermark changes nothing', async () => {
    const { service, kv } = await createMetaNode()
    const writes = [retainedWrite('a', 1, 'x'), retainedWrite('b', 2, 'y'), retainedWrite('a', 3, ''), retainedWrite('b', 4, 'z')]
    await service.retain(writes)
    const before = await kv.scan({ gte: Buffer.alloc(0), lt: Buffer.of(255) })
    await service.retain(writes)
    const after = await kv.scan({ gte: Buffer.alloc(0), lt: Buffer.of(255) })
    assert.deepEqual(
      after.filter(({ key }) => key[5] !== 1),
      before.filter(({ key }) => key[5] !== 1),
    )
  })

  it('a value of another log replaces whatever is there', async () => {
    const { service } = await createMetaNode()
    await service.retain([retainedWrite('t', 100, 'one', 0, 1), retainedWrite('t', 5, 'two', 0, 2)])
    assert.deepEqual(texts(await read(service, 't')), ['t=two'])
  })

  it('the value comes back with all its fields and its place', async () => {
    const { service } = await createMetaNode()
    const write = retainedWrite('a/b', 7, 'text', NOW_MS + 1, 3)
    await service.retain([write])
    assert.deepEqual(await read(service, 'a/b'), [{ ...write.message, log: 3, position: 7 }])
  })
})

describe('retained messages by filter', () => {
  it('are those that match, whatever the filter and the number of groups', async () => {
    const level = fc.constantFrom('a', 'b', '', '$x')
    const topic = fc.array(level, { minLength: 1, maxLength: 3 }).map((levels) => levels.join('/'))
    const filter = fc
      .array(fc.oneof(level, fc.constantFrom('+', '#')), { minLength: 1, maxLength: 4 })
      .map((levels) => levels.join('/'))
      .filter(isValidFilter)
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(topic),
        fc.array(filter, { minLength: 1 }),
        fc.integer({ min: 1, max: 3 }),
        async (topics, filters, groups) => {
          const { service } = await createMetaNode({ dataGroups: groups })
          await service.retain(topics.map((name, at) => retainedWrite(name, at, 'x')))
          for (const asked of filters) {
            const found = (await readPages(service, asked, 2)).map(({ topic }) => topic)
            assert.deepEqual(found, [...found].sort(byLevel), asked)
            assert.deepEqual([...found].sort(), topics.filter((name) => matches(asked, name)).sort(), asked)
          }
        },
      ),
      { numRuns: 100 },
    )
  })

  it('leave out what has expired, to the millisecond', async () => {
    const { service } = await createMetaNode()
    await service.retain([retainedWrite('a', 1, 'x', NOW_MS + 10), retainedWrite('b', 2, 'y', NOW_MS + 11), retainedWrite('c', 3, 'z')])
    assert.deepEqual(texts(await read(service, '#', NOW_MS + 9)), ['a=x', 'b=y', 'c=z'])
    assert.deepEqual(texts(await read(service, '#', NOW_MS + 10)), ['b=y', 'c=z'])
    assert.deepEqual(texts(await read(service, 'a', NOW_MS + 10)), [])
  })

  it('fill a page although expired and removed ones lie between', async () => {
    const { service } = await createMetaNode({ dataGroups: 2 })
    const writes = Array.from({ length: 300 }, (_, at) => retainedWrite(`t/${String(at).padStart(3, '0')}`, at, at % 3 === 0 ? 'x' : '', 0))
    await service.retain(writes)
    const page = await service.retained('t/+', undefined, 50, NOW_MS)
    assert.equal(page.length, 50)
    assert.equal(page.at(-1)?.topic, 't/147')
    assert.equal((await service.retained('t/+', 't/147', 1000, NOW_MS)).length, 50)
    assert.equal((await service.retained('t/000', 't/000', 10, NOW_MS)).length, 0)
  })

  it('end a page with the body by which it is large, and leave out none for it', async () => {
    const { service } = await createMetaNode({ dataGroups: 2 })
    const topics = Array.from({ length: 40 }, (_, at) => `t/${at + 10}`)
    for (const [at, name] of topics.entries()) await service.retain([retainedWrite(name, at, 'x'.repeat(1 << 16))])
    for (const filter of ['t/#', 't/+']) {
      assert.ok((await service.retained(filter, undefined, 40, NOW_MS)).length <= 4, `a page of ${filter} is 256 KiB`)
      assert.deepEqual(
        (await readPages(service, filter, 40)).map(({ topic }) => topic),
        topics,
      )
    }
  })

  it('below a prefix are read once, bodies only, whatever the number of groups', async () => {
    const { service, kv } = await createMetaNode({ dataGroups: 4 })
    await service.retain(Array.from({ length: 1000 }, (_, at) => retainedWrite(`t/${at}`, at, 'x')))
    kv.scans = kv.iterations = 0
    assert.equal((await readPages(service, 't/#', 500)).length, 1000)
    assert.equal(kv.scans, 0)
    assert.ok(kv.iterations <= 4 * 4, `${kv.iterations} reads for three pages, or four`)
  })

  it('at 10^5 topics: each page costs what its prefix holds, and all pages together give each topic once', async () => {
    const { service, kv } = await createMetaNode({ dataGroups: 2 })
    const topics = Array.from({ length: 100_000 }, (_, at) => `site/${at % 100}/device/${at}`)
    for (let from = 0; from < topics.length; from += 10_000) {
      await service.retain(topics.slice(from, from + 10_000).map((name, at) => retainedWrite(name, from + at, 'x')))
    }
    assert.equal(service.retainedCount(), 100_000)

    kv.scans = kv.iterations = 0
    assert.equal((await readPages(service, 'site/42/#', 100)).length, 1000)
    assert.ok(kv.scans + kv.iterations < 50, `${kv.scans + kv.iterations} reads for a prefix of 1000 topics`)

    kv.scans = 0
    assert.deepEqual(texts(await service.retained('site/+/device/77777', undefined, 100, NOW_MS)), ['site/77/device/77777=x'])
    assert.ok(kv.scans <= 2 * 2 * 101, `${kv.scans} scans for a single match among all: two for each second level in each of two groups`)

    const all = (await readPages(service, '#', 5000)).map(({ topic }) => topic)
    assert.equal(all.length, 100_000)
    assert.equal(new Set(all).size, 100_000)
  })
})

describe('collection of retained messages', () => {
  it('drops expired messages, and their tombstones an hour later', async () => {
    const node = await createMetaNode()
    const { service, kv } = node
    await service.start()
    const empty = kv.size
    await service.retain([retainedWrite('a', 5, 'x', NOW_MS + MINUTE_MS), retainedWrite('b', 6, 'y')])
    await collectAt(node, NOW_MS + MINUTE_MS - 1)
    assert.equal(service.retainedCount(), 2)
    await collectAt(node, NOW_MS + MINUTE_MS)
    assert.equal(service.retainedCount(), 1)
    await service.retain([retainedWrite('a', 4, 'older')])
    assert.deepEqual(texts(await read(service, '#')), ['b=y'], 'the tombstone still guards the position')
    await service.retain([retainedWrite('b', 7, '')])
    await collectAt(node, NOW_MS + 61 * MINUTE_MS)
    await collectAt(node, NOW_MS + 62 * MINUTE_MS)
    assert.equal(service.retainedCount(), 0)
    // The applied index, the count and the bytes are all that is left of the group.
    assert.equal(kv.size, empty + 3)
    await service.stop()
  })

  it('leaves alone what was written again since', async () => {
    const node = await createMetaNode()
    const { service } = node
    await service.start()
    await service.retain([retainedWrite('a', 5, 'x', NOW_MS + 1), retainedWrite('b', 6, '')])
    await service.retain([retainedWrite('a', 7, 'new'), retainedWrite('b', 8, 'new', NOW_MS + 90 * MINUTE_MS)])
    await collectAt(node, NOW_MS + 61 * MINUTE_MS)
    assert.deepEqual(texts(await read(service, '#')), ['a=new', 'b=new'])
    await service.stop()
  })

  it('comes through more than one page of dues', async () => {
    const node = await createMetaNode({ dataGroups: 2 })
    await node.service.start()
    await node.service.retain(Array.from({ length: 3000 }, (_, at) => retainedWrite(`t/${at}`, at, 'x', NOW_MS + 1)))
    await collectAt(node, NOW_MS + 1)
    assert.equal(node.service.retainedCount(), 0)
    await node.service.stop()
  })
})

describe('the count of retained messages', () => {
  it('is there again after a restart', async () => {
    const first = await createMetaNode({ dataGroups: 2 })
    await first.service.retain(Array.from({ length: 20 }, (_, at) => retainedWrite(`t/${at}`, at, 'x')))
    const second = await createMetaNode({ kv: first.kv.fork(), dataGroups: 2 })
    await second.service.start()
    assert.equal(second.service.retainedCount(), 20)
    await second.service.stop()
  })
})
