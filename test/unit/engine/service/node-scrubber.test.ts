// SPDX-License-Identifier: Apache-2.0
// A node without logs of the engine verifies what it has.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadConfig } from '#base/config/load'
import { NodeScrubber, type ScrubbedPlaces } from '#engine'
import { ManualClock } from '../engine-node.ts'
import { ModelKv } from '../model-kv.ts'

const ROUND_MS = 60_000

function setUp(bytesPerSecond: number) {
  const kv = new ModelKv()
  const clock = new ManualClock()
  const gauges = new Map<string, () => number>()
  const logger = { log: () => {}, scope: () => logger }
  const metrics = {
    counter: () => ({ add: () => {} }),
    gauge: (name: string, _help: string, read: () => number) => void gauges.set(name, read),
    histogram: () => ({ observe: () => {} }),
  }
  const places: ScrubbedPlaces = {
    files: async () => ({ damaged: [{ path: 'wal/7', offset: 12, text: 'a frame is damaged', entries: [] }], verified: new Map() }),
    ranges: [{ name: 'metadata', range: { gte: Buffer.from('m'), lt: Buffer.from('n') } }],
  }
  const crash = (reason: Error): void => assert.fail(reason)
  const scrubber = new NodeScrubber({ kv, clock, logger, metrics, crash }, places, bytesPerSecond)
  return { kv, clock, scrubber, damagedPlaces: () => gauges.get('robustmq_engine_damaged_places')?.() }
}

const rate = (setting: string) => {
  const loading = loadConfig({ settings: [`engine.scrub_rate=${setting}`] })
  assert.ok(loading.kind === 'loaded')
  return loading.config
}

test('L29: damage of log files and of metadata is told as warnings, and counted', async () => {
  const { kv, clock, scrubber, damagedPlaces } = setUp(1 << 20)
  await kv.write([{ key: Buffer.from('m1'), value: Buffer.from('value') }], { sync: true })
  kv.damagedKeys.add('m1')
  assert.deepEqual(scrubber.warnings(), [])
  await scrubber.start()
  await clock.pass(ROUND_MS)
  const [files, metadata, ...others] = scrubber.warnings()
  assert.match(files ?? '', /wal\/7 at byte 12: a frame is damaged/)
  assert.match(metadata ?? '', /metadata|m1/)
  assert.deepEqual([others, damagedPlaces()], [[], 2])
  await scrubber.stop()
})

test('a rate of 0 reads nothing, and another one holds from the reload on, or from the start', async () => {
  const { clock, scrubber } = setUp(0)
  await scrubber.start()
  await clock.pass(2 * ROUND_MS)
  assert.deepEqual(scrubber.warnings(), [])
  scrubber.reload(rate('1MiB'))
  await clock.pass(1)
  assert.equal(scrubber.warnings().length, 1)
  await scrubber.stop()
  const other = setUp(1 << 20)
  other.scrubber.reload(rate('0B'))
  await other.scrubber.start()
  await other.clock.pass(2 * ROUND_MS)
  assert.deepEqual(other.scrubber.warnings(), [])
  await other.scrubber.stop()
})
