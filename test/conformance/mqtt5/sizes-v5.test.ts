// SPDX-License-Identifier: Apache-2.0
// What a server takes that nobody has configured: large messages, deep topics, many properties (MQTT 5 sections 2.2.2, 3.3.3, 4.7).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Broker } from '../harness/broker.ts'
import { propertyOf } from '../harness/decode.ts'
import { encodePublish, type Properties } from '../harness/wire.ts'

const MIB = 1024 * 1024
const broker = new Broker(5)

for (const qos of [0, 1, 2] as const) {
  test(`3.3.3 a payload of 1 MiB at QoS ${qos} arrives whole, live and retained`, async () => {
    const topic = broker.name()
    const payload = 'm'.repeat(MIB)
    const [publisher, subscriber] = [await broker.client(), await broker.client()]
    await subscriber.subscribe(topic, qos)
    await publisher.publish(topic, payload, { qos, retain: true })
    const live = await subscriber.receive()
    assert.ok(live.payload === payload && !live.retain)
    const later = await broker.client()
    await later.subscribe(topic, qos)
    const kept = await later.receive()
    assert.ok(kept.payload === payload && kept.retain)
  })
}

test('MQTT-3.2.2-15 CONNACK tells the largest packet, which is taken; one byte more ends the connection with 0x95', async () => {
  const { client, connack } = await broker.connect({})
  const sizeMax = propertyOf(connack, 'maximumPacketSize') as number
  const topic = broker.name()
  // Four bytes of fixed header; a topic with its own length, and no properties.
  const payload = Buffer.alloc(sizeMax - 4 - 2 - topic.length - 1)
  assert.equal(encodePublish(5, { topic, payload }).length, sizeMax)
  await client.publish(topic, payload)
  client.send(encodePublish(5, { topic, payload: Buffer.concat([payload, Buffer.alloc(1)]) }))
  assert.equal(await client.closeReason(), 0x95)
})

for (const levels of [200, 201, 256]) {
  test(`4.7.1.1 a topic of ${levels} levels is matched by itself and by a wildcard behind all of them but the last`, async () => {
    const topic = `${broker.name()}${'/'.repeat(levels - 1)}`
    const client = await broker.client()
    assert.deepEqual(await client.subscribe(topic), [0])
    assert.deepEqual(await client.subscribe(`${topic.slice(0, -1)}/#`), [0])
    await client.publish(topic, 'deep')
    // Overlapping subscriptions may be answered with one message or two.
    assert.equal((await client.receive()).topic, topic)
  })
}

test('MQTT-3.3.2-18 a message with 1000 user properties brings them all, in their order', async () => {
  const topic = broker.name()
  const client = await broker.client()
  await client.subscribe(topic, 1)
  const sent: Properties = Array.from({ length: 1000 }, (_, at) => ['userProperty', [`name ${at % 7}`, `value ${at}`]])
  await client.publish(topic, 'x', { qos: 1, properties: sent })
  const { properties } = await client.receive()
  assert.deepEqual(properties, sent)
})
