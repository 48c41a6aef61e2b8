// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RetainedWrites } from '../../../../src/broker/message/retained-writes.ts'

test('MQTT-3.3.1-9 who subscribes waits for the retained messages before it, in whatever order they settle, and for no later ones', async () => {
  const writes = new RetainedWrites()
  assert.equal(writes.settled(), undefined, 'nothing to wait for')
  const told: string[] = []
  const wait = (name: string) => void writes.settled()?.then(() => told.push(name))
  const toldNow = async () => {
    await new Promise(setImmediate)
    return told.splice(0)
  }
  const [first, second] = [writes.begin(), writes.begin()]
  wait('a')
  const third = writes.begin()
  wait('b')
  writes.settle(second)
  assert.deepEqual(await toldNow(), [])
  writes.settle(third)
  assert.deepEqual(await toldNow(), [])
  const fourth = writes.begin()
  writes.settle(first)
  assert.deepEqual(await toldNow(), ['a', 'b'])
  wait('c')
  writes.settle(fourth)
  assert.deepEqual(await toldNow(), ['c'])
  assert.equal(writes.settled(), undefined)
})
