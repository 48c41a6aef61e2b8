// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadConfig } from '#base/config/load'
import { topicLimits } from '#engine'
import { EngineNode } from '../engine-node.ts'

const LOG = 0
const HOUR_MS = 3_600_000

test('other limits of retention hold from the next round on', async () => {
  const node = await EngineNode.start({ tailBytes: 0, retention: { maxAgeMs: 100 * HOUR_MS, maxBytes: 1 << 20, intervalMs: HOUR_MS } })
  for (let hour = 0; hour < 10; hour++) {
    await node.write(LOG, [{ topic: 'a', payload: 'p'.repeat(1000) }])
    await node.flush()
    await node.clock.pass(HOUR_MS)
  }
  assert.equal(node.engine.extent(LOG).first, 0)
  const shorter = loadConfig({ settings: ['engine.retention.max_age=330m'] })
  assert.ok(shorter.kind === 'loaded')
  node.engine.reload(shorter.config)
  await node.clock.pass(1)
  assert.equal(node.engine.extent(LOG).first, 0)
  await node.clock.pass(HOUR_MS)
  await node.flush()
  assert.deepEqual(node.engine.extent(LOG), { first: 6, end: 10 })
})

test('limits of topics hold when they are handed over, and the rate of the scrubber after a reload', async () => {
  const node = await EngineNode.start({ tailBytes: 0, retention: { maxAgeMs: 0, maxBytes: 0, intervalMs: HOUR_MS } })
  for (const payload of ['1', '2', '3']) {
    await node.write(LOG, [{ topic: 'bounded', payload: payload.repeat(1000) }, { topic: 'other' }])
    await node.flush()
  }
  assert.equal(node.counters.get('robustmq_engine_scrubbed_bytes_total'), undefined)
  const other = loadConfig({ settings: ['engine.scrub_rate=1GiB'] })
  assert.ok(other.kind === 'loaded')
  node.engine.setTopicLimits(topicLimits([{ filter: 'bounded', maxBytes: 2048 }]))
  node.engine.reload(other.config)
  await node.clock.pass(HOUR_MS)
  await node.flush()
  assert.equal((await node.readAll(LOG, ['bounded'])).length, 1)
  assert.equal((await node.readAll(LOG, ['other'])).length, 3)
  for (let step = 0; step < 5; step++) await node.clock.pass(100)
  assert.ok((node.counters.get('robustmq_engine_scrubbed_bytes_total') ?? 0) > 1000)
})
