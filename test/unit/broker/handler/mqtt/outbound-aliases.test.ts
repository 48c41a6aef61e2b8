// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { OutboundAliases } from '../../../../../src/broker/handler/mqtt/outbound-aliases.ts'
import { OutgoingPublish } from '../../../../../src/broker/protocol/mqtt/index.ts'

function packet(aliases: OutboundAliases, topic: string): { topic: string; alias: number } {
  const publish = new OutgoingPublish()
  publish.topic = Buffer.from(topic)
  aliases.apply(publish, topic)
  return { topic: publish.topic.toString(), alias: publish.topicAlias }
}

test('[MQTT-3.1.2-26] the first topics get aliases, up to the maximum; then the alias stands for the topic', () => {
  const aliases = new OutboundAliases(2)
  for (const [topic, alias] of [
    ['a', 1],
    ['b', 2],
    ['c', 0],
  ] as const) {
    assert.deepEqual(packet(aliases, topic), { topic, alias })
    aliases.sent()
  }
  assert.deepEqual(packet(aliases, 'a'), { topic: '', alias: 1 })
  assert.deepEqual(packet(aliases, 'b'), { topic: '', alias: 2 })
})

test('an alias of a packet that was not sent is not known to the client', () => {
  const aliases = new OutboundAliases(2)
  packet(aliases, 'too large')
  assert.deepEqual(packet(aliases, 'a'), { topic: 'a', alias: 1 })
  aliases.sent()
  assert.deepEqual(packet(aliases, 'too large'), { topic: 'too large', alias: 2 })
})
