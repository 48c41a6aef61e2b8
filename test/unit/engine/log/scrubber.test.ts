// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { FileScrub, ScrubbedPlaces } from '#engine'
import { damageEntry, damageRecordsOf, damageReference } from '../damaged-records.ts'
import { EngineNode, STORED_LOGS, settled } from '../engine-node.ts'

const RATE = 1 << 20
const ROUND_MS = 60_000
const SEGMENT_LOG = 2

async function oneRecordEach(node: EngineNode, log: number, ...topics: readonly string[]): Promise<void> {
  for (const topic of topics) {
    await node.write(log, [{ topic, payload: topic.repeat(100) }])
    await node.flush()
  }
}

/** Lets rounds go by. */
async function rounds(node: EngineNode, count = 2): Promise<void> {
  for (let round = 0; round < count; round++) await node.clock.pass(ROUND_MS)
}

/** Files as the test says. */
class FakePlaces implements ScrubbedPlaces {
  readonly ranges = [{ name: 'metadata', range: { gte: Buffer.from('m'), lt: Buffer.from('n') } }]
  found: FileScrub = { damaged: [], verified: new Map() }
  bytes = 0
  scrubs = 0

  async files(pace: (bytes: number) => Promise<void>): Promise<FileScrub> {
    this.scrubs++
    if (this.bytes > 0) await pace(this.bytes)
    return this.found
  }
}

for (const { storage, log } of STORED_LOGS) {
  describe(`scrubber of a log of type ${storage}`, () => {
    test('L29: damaged records are found, told with their place, and not served; the rest is', async () => {
      const node = await EngineNode.start({ tailBytes: 0, scrubRate: RATE })
      await oneRecordEach(node, log, 'a', 'b', 'c')
      await damageRecordsOf(node, log, 1)
      await rounds(node)
      const [damaged, ...others] = node.engine.storage()[log]?.damaged ?? []
      assert.deepEqual(others, [])
      assert.deepEqual(damaged, { log, from: 1, to: 2, topics: ['b'] })
      assert.equal(node.engine.warnings().length, 1)
      assert.equal(node.engine.unready(), undefined)
      await assert.rejects(node.engine.read({ log, from: 0, filters: ['b'], bytesMax: 1000 }), { name: 'PlatformError' })
      assert.equal((await node.readAll(log, ['a'])).length, 1)
      assert.equal((await node.readAll(log, ['c'])).length, 1)
      await rounds(node)
      assert.equal(node.engine.warnings().length, 1, 'told once')
    })

    test('E6: damage that a reader meets is looked for at once, though nothing is read in the background', async () => {
      const node = await EngineNode.start({ tailBytes: 0 })
      await oneRecordEach(node, log, 'a', 'b', 'c')
      await damageRecordsOf(node, log, 1)
      assert.deepEqual(node.engine.warnings(), [])
      await assert.rejects(node.engine.read({ log, from: 0, filters: ['b'], bytesMax: 1000 }), { name: 'PlatformError' })
      await settled()
      assert.deepEqual(node.engine.storage()[log]?.damaged, [{ log, from: 1, to: 2, topics: ['b'] }])
      await node.engine.removeTopic(storage, 'b')
      assert.equal((await node.readAll(log, ['#'])).length, 2, 'without the damaged topic the log is whole again')
    })

    test('a rate of 0 reads nothing', async () => {
      const node = await EngineNode.start({ tailBytes: 0, retention: { maxAgeMs: 0, maxBytes: 0, intervalMs: 100 * ROUND_MS } })
      await oneRecordEach(node, log, 'a')
      const before = node.kv.pairsRead
      await rounds(node, 10)
      assert.equal(node.kv.pairsRead, before)
    })
  })
}

