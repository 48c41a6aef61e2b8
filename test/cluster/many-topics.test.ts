// SPDX-License-Identifier: Apache-2.0
// The measurements of test/bench at a size that says nothing of speed: what they count must be right.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { measureTopics } from '../bench/million-topics.ts'
import { measureMissed } from '../bench/missed-messages.ts'
import { temporaryDirectory } from './server-process.ts'

for (const storage of ['rocksdb', 'segment'] as const) {
  const settings = [`engine.default_storage=${storage}`, 'engine.tail_bytes=2MiB']

  test(`D6: of many topics in a ${storage} log each session gets what its filter matches, after a kill too`, {
    timeout: 60_000,
  }, async (context) => {
    const figures = await measureTopics({ topics: 2000, directory: temporaryDirectory(context), settings })
    assert.equal(figures.everythingCount, 2000)
    assert.ok(figures.selectiveCount > 40)
    assert.ok(figures.diskBytes > 2000 * 64)
  })

  test(`D6: a session that missed six messages among many in a ${storage} log gets these six, after a restart too`, {
    timeout: 60_000,
  }, async (context) => {
    const { others } = await measureMissed({ others: 5000, directory: temporaryDirectory(context), settings })
    assert.equal(others, 5000)
  })
}

test('D10: the retained messages of many topics are each sent once', { timeout: 60_000 }, async (context) => {
  const figures = await measureTopics({ topics: 2000, retain: true, directory: temporaryDirectory(context) })
  assert.equal(figures.everythingCount, 2000)
})
