// SPDX-License-Identifier: Apache-2.0
// Delayed publish: $delayed/SECONDS/TOPIC.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Broker } from '../harness/broker.ts'
import { propertyOf } from '../harness/decode.ts'
import { encodePublish, type Properties } from '../harness/wire.ts'

const broker = new Broker(5, ['mqtt.delayed_max=1h', 'mqtt.delayed_messages_max=20'])

const PROPERTIES: Properties = [
  ['contentType', 'text/plain'],
  ['responseTopic', 'answers'],
  ['correlationData', Buffer.from('id')],
  ['userProperty', ['name', 'value']],
]

for (const qos of [0, 1, 2] as const) {
  test(`a delayed message of QoS ${qos} comes when its seconds have passed, and not before, on the topic it is meant for`, async () => {
    const topic = broker.name()
    const watcher = await broker.client()
    await watcher.subscribe(topic, 2)
    const publisher = await broker.client()
    const sentMs = Date.now()
    assert.equal(await publisher.publish(`$delayed/2/${topic}`, 'later', { qos }), 0)
    assert.equal(await publisher.publish(topic, 'now', { qos: 1 }), 0)
    const [first, second] = [await watcher.receive(), await watcher.receive()]
    assert.deepEqual([first.payload, second.payload, second.topic, second.qos], ['now', 'later', topic, qos])
    assert.ok(Date.now() - sentMs >= 2000)
    assert.deepEqual(await watcher.drain(), [])
  })
}

test('MQTT-3.3.2-6 it keeps its properties, and its expiry is counted from its publication', async () => {
  const topic = broker.name()
  const watcher = await broker.client()
  await watcher.subscribe(topic, 1)
  const publisher = await broker.client()
  await publisher.publish(`$delayed/2/${topic}`, 'p', { qos: 1, properties: [...PROPERTIES, ['messageExpiry', 1]] })
  const message = await watcher.receive()
  assert.equal(propertyOf(message, 'messageExpiry'), 1)
  assert.deepEqual(
    message.properties.filter(([name]) => name !== 'messageExpiry'),
    PROPERTIES,
  )
})

test('a retained one is retained when it is published, not when it is accepted', async () => {
  const topic = broker.name()
  const publisher = await broker.client()
  const watcher = await broker.client()
  await publisher.publish(`$delayed/1/${topic}`, 'kept', { qos: 1, retain: true })
  await watcher.subscribe(topic, 1)
  assert.deepEqual(await watcher.drain(), [])
  assert.equal((await watcher.receive()).retain, false)
  const late = await broker.client()
  await late.subscribe(topic, 1)
  assert.equal((await late.receive()).retain, true)
})

test('no delay is a message like any other', async () => {
  const topic = broker.name()
  const client = await broker.client()
  await client.subscribe(topic, 1)
  await client.publish(`$delayed/0/${topic}`, 'p', { qos: 1 })
  assert.equal((await client.receive()).topic, topic)
})

test('3.8.3.1 no local holds for the client that published it', async () => {
  const topic = broker.name()
  const [own, other] = [await broker.client(), await broker.client()]
  await own.subscribe(topic, 1 | 0x04)
  await other.subscribe(topic, 1)
  await own.publish(`$delayed/1/${topic}`, 'p', { qos: 1 })
  await other.receive()
  assert.deepEqual(await own.drain(), [])
})

test('a malformed name is answered with 0x90 at QoS 1 and 2, a delay above the limit with 0x97, and nothing comes of either', async () => {
  const topic = broker.name()
  const client = await broker.client()
  await client.subscribe(`$delayed/+/${topic}`)
  for (const name of [`$delayed/x/${topic}`, `$delayed/4294968/${topic}`, '$delayed/1/', `$delayed/1/$delayed/1/${topic}`]) {
    assert.equal(await client.publish(name, 'p', { qos: 1 }), 0x90, name)
    assert.equal(await client.publish(name, 'p', { qos: 2 }), 0x90, name)
    assert.equal(await client.publish(name, 'p'), 0)
  }
  for (const qos of [1, 2]) assert.equal(await client.publish(`$delayed/3601/${topic}`, 'p', { qos }), 0x97)
  assert.deepEqual(await client.drain(), [])
})

test('MQTT-4.3.3-10 a repeated QoS 2 message is stored once, over connections too', async () => {
  const topic = broker.name()
  const watcher = await broker.client()
  await watcher.subscribe(topic, 2)
  const fields = { topic: `$delayed/3/${topic}`, payload: 'once', qos: 2, packetId: 7 }
  const { client, clientId } = await broker.persistent()
  client.send(encodePublish(5, fields))
  assert.equal((await client.take('pubrec')).reasonCode, 0)
  client.destroy()
  const again = await broker.persistent({ clientId })
  again.client.send(encodePublish(5, { ...fields, dup: true }))
  assert.equal((await again.client.take('pubrec')).reasonCode, 0)
  assert.equal(await again.client.release(7), 0)
  assert.equal((await watcher.receive()).payload, 'once')
  await watcher.publish(`$delayed/1/${topic}`, 'marker', { qos: 1 })
  assert.equal((await watcher.receive()).payload, 'marker')
})

test('a topic alias stands for the delay as well', async () => {
  const topic = broker.name()
  const client = await broker.client()
  await client.subscribe(topic, 1)
  await client.publish(`$delayed/1/${topic}`, 'a', { qos: 1, properties: [['topicAlias', 3]] })
  await client.publish('', 'b', { qos: 1, properties: [['topicAlias', 3]] })
  assert.deepEqual(await client.drain(), [])
  assert.deepEqual([(await client.receive()).payload, (await client.receive()).payload], ['a', 'b'])
})

test('a will has a delay of its own: one to a delayed topic is refused', async () => {
  assert.equal(await broker.refusal({ will: { topic: '$delayed/5/t', payload: 'w' } }), 0x90)
})

test('when as many wait as may, a further one is answered with 0x97', async () => {
  const client = await broker.client()
  const codes: number[] = []
  for (let at = 0; at < 21; at++) codes.push(await client.publish('$delayed/3600/never', `${at}`, { qos: 1 }))
  assert.equal(codes[0], 0)
  assert.equal(codes.at(-1), 0x97)
})