describe('scrubber of segment logs', () => {
  test('damage names the positions and topics of the damaged entry only, out of all that its chunk has', async () => {
    const node = await EngineNode.start({ tailBytes: 0, scrubRate: RATE })
    for (const topics of [
      ['a', 'b'],
      ['b', 'c', 'c'],
      ['a', 'd'],
    ])
      await node.write(
        SEGMENT_LOG,
        topics.map((topic) => ({ topic })),
      )
    await node.flush()
    assert.equal(node.kv.count(SEGMENT_LOG, 'p'), 1)
    damageEntry(node, SEGMENT_LOG, 3)
    await rounds(node)
    const [range] = node.engine.storage()[SEGMENT_LOG]?.damaged ?? []
    assert.deepEqual({ ...range, topics: [...(range?.topics ?? [])].sort() }, { log: SEGMENT_LOG, from: 2, to: 5, topics: ['b', 'c'] })
  })

  test('a damaged reference is found too', async () => {
    const node = await EngineNode.start({ tailBytes: 0, scrubRate: RATE })
    await oneRecordEach(node, SEGMENT_LOG, 'a', 'b')
    await damageReference(node, SEGMENT_LOG, 1)
    await rounds(node)
    assert.deepEqual(node.engine.storage()[SEGMENT_LOG]?.damaged, [{ log: SEGMENT_LOG, from: 1, to: 2, topics: ['b'] }])
  })

  test('entries whose files were verified are not read again, and those of damaged files are, which names the topics', async () => {
    const scrubbed = new FakePlaces()
    const node = await EngineNode.start({ tailBytes: 0, scrubbed })
    await oneRecordEach(node, SEGMENT_LOG, 'a', 'b', 'c')
    const group = node.group(SEGMENT_LOG)
    const asked = new Set<number>()
    const read = group.read.bind(group)
    group.read = (from, to, bytesMax) => {
      asked.add(from)
      return read(from, to, bytesMax)
    }
    // The first entry is that of the election.
    scrubbed.found = { damaged: [], verified: new Map([[SEGMENT_LOG, 4]]) }
    node.engine.reload({ engine: { scrubRate: RATE, retention: { maxAge: 0, maxBytes: 0, checkInterval: ROUND_MS } } } as never)
    await rounds(node, 1)
    assert.deepEqual([...asked], [4])
    damageEntry(node, SEGMENT_LOG, 2)
    const file = { path: '/data/segments/0.log', offset: 12, text: 'one bit of a record is flipped' }
    scrubbed.found = {
      damaged: [{ ...file, entries: [{ log: SEGMENT_LOG, from: 1, to: 4 }] }],
      verified: new Map([[SEGMENT_LOG, 4]]),
    }
    await rounds(node)
    assert.deepEqual(node.engine.storage()[SEGMENT_LOG]?.damaged, [{ log: SEGMENT_LOG, from: 0, to: 1, topics: ['a'] }])
    assert.equal(node.engine.warnings().length, 2)
    assert.ok(node.engine.warnings().some((text) => text.startsWith('log files: /data/segments/0.log at byte 12: ')))
  })
})

describe('scrubber of what is not records', () => {
  test('damaged values of the metadata and of the indexes are told, and end nothing', async () => {
    const scrubbed = new FakePlaces()
    const node = await EngineNode.start({ tailBytes: 0, scrubRate: RATE, scrubbed })
    await oneRecordEach(node, 0, 'a')
    await node.kv.write([{ key: Buffer.from('m/session'), value: Buffer.from('value') }], { sync: false })
    const topicKey = Buffer.concat([Buffer.from([0x65, 0, 0, 0, 0, 0x74]), Buffer.from('a')])
    node.kv.damagedKeys.add('m/session').add(topicKey.toString('latin1'))
    await rounds(node)
    const warnings = node.engine.warnings()
    assert.ok(warnings.some((text) => text.startsWith('metadata: the value of key 6d2f73657373696f6e')))
    assert.ok(warnings.some((text) => text.startsWith('index of log 0: ')))
    assert.equal(warnings.length, 2)
    assert.deepEqual(node.crashes, [])
    node.kv.damagedKeys.clear()
    await rounds(node)
    assert.deepEqual(node.engine.warnings(), [], 'what is whole again is told no more')
  })

  test('a round says what the indexes take; readers are counted by what they found in memory', async () => {
    const node = await EngineNode.start({ tailBytes: 0, scrubRate: RATE })
    for (const { log } of STORED_LOGS) await oneRecordEach(node, log, 'a', 'b')
    await rounds(node)
    for (const { log } of STORED_LOGS) assert.ok((node.engine.storage()[log]?.indexBytes ?? 0) > 50)
    for (let read = 0; read < 2; read++) await node.readAll(SEGMENT_LOG, ['a'])
    assert.deepEqual(node.engine.storage()[SEGMENT_LOG]?.entries, { hits: 1, misses: 1 })
  })

  test('all that is read comes under one rate', async () => {
    const scrubbed = new FakePlaces()
    scrubbed.bytes = 10 * RATE
    const node = await EngineNode.start({ tailBytes: 0, scrubRate: RATE, scrubbed })
    await settled()
    const before = node.kv.pairsRead
    await node.clock.pass(9000)
    assert.equal(node.kv.pairsRead, before, 'ten seconds worth of files were read, and are waited for')
    await node.clock.pass(1000)
    assert.ok(node.counters.get('robustmq_engine_scrub_rounds_total') === 1)
  })

  test('a stop does not wait for the rate', async () => {
    const scrubbed = new FakePlaces()
    scrubbed.bytes = 1000 * RATE
    const node = await EngineNode.start({ tailBytes: 0, scrubRate: RATE, scrubbed })
    await settled()
    assert.equal(scrubbed.scrubs, 1)
    await node.engine.stop()
    assert.deepEqual(node.crashes, [])
  })
})
