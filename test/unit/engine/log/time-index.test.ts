// SPDX-License-Identifier: Apache-2.0
// D8: the place of a time in a log, wherever the records are by now.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { EngineNode, STORED_LOGS } from '../engine-node.ts'

for (const { storage, log: LOG } of STORED_LOGS) {
  describe(`log of type ${storage}`, () => {
    const COUNT = 40
    const STEP_MS = 1000
    const SPAN_MS = 100

    /** A log with one record each second; `tailBytes` decides how many of the last are still in memory. */
    async function filled(tailBytes: number): Promise<{ node: EngineNode; timesMs: readonly number[] }> {
      const node = await EngineNode.start({ tailBytes })
      const timesMs: number[] = []
      for (let at = 0; at < COUNT; at++) {
        timesMs.push(node.clock.realtime())
        await node.write(LOG, [{ topic: `t${at % 3}` }])
        await node.clock.pass(STEP_MS)
      }
      await node.flush()
      return { node, timesMs }
    }

    for (const tailBytes of [1, 5000, 1 << 20]) {
      it(`every time leads to the first record of it or later, with a tail of ${tailBytes} bytes`, async () => {
        const { node, timesMs } = await filled(tailBytes)
        for (const [at, timeMs] of timesMs.entries()) {
          for (const askedMs of [timeMs, timeMs - STEP_MS / 2]) assert.equal(await node.engine.positionAt(LOG, askedMs), at)
          const after = await node.engine.positionAt(LOG, timeMs + 1)
          assert.ok(after === at || after === at + 1, `a chunk has one time: ${after} for a moment within ${SPAN_MS} ms of ${at}`)
        }
        assert.equal(await node.engine.positionAt(LOG, 0), 0)
        assert.equal(await node.engine.positionAt(LOG, Number.MAX_SAFE_INTEGER), COUNT)
      })
    }

    it('a log with nothing in it, and one that is only in memory', async () => {
      const node = await EngineNode.start()
      assert.equal(await node.engine.positionAt(LOG, 5), 0)
      const memory = node.engine.logOf('memory', 'a')
      await node.write(memory, [{ topic: 'a', qos: 1 }])
      assert.equal(await node.engine.positionAt(memory, 0), 0)
      assert.equal(await node.engine.positionAt(memory, Number.MAX_SAFE_INTEGER), 1)
    })
  })
}
