// SPDX-License-Identifier: Apache-2.0
// A server with narrow limits: it tells them in CONNACK, and keeps to them (MQTT 5 sections 3.2.2.3, 4.13).
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { Broker } from '../harness/broker.ts'
import { propertyOf } from '../harness/decode.ts'
import { encodeConnect, encodePublish, frame, PINGREQ, type PropertyName } from '../harness/wire.ts'

const broker = new Broker(5, [
  'mqtt.max_packet_size=1KiB',
  'mqtt.max_qos=1',
  'mqtt.keep_alive_max=3s',
  'mqtt.session_expiry_max=60s',
  'mqtt.receive_maximum=5',
  'mqtt.topic_alias_maximum=4',
  'mqtt.topic_levels_max=4',
  'mqtt.client_id_bytes_max=23',
  'mqtt.retain_available=false',
  'mqtt.shared_available=false',
  'mqtt.subscriptions_max=3',
  'mqtt.connect_timeout=2s',
])

const TOLD: readonly (readonly [clause: string, name: PropertyName, value: number])[] = [
  ['3.2.2.3.2', 'sessionExpiry', 60],
  ['3.2.2.3.3', 'receiveMaximum', 5],
  ['MQTT-3.2.2-9', 'maximumQos', 1],
  ['3.2.2.3.5', 'retainAvailable', 0],
  ['3.2.2.3.6', 'maximumPacketSize', 1024],
  ['3.2.2.3.8', 'topicAliasMaximum', 4],
  ['3.2.2.3.13', 'sharedAvailable', 0],
  ['3.2.2.3.14', 'serverKeepAlive', 3],
]
for (const [clause, name, value] of TOLD) {
  test(`${clause} CONNACK tells ${name}`, async () => {
    const { connack } = await broker.connect({ keepAliveSeconds: 3600, properties: [['sessionExpiry', 0xffffffff]] })
    assert.equal(propertyOf(connack, name), value)
  })
}

test('3.2.2.3 what is within the limits is not told', async () => {
  const { connack } = await broker.connect({ keepAliveSeconds: 2, properties: [['sessionExpiry', 59]] })
  assert.deepEqual([propertyOf(connack, 'sessionExpiry'), propertyOf(connack, 'serverKeepAlive')], [undefined, undefined])
})

test('3.2.2.3.14 a client without keep alive is given the longest', async () => {
  assert.equal(propertyOf((await broker.connect()).connack, 'serverKeepAlive'), 3)
})

test('MQTT-3.1.3-5 MQTT-3.1.3-8 a client id of 23 bytes is accepted, a longer one refused with 0x85', async () => {
  await broker.connect({ clientId: 'abcdefghijklmnopqrstuvw' })
  assert.equal(await broker.refusal({ clientId: 'abcdefghijklmnopqrstuvwx' }), 0x85)
})

test('MQTT-3.2.2-12 a will above the maximum QoS is refused with 0x9B', async () => {
  assert.equal(await broker.refusal({ will: { topic: 'w', qos: 2 } }), 0x9b)
})

test('MQTT-3.2.2-13 a retained will is refused with 0x9A', async () => {
  assert.equal(await broker.refusal({ will: { topic: 'w', retain: true } }), 0x9a)
})

test('MQTT-3.2.2-11 a message above the maximum QoS ends the connection with 0x9B', async () => {
  const client = await broker.client()
  client.send(encodePublish(5, { topic: 'a', qos: 2, packetId: 1 }))
  assert.equal(await client.closeReason(), 0x9b)
})

test('MQTT-3.2.2-10 a subscription above the maximum QoS is granted it', async () => {
  const topic = broker.name()
  const client = await broker.client()
  assert.deepEqual(await client.subscribe(topic, 2), [1])
  await client.publish(topic, 'x', { qos: 1 })
  assert.equal((await client.receive()).qos, 1)
})

test('MQTT-3.2.2-14 a retained message ends the connection with 0x9A', async () => {
  const client = await broker.client()
  client.send(encodePublish(5, { topic: 'a', retain: true }))
  assert.equal(await client.closeReason(), 0x9a)
})

test('MQTT-3.2.2-17 MQTT-3.3.2-9 a topic alias above the maximum ends the connection with 0x94', async () => {
  const client = await broker.client()
  await client.publish('a', 'x', { properties: [['topicAlias', 4]] })
  client.send(encodePublish(5, { topic: 'a', properties: [['topicAlias', 5]] }))
  assert.equal(await client.closeReason(), 0x94)
})

