// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { batchOf, EngineNode, STORED_LOGS, settled } from '../engine-node.ts'

for (const { storage, log: LOG } of STORED_LOGS) {
  describe(`log of type ${storage}`, () => {
    const isDone = async (promise: Promise<unknown>): Promise<boolean> => {
      const pending = settled().then(() => 'pending')
      return (await Promise.race([promise, pending])) !== 'pending'
    }

    test('Q1: a retained publish is answered when its value is in meta as well; others do not wait for it', async () => {
      const node = await EngineNode.start()
      const open = node.meta.hold()
      const retained = node.append(LOG, batchOf([{ topic: 'a', payload: '1', retain: true }]))
      const plain = node.append(LOG, batchOf([{ topic: 'b' }]))
      await node.group(LOG).commit()
      assert.equal(plain.outcome?.kind, 'appended')
      assert.equal(retained.outcome, undefined)
      open()
      await settled()
      assert.deepEqual(retained.outcome, { kind: 'appended', basePosition: 0 })
      assert.deepEqual(node.meta.view.get('a'), { position: 0, payload: '1' })
    })

    test('Q1: a duplicate of a retained publish waits for the value of the first one', async () => {
      const node = await EngineNode.start()
      const open = node.meta.hold()
      node.append(LOG, batchOf([{ topic: 'a', retain: true, qos: 2, publisher: 3, sequence: 1 }]))
      await node.group(LOG).commit()
      const again = node.append(LOG, batchOf([{ topic: 'a', retain: true, qos: 2, publisher: 3, sequence: 1 }]))
      await settled()
      assert.equal(again.outcome, undefined)
      open()
      await settled()
      assert.deepEqual(again.outcome, { kind: 'appended', basePosition: 0 })
    })

    test('Q14: values go to meta in the order of the log, one call at a time, those that waited together; an empty payload removes', async () => {
      const node = await EngineNode.start()
      const open = node.meta.hold()
      for (const payload of ['1', '2', '', '3']) {
        node.append(
          LOG,
          batchOf([
            { topic: 'a', payload, retain: true },
            { topic: 'b', payload: 'not retained' },
          ]),
        )
        await node.group(LOG).commit()
      }
      assert.equal(node.meta.calls.length, 1)
      open()
      await settled()
      const values = node.meta.calls.map((writes) => writes.map(({ position, message }) => `${position}:${message?.payload}`))
      assert.deepEqual(values, [['0:1'], ['2:2', '4:undefined', '6:3']])
      assert.deepEqual([...node.meta.view], [['a', { position: 6, payload: '3' }]])
    })

    test('Q15: retainedUpTo resolves when the values of all records before the position are in meta, and not before', async () => {
      const node = await EngineNode.start()
      await node.engine.retainedUpTo(LOG, 0)
      const open = node.meta.hold()
      node.append(LOG, batchOf([{ topic: 'x' }]))
      node.append(LOG, batchOf([{ topic: 'a', retain: true }]))
      await node.group(LOG).commit()
      const position = (await node.engine.register('a')).find(({ log }) => log === LOG)?.position ?? -1
      assert.equal(position, 2)
      assert.equal(await isDone(node.engine.retainedUpTo(LOG, 1)), true)
      const waiting = node.engine.retainedUpTo(LOG, position)
      assert.equal(await isDone(waiting), false)
      open()
      await waiting
      assert.equal(node.meta.view.size, 1)
    })

    test('Q14: while meta fails the call is repeated, and the publish stays unanswered', async () => {
      const node = await EngineNode.start()
      node.meta.failure = new PlatformError(ERROR_CODES.outcomeUnknown, 'no answer')
      const answer = node.append(LOG, batchOf([{ topic: 'a', payload: '1', retain: true }]))
      await node.group(LOG).commit()
      for (let round = 0; round < 5; round++) await node.clock.pass(2000)
      assert.deepEqual(answer, { outcome: undefined })
      assert.ok(node.meta.calls.length > 4)
      node.meta.failure = undefined
      await node.clock.pass(2000)
      assert.deepEqual(answer, { outcome: { kind: 'appended', basePosition: 0 } })
    })

    test('a value that meta refuses for good is given up alone', async () => {
      const node = await EngineNode.start()
      const open = node.meta.hold()
      node.meta.refusedTopic = 'bad'
      node.append(LOG, batchOf([{ topic: 'first', retain: true }]))
      await node.group(LOG).commit()
      const answer = node.append(
        LOG,
        batchOf([
          { topic: 'good', retain: true },
          { topic: 'bad', retain: true },
          { topic: 'fine', retain: true },
        ]),
      )
      await node.group(LOG).commit()
      open()
      await settled()
      assert.deepEqual(answer.outcome, { kind: 'unknown' })
      assert.deepEqual([...node.meta.view.keys()], ['first', 'good', 'fine'])
      await node.engine.retainedUpTo(LOG, 4)
    })

    test('Q14: what may be missing in meta after a crash is written again, before anybody reads the view', async () => {
      const node = await EngineNode.start()
      await node.write(LOG, [{ topic: 'a', payload: 'stored', retain: true }])
      await node.flush()
      node.meta.failure = new PlatformError(ERROR_CODES.notLeader, 'meta is away')
      node.append(LOG, batchOf([{ topic: '$SYS/b', payload: 'missing', retain: true }]))
      await node.group(LOG).commit()
      await node.flush()
      node.append(LOG, batchOf([{ topic: 'c', payload: 'only in the log', retain: true }]))
      await node.group(LOG).commit()
      assert.equal(node.meta.view.size, 1)
      node.meta.failure = undefined
      const next = await node.restart()
      await next.engine.retainedUpTo(LOG, 3)
      assert.deepEqual(
        [...node.meta.view].map(([topic, { position, payload }]) => `${topic} ${position} ${payload}`),
        ['a 0 stored', '$SYS/b 1 missing', 'c 2 only in the log'],
      )
      const calls = node.meta.calls.length
      await next.write(LOG, [{ topic: 'd' }])
      await next.flush()
      await next.restart()
      await settled()
      assert.equal(node.meta.calls.length, calls)
    })

    test('what waits for the retained view at the stop is unknown, and the next start completes it', async () => {
      const node = await EngineNode.start()
      node.meta.failure = new PlatformError(ERROR_CODES.notLeader, 'meta is away')
      const answer = node.append(LOG, batchOf([{ topic: 'a', retain: true }]))
      await node.group(LOG).commit()
      const waiting = assert.rejects(node.engine.retainedUpTo(LOG, 1), { code: ERROR_CODES.stopping })
      await node.engine.stop()
      await waiting
      assert.deepEqual(answer.outcome, { kind: 'unknown' })
      assert.deepEqual(node.append(LOG, batchOf([{ topic: 'a' }])).outcome, undefined)
      node.meta.failure = undefined
      const next = await node.restart()
      await next.engine.retainedUpTo(LOG, 1)
      assert.equal(node.meta.view.size, 1)
    })

    test('Q14: a call that was waiting to be repeated when the stop began does not move the watermark', async () => {
      const node = await EngineNode.start()
      node.meta.failure = new PlatformError(ERROR_CODES.notLeader, 'meta is away')
      node.append(LOG, batchOf([{ topic: 'a', retain: true }]))
      await node.group(LOG).commit()
      await node.engine.stop()
      await node.clock.pass(2000)
      await node.group(LOG).machine.persist()
      node.meta.failure = undefined
      const next = await node.restart()
      await next.engine.retainedUpTo(LOG, 1)
      assert.equal(node.meta.view.size, 1)
    })
  })
}
