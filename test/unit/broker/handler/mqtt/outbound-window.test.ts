// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { OutboundWindow } from '../../../../../src/broker/handler/mqtt/outbound-window.ts'

test('packet ids are dealt in turn, from 1, and never zero', () => {
  const window = new OutboundWindow(10)
  for (let expected = 1; expected <= 65_535; expected++) {
    const packetId = window.push(0, expected, 1)
    assert.equal(packetId, expected)
    window.finish(packetId)
  }
  assert.equal(window.push(0, 0, 1), 1)
})

test('Q6 an id that is in flight is not dealt again after the ids wrap', () => {
  const window = new OutboundWindow(10)
  assert.equal(window.push(0, 0, 2), 1)
  for (let count = 0; count < 65_534; count++) window.finish(window.push(0, count, 1))
  assert.equal(window.push(0, 9, 1), 2)
  assert.equal(window.qos(1), 2)
})

test('ids of an earlier connection are kept, in their order, with what was known of each', () => {
  const window = new OutboundWindow(3)
  const before = [
    { log: 1, order: 0, packetId: 700, position: 5, qos: 2 as const, released: true },
    { log: 0, order: 1, packetId: 9, position: 8, qos: 1 as const, released: false },
    { log: 0, order: 2, packetId: 701, position: 9, qos: 2 as const, released: false },
  ]
  for (const { log, ...entry } of before) window.restore(entry, log)
  assert.deepEqual(window.entries(), before)
  assert.equal(window.counted, 2, 'a release of an earlier connection takes no room (section 4.9)')
  window.finish(9)
  assert.equal(window.push(0, 10, 1), 702)
  assert.deepEqual(
    window.entries().map(({ packetId }) => packetId),
    [700, 701, 702],
  )
})

test('an id that is not in flight is nobody’s', () => {
  const window = new OutboundWindow(4)
  assert.equal(window.finish(1), -1)
  const packetId = window.push(2, 0, 1)
  assert.equal(window.finish(packetId + 1), -1)
  assert.equal(window.finish(packetId), 2)
  assert.equal(window.finish(packetId), -1)
  assert.equal(window.qos(packetId), 0)
})

test('the window behaves like a map in order of insertion, whatever the order of acknowledgements', () => {
  const step = fc.oneof(fc.constant('push' as const), fc.nat(40))
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 30 }), fc.array(step, { maxLength: 300 }), (limit, steps) => {
      const window = new OutboundWindow(limit)
      const model = new Map<number, number>()
      let position = 0
      for (const next of steps) {
        if (next === 'push') {
          assert.equal(window.full, model.size >= limit)
          if (!window.full) model.set(window.push(0, position, 1), position++)
        } else {
          const packetId = [...model.keys()][next % Math.max(1, model.size)] ?? 12_345
          assert.equal(window.finish(packetId) !== -1, model.delete(packetId))
        }
        assert.equal(window.size, model.size)
      }
      assert.deepEqual(
        window.entries().map((entry) => [entry.packetId, entry.position]),
        [...model],
      )
    }),
  )
})

test('D11 a message of a shared group is known by its group, also after the ring has grown and the connection has changed', () => {
  const window = new OutboundWindow(100)
  const own = window.push(0, 1, 1)
  const shared = window.push(3, 7, 2, 9)
  for (let count = 0; count < 40; count++) window.push(0, count, 1)
  assert.deepEqual([window.group(own), window.group(shared), window.position(shared)], [0, 9, 7])
  assert.equal(window.group(999), 0)
  const [first, second] = window.entries()
  assert.deepEqual([first?.group, second?.group], [undefined, 9])
  const next = new OutboundWindow(100)
  next.restore({ packetId: 5, position: 7, order: 0, qos: 2, released: true }, 3, 4)
  assert.deepEqual([next.group(5), next.position(5), next.finish(5)], [4, 7, 3])
})
