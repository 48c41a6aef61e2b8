// SPDX-License-Identifier: Apache-2.0
// What must not be sent in MQTT 3.1.1: the server closes and says nothing (section 4.8).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Broker } from '../harness/broker.ts'
import { encodeAck, encodePublish, encodeSubscribe, encodeUnsubscribe, frame, text, uint16 } from '../harness/wire.ts'

const broker = new Broker(4)

const subscribeOf = (options: number, filter: string | Buffer = 'a'): Buffer => encodeSubscribe(4, 1, [{ filter, options }])

const VIOLATIONS: readonly (readonly [clause: string, what: string, bytes: Buffer])[] = [
  ['MQTT-2.2.2-2', 'the reserved packet type 0', frame(0x00)],
  ['MQTT-2.2.2-2', 'the reserved packet type 15', frame(0xf0)],
  ['MQTT-2.2.2-1 MQTT-2.2.2-2', 'PINGREQ with flags 1', frame(0xc1)],
  ['MQTT-2.2.2-1 MQTT-2.2.2-2', 'PUBACK with flags 2', frame(0x42, uint16(1))],
  ['MQTT-3.14.1-1', 'DISCONNECT with flags 1', frame(0xe1)],
  ['MQTT-3.6.1-1', 'PUBREL with flags 0', frame(0x60, uint16(1))],
  ['MQTT-3.8.1-1', 'SUBSCRIBE with flags 0', frame(0x80, uint16(1), text('a'), Buffer.of(0))],
  ['MQTT-3.10.1-1', 'UNSUBSCRIBE with flags 0', frame(0xa0, uint16(1), text('a'))],
  ['MQTT-3.3.1-4', 'PUBLISH with both QoS bits', encodePublish(4, { topic: 'a', qos: 3, packetId: 1 })],
  ['MQTT-3.3.1-2', 'PUBLISH at QoS 0 with DUP', encodePublish(4, { topic: 'a', dup: true })],
  ['MQTT-2.3.1-1', 'PUBLISH with packet id 0', encodePublish(4, { topic: 'a', qos: 1, packetId: 0 })],
  ['MQTT-2.3.1-1', 'SUBSCRIBE with packet id 0', encodeSubscribe(4, 0, [{ filter: 'a', options: 0 }])],
  ['MQTT-2.3.1-1', 'UNSUBSCRIBE with packet id 0', encodeUnsubscribe(4, 0, ['a'])],
  ['MQTT-3.3.2-2 MQTT-4.7.1-1', 'a topic name with a +', encodePublish(4, { topic: 'a/+' })],
  ['MQTT-3.3.2-2 MQTT-4.7.1-1', 'a topic name with a #', encodePublish(4, { topic: '#' })],
  ['MQTT-4.7.3-1', 'an empty topic name', encodePublish(4, { topic: '' })],
  ['MQTT-4.7.3-2', 'a topic name with a null character', encodePublish(4, { topic: 'a\0b' })],
  ['MQTT-1.5.3-1', 'a topic name with a surrogate', encodePublish(4, { topic: Buffer.of(0xed, 0xbf, 0xbf) })],
  ['MQTT-3.3.2-1', 'a topic name that is not UTF-8', encodePublish(4, { topic: Buffer.of(0x80) })],
  ['MQTT-3.8.3-3', 'SUBSCRIBE without a filter', encodeSubscribe(4, 1, [])],
  ['MQTT-3.8.3-4', 'a requested QoS of 3', subscribeOf(3)],
  ...[0x04, 0x08, 0x10, 0x20, 0x40, 0x80].map(
    (bit) => ['MQTT-3.8.3-4', `reserved bit 0x${bit.toString(16)} of the requested QoS`, subscribeOf(bit)] as const,
  ),
  ['MQTT-3.8.3-1', 'a filter that is not UTF-8', subscribeOf(0, Buffer.of(0xc0, 0x80))],
  ['MQTT-4.7.3-1', 'an empty filter', subscribeOf(0, '')],
  ['MQTT-4.7.1-2', 'a # that is not last', subscribeOf(0, 'a/#/b')],
  ['MQTT-4.7.1-2', 'a # that is not a level', subscribeOf(0, 'a#')],
  ['MQTT-4.7.1-3', 'a + that is not a level', subscribeOf(0, 'a+/b')],
  ['MQTT-3.10.3-1', 'UNSUBSCRIBE with a filter that is not UTF-8', encodeUnsubscribe(4, 1, [Buffer.of(0xff)])],
  ['MQTT-3.10.3-2', 'UNSUBSCRIBE without a filter', encodeUnsubscribe(4, 1, [])],
  ['3.3.2', 'PUBLISH that ends before its topic does', frame(0x30, uint16(9), Buffer.from('abc'))],
  ['3.3.2', 'PUBLISH that ends before its packet id', frame(0x32, text('a'))],
  ['3.4.2', 'PUBACK of one byte', frame(0x40, Buffer.of(1))],
  ['3.4.2', 'PUBACK with a reason code', encodeAck('puback', 1, 0)],
  ['3.12', 'PINGREQ with a body', frame(0xc0, Buffer.of(0))],
  ['2.2.3', 'a remaining length of five bytes', Buffer.of(0x30, 0x80, 0x80, 0x80, 0x80, 0x01)],
  ['MQTT-4.8.0-1', 'CONNACK from a client', frame(0x20, Buffer.of(0, 0))],
  ['MQTT-4.8.0-1', 'SUBACK from a client', frame(0x90, uint16(1), Buffer.of(0))],
  ['MQTT-4.8.0-1', 'UNSUBACK from a client', frame(0xb0, uint16(1))],
  ['MQTT-4.8.0-1', 'PINGRESP from a client', frame(0xd0)],
]
for (const [clause, what, bytes] of VIOLATIONS) {
  test(`${clause} ${what} ends the connection without a packet`, async () => {
    const client = await broker.client()
    client.send(bytes)
    assert.deepEqual(await client.untilClosed(), [])
  })
}

test('MQTT-4.8.0-1 a client that breaks the protocol is followed by its will, and nothing after it is processed', async () => {
  const topic = broker.name()
  const watcher = await broker.client()
  await watcher.subscribe(topic, 1)
  const client = await broker.client({ will: { topic, payload: 'will', qos: 1 } })
  client.send(frame(0x00), encodePublish(4, { topic, payload: 'after', qos: 1, packetId: 1 }))
  assert.deepEqual(await client.untilClosed(), [])
  assert.equal((await watcher.receive()).payload, 'will')
  await watcher.publish(topic, 'end', { qos: 1 })
  assert.equal((await watcher.receiveUntil('end')).length, 1)
})