test('MQTT-3.2.2-15 a packet of the maximum size is taken, a larger one ends the connection with 0x95', async () => {
  const topic = broker.name()
  const client = await broker.client()
  await client.subscribe(topic, 1)
  // Three bytes of fixed header; a topic with its length, a packet id and no properties.
  const payload = 'x'.repeat(1024 - 3 - 2 - topic.length - 2 - 1)
  assert.equal(await client.publish(topic, payload, { qos: 1 }), 0)
  assert.equal((await client.receive()).payload, payload)
  client.send(encodePublish(5, { topic, payload: `${payload}y`, qos: 1, packetId: 9 }))
  assert.equal(await client.closeReason(), 0x95)
})

test('MQTT-3.2.2-15 a packet that is announced too large is not waited for', async () => {
  const client = await broker.client()
  client.send(Buffer.of(0x30, 0xff, 0xff, 0xff, 0x7f))
  assert.equal(await client.closeReason(), 0x95)
})

test('4.13 a CONNECT that is announced too large is not waited for', async () => {
  const client = await broker.open()
  client.send(Buffer.of(0x10, 0xff, 0xff, 0xff, 0x7f))
  assert.ok([undefined, 0x95].includes(await client.closeReason()))
})

test('4.7.3 a topic name with more levels than the server takes ends the connection with 0x90', async () => {
  const client = await broker.client()
  await client.publish('1/2/3/4', 'x')
  client.send(encodePublish(5, { topic: '1/2/3/4/5' }))
  assert.equal(await client.closeReason(), 0x90)
})

test('4.7.3 a filter with more levels than the server takes is refused with 0x8F', async () => {
  const client = await broker.client()
  const reasonCodes = await client.subscribe('1/2/3/4/5').catch(() => undefined)
  // The specification leaves the choice between SUBACK and DISCONNECT.
  assert.deepEqual(reasonCodes ?? [await client.closeReason()], [0x8f])
})

test('3.9.3 a session has so many subscriptions and no more: others are refused with 0x97, and replacing one is not another', async () => {
  const topic = broker.name()
  const client = await broker.client()
  const filters = ['a', 'b', 'b', 'c', 'd', 'a'].map((level) => ({ filter: `${topic}/${level}`, options: 1 }))
  assert.deepEqual(await client.subscribe(filters), [1, 1, 1, 1, 0x97, 1])
  await client.unsubscribe(`${topic}/a`)
  assert.deepEqual(await client.subscribe(`${topic}/d`, 1), [1])
})

test('MQTT-3.3.4-7 messages within the Receive Maximum are taken, whatever their number in the end', async () => {
  const topic = broker.name()
  const client = await broker.client()
  for (let round = 0; round < 4; round++) {
    client.send(...Array.from({ length: 5 }, (_, at) => encodePublish(5, { topic, qos: 1, packetId: at + 1 })))
    for (let at = 0; at < 5; at++) assert.equal((await client.next('puback')).packetId, at + 1)
  }
})

test('3.2.2.3.2 an expiry over the maximum is cut down, and the session kept', async () => {
  const { client, clientId } = await broker.connect({ properties: [['sessionExpiry', 100_000]] })
  await client.disconnect()
  assert.equal((await broker.connect({ clientId, cleanStart: false })).connack.sessionPresent, true)
})

suite('time', { concurrency: true }, () => {
  test('3.1.4 a connection that does not send CONNECT in time is closed without a packet', async () => {
    const client = await broker.open()
    assert.deepEqual(await client.untilClosed(), [])
  })

  test('3.1.4 nor is one waited for that sends CONNECT slowly', async () => {
    const client = await broker.open()
    client.send(encodeConnect({ clientId: broker.name('client') }).subarray(0, -1))
    assert.deepEqual(await client.untilClosed(), [])
  })

  test('MQTT-3.1.2-21 MQTT-3.2.2-21 the Server Keep Alive is what counts', async () => {
    const client = await broker.client({ keepAliveSeconds: 1000 })
    const start = performance.now()
    assert.equal(await client.closeReason(), 0x8d)
    assert.ok(performance.now() - start >= 4400, 'one and a half times 3 s')
  })

  test('MQTT-3.2.2-22 without it the keep alive of CONNECT counts', async () => {
    const client = await broker.client({ keepAliveSeconds: 1 })
    client.send(PINGREQ, frame(0xc0))
    await client.next('pingresp')
    await client.next('pingresp')
    assert.equal(await client.closeReason(), 0x8d)
  })
})
