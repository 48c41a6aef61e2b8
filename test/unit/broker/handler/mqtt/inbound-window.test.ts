// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InboundWindow } from '../../../../../src/broker/handler/mqtt/inbound-window.ts'

const PUBACK = 4
const PUBREC = 5

function answered(window: InboundWindow): [number, number, number][] {
  const answers: [number, number, number][] = []
  while (window.ready) {
    answers.push([window.type, window.packetId, window.reasonCode])
    window.shift()
  }
  return answers
}

test('[MQTT-4.6.0-2] answers leave in the order of the messages, whatever the order in which they are stored', () => {
  const window = new InboundWindow()
  const tags = [window.push(10, PUBACK), window.push(11, PUBREC), window.push(12, PUBACK)] as const
  window.settle(tags[2], 0)
  window.settle(tags[1], 0x97)
  assert.deepEqual(answered(window), [])
  window.settle(tags[0], 0)
  assert.deepEqual(answered(window), [
    [PUBACK, 10, 0],
    [PUBREC, 11, 0x97],
    [PUBACK, 12, 0],
  ])
  assert.equal(window.size, 0)
})

test('a window grows with what is waiting, and keeps what is settled in it', () => {
  const window = new InboundWindow()
  const tags = Array.from({ length: 1000 }, (_, at) => window.push(at + 1, at % 2 === 0 ? PUBACK : PUBREC))
  for (const tag of tags.slice(500)) window.settle(tag, 0)
  assert.equal(window.size, 1000)
  assert.equal(window.pubacks, 500)
  for (const tag of tags.slice(0, 500)) window.settle(tag, 0)
  assert.deepEqual(
    answered(window).map(([, packetId]) => packetId),
    tags.map((_, at) => at + 1),
  )
  assert.equal(window.pubacks, 0)
})
