// SPDX-License-Identifier: Apache-2.0
// How much may be under way: Receive Maximum in both directions, and the largest packet a client takes (MQTT 5 sections 3.1.2.11, 4.9).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Broker } from '../harness/broker.ts'
import type { Publish } from '../harness/decode.ts'
import { encodeAck, encodeConnect, encodePublish, encodeSubscribe, PINGREQ, type Properties } from '../harness/wire.ts'

/** Unacknowledged messages that the server takes. */
const INBOUND = 2
/** Unacknowledged messages that the server sends to a client which takes more. */
const OUTBOUND = 4
const broker = new Broker(5, [`mqtt.receive_maximum=${INBOUND}`, `mqtt.inflight_max=${OUTBOUND}`])

const atOnce = (count: number): Properties => [['receiveMaximum', count]]

test('MQTT-3.3.4-7 MQTT-4.9.0-2 a QoS 2 message counts until PUBCOMP: one more than the Receive Maximum ends the connection with 0x93', async () => {
  const topic = broker.name()
  const client = await broker.client()
  for (let packetId = 1; packetId <= INBOUND; packetId++) {
    client.send(encodePublish(5, { topic, qos: 2, packetId }))
    await client.next('pubrec')
  }
  client.send(encodePublish(5, { topic, qos: 1, packetId: 9 }))
  assert.equal(await client.closeReason(), 0x93)
})

test('MQTT-4.9.0-2 PUBCOMP makes room for another', async () => {
  const topic = broker.name()
  const client = await broker.client()
  for (let packetId = 1; packetId <= INBOUND; packetId++) {
    client.send(encodePublish(5, { topic, qos: 2, packetId }))
    await client.next('pubrec')
  }
  await client.release(1)
  client.send(encodePublish(5, { topic, qos: 2, packetId: 9 }))
  assert.equal((await client.next('pubrec')).packetId, 9)
})

test('MQTT-4.9.0-2 a message at QoS 0 does not count', async () => {
  const topic = broker.name()
  const client = await broker.client()
  for (let packetId = 1; packetId <= INBOUND; packetId++) client.send(encodePublish(5, { topic, qos: 2, packetId }))
  for (let count = 0; count < 10; count++) client.send(encodePublish(5, { topic }))
  for (let packetId = 1; packetId <= INBOUND; packetId++) assert.equal((await client.next('pubrec')).packetId, packetId)
  assert.deepEqual(await client.drain(), [])
})

test('MQTT-4.9.0-3 a full window holds up nothing but messages', async () => {
  const topic = broker.name()
  const client = await broker.client()
  for (let packetId = 1; packetId <= INBOUND; packetId++) {
    client.send(encodePublish(5, { topic, qos: 2, packetId }))
    await client.next('pubrec')
  }
  assert.deepEqual(await client.subscribe(topic, 1), [1])
  assert.deepEqual(await client.unsubscribe(topic), [0])
  client.send(PINGREQ)
  await client.next('pingresp')
})

test('4.9 the quota begins anew with each connection: releases that are sent again take nothing from it', async () => {
  const topic = broker.name()
  const { client, clientId } = await broker.persistent()
  for (let packetId = 1; packetId <= INBOUND; packetId++) {
    client.send(encodePublish(5, { topic, qos: 2, packetId }))
    await client.next('pubrec')
  }
  client.destroy()
  const again = await broker.persistent({ clientId })
  const packets: Buffer[] = []
  for (let packetId = 1; packetId <= INBOUND; packetId++) packets.push(encodeAck('pubrel', packetId))
  for (let packetId = 101; packetId <= 100 + INBOUND; packetId++) packets.push(encodePublish(5, { topic, qos: 1, packetId }))
  again.client.send(...packets)
  for (let packetId = 101; packetId <= 100 + INBOUND; packetId++) assert.equal((await again.client.take('puback')).packetId, packetId)
  for (let packetId = 1; packetId <= INBOUND; packetId++) assert.equal((await again.client.take('pubcomp')).packetId, packetId)
})

test('4.9 a QoS 2 message that is sent again after a reconnect is answered, also when the window is full', async () => {
  const topic = broker.name()
  const { client, clientId } = await broker.persistent()
  for (let packetId = 1; packetId <= INBOUND; packetId++) {
    client.send(encodePublish(5, { topic, qos: 2, packetId }))
    await client.next('pubrec')
  }
  client.destroy()
  const again = await broker.persistent({ clientId })
  for (let packetId = 1; packetId <= INBOUND; packetId++) {
    again.client.send(encodePublish(5, { topic, qos: 2, packetId, dup: true }))
    assert.equal((await again.client.next('pubrec')).packetId, packetId)
  }
})

for (const receiveMaximum of [1, 2, 3, OUTBOUND]) {
  test(`MQTT-3.3.4-9 MQTT-4.9.0-1 a client with a Receive Maximum of ${receiveMaximum} has no more messages to acknowledge, and gets all in the end`, async () => {
    const topic = broker.name()
    const subscriber = await broker.client({ properties: atOnce(receiveMaximum) })
    await subscriber.subscribe(topic, 2)
    const publisher = await broker.client()
    const count = 12
    for (let at = 0; at < count; at++) await publisher.publish(topic, `${at}`, { qos: at % 2 === 0 ? 1 : 2 })
    const waiting = [...(await subscriber.drain())] as Publish[]
    for (let at = 0; at < count; at++) {
      assert.ok(waiting.length <= receiveMaximum, `${waiting.length} are under way`)
      const message = waiting.shift() ?? (await subscriber.next('publish'))
      assert.equal(message.payload, `${at}`)
      await subscriber.acknowledge(message)
      waiting.push(...((await subscriber.drain()) as Publish[]))
    }
    assert.deepEqual(waiting, [])
  })
}

test('MQTT-4.9.0-2 a QoS 2 message to a client counts until PUBCOMP', async () => {
  const topic = broker.name()
  const subscriber = await broker.client({ properties: atOnce(1) })
  await subscriber.subscribe(topic, 2)
  const publisher = await broker.client()
  await publisher.publish(topic, 'first', { qos: 2 })
  await publisher.publish(topic, 'second', { qos: 1 })
  const { packetId } = await subscriber.next('publish')
  subscriber.send(encodeAck('pubrec', packetId))
  await subscriber.next('pubrel')
  assert.deepEqual(await subscriber.drain(), [], 'PUBREC makes no room')
  subscriber.send(encodeAck('pubcomp', packetId))
  assert.equal((await subscriber.next('publish')).payload, 'second')
})

test('MQTT-4.9.0-2 PUBREC with a failure makes room', async () => {
  const topic = broker.name()
  const subscriber = await broker.client({ properties: atOnce(1) })
  await subscriber.subscribe(topic, 2)
  const publisher = await broker.client()
  await publisher.publish(topic, 'refused', { qos: 2 })
  await publisher.publish(topic, 'next', { qos: 2 })
  subscriber.send(encodeAck('pubrec', (await subscriber.next('publish')).packetId, 0x83))
  assert.equal((await subscriber.receive()).payload, 'next')
})

test('MQTT-3.3.4-10 messages at QoS 0, answers and the like pass by a full window', async () => {
  const topic = broker.name()
  const subscriber = await broker.client({ properties: atOnce(1) })
  await subscriber.subscribe(topic, 1)
  const publisher = await broker.client()
  await publisher.publish(topic, 'fills the window', { qos: 1 })
  await publisher.publish(topic, 'waits', { qos: 1 })
  await publisher.publish(topic, 'passes', { qos: 0 })
  assert.equal((await subscriber.next('publish')).payload, 'fills the window')
  assert.equal((await subscriber.next('publish')).payload, 'passes')
  assert.deepEqual(await subscriber.subscribe(`${topic}/other`, 1), [1])
  await subscriber.publish('elsewhere', 'x', { qos: 2 })
  assert.deepEqual(await subscriber.drain(), [])
})

test('MQTT-4.9.0-1 a session that comes back with a smaller Receive Maximum gets what was in flight within it', async () => {
  const topic = broker.name()
  const { client, clientId } = await broker.persistent()
  await client.subscribe(topic, 1)
  const publisher = await broker.client()
  const sent: Publish[] = []
  for (let at = 0; at < OUTBOUND; at++) {
    await publisher.publish(topic, `${at}`, { qos: 1 })
    sent.push(await client.next('publish'))
  }
  client.destroy()
  const again = await broker.persistent({ clientId, properties: atOnce(1) })
  for (const { payload, packetId } of sent) {
    const message = await again.client.next('publish')
    assert.deepEqual([message.payload, message.packetId, message.dup], [payload, packetId, true])
    assert.deepEqual(await again.client.drain(), [])
    await again.client.acknowledge(message)
  }
  assert.deepEqual(await again.client.drain(), [])
})

test('MQTT-3.1.2-24 MQTT-3.1.2-25 a message that is too large for a client is dropped as if it had been sent', async () => {
  const topic = broker.name()
  const maximumPacketSize = 100
  const { client, clientId } = await broker.persistent({ properties: [['maximumPacketSize', maximumPacketSize], ...atOnce(1)] })
  await client.subscribe(topic, 2)
  const publisher = await broker.client()
  // Two bytes of fixed header, the topic with its length, a packet id, no properties.
  const fits = 'x'.repeat(maximumPacketSize - 2 - 2 - topic.length - 2 - 1)
  for (const qos of [0, 1, 2] as const) await publisher.publish(topic, `${fits}${'y'.repeat(qos === 0 ? 3 : 1)}`, { qos })
  await publisher.publish(topic, fits, { qos: 1 })
  assert.deepEqual(
    (await client.receiveUntil(fits)).map(({ payload }) => payload),
    [fits],
  )
  await client.disconnect()
  const again = await broker.persistent({ clientId })
  assert.deepEqual(await again.client.drain(), [], 'and it does not come later, when it would fit')
})

test('MQTT-3.1.2-25 nor does a retained message that is too large, and those behind it do', async () => {
  const root = broker.name()
  const publisher = await broker.client()
  for (const [topic, size] of [
    ['a', 1],
    ['b', 500],
    ['c', 1],
  ] as const)
    await publisher.publish(`${root}/${topic}`, 'z'.repeat(size), { qos: 1, retain: true })
  const subscriber = await broker.client({ properties: [['maximumPacketSize', 100], ...atOnce(1)] })
  await subscriber.subscribe(`${root}/+`, 1)
  const topics = [(await subscriber.receive()).topic, (await subscriber.receive()).topic]
  assert.deepEqual(topics.sort(), [`${root}/a`, `${root}/c`])
  assert.deepEqual(await subscriber.drain(), [])
})

test('MQTT-3.1.2-24 the properties of a message count: others with room for them get it', async () => {
  const topic = broker.name()
  const small = await broker.client({ properties: [['maximumPacketSize', 60]] })
  const large = await broker.client()
  for (const client of [small, large]) await client.subscribe(topic, 1)
  const publisher = await broker.client()
  await publisher.publish(topic, 'x', { qos: 1, properties: [['userProperty', ['name', 'v'.repeat(60)]]] })
  await publisher.publish(topic, 'end', { qos: 1 })
  assert.equal((await small.receiveUntil('end')).length, 1)
  assert.equal((await large.receiveUntil('end')).length, 2)
})

test('MQTT-3.1.2-24 a SUBACK that would be too large is not sent', async () => {
  const client = await broker.client({ properties: [['maximumPacketSize', 60]] })
  const filters = Array.from({ length: 100 }, () => ({ filter: broker.name(), options: 0 }))
  client.send(encodeSubscribe(5, 1, filters))
  // Whatever the server makes of it: no packet over the limit.
  const packets = await client.drain()
  assert.ok(!packets.some(({ type }) => type === 'suback'))
})

test('MQTT-3.1.2-24 a client that takes no packet as large as CONNACK is closed, not left to wait', async () => {
  const client = await broker.open()
  client.send(encodeConnect({ clientId: broker.name('client'), properties: [['maximumPacketSize', 8]] }))
  const packets = await client.untilClosed()
  assert.deepEqual(packets, [])
})

test('MQTT-3.1.2-25 what was in flight and is too large for the new connection is finished, and makes room for the next', async () => {
  const topic = broker.name()
  const { client, clientId } = await broker.persistent({ properties: atOnce(1) })
  await client.subscribe(topic, 1)
  const publisher = await broker.client()
  await publisher.publish(topic, 'x'.repeat(500), { qos: 1 })
  await publisher.publish(topic, 'small', { qos: 1 })
  await client.next('publish')
  client.destroy()
  const again = await broker.persistent({ clientId, properties: [['maximumPacketSize', 100], ...atOnce(1)] })
  assert.equal((await again.client.receive()).payload, 'small')
  await again.client.disconnect()
  const last = await broker.persistent({ clientId })
  assert.deepEqual(await last.client.drain(), [])
})

test('MQTT-3.3.1-12 a message at QoS 0 that passed by a full window does not come a second time', async () => {
  const topic = broker.name()
  const subscriber = await broker.client({ properties: atOnce(1) })
  await subscriber.subscribe(topic, 1)
  const publisher = await broker.client()
  await publisher.publish(topic, 'fills the window', { qos: 1 })
  await publisher.publish(topic, 'waits', { qos: 1 })
  await publisher.publish(topic, 'passes', { qos: 0, retain: true })
  await publisher.publish(topic, 'end', { qos: 1 })
  const payloads = (await subscriber.receiveUntil('end')).map(({ payload }) => payload)
  assert.equal(payloads.filter((payload) => payload === 'passes').length, 1, `${payloads}`)
})

test('Q6 packet ids come round, and pass by one that is still in use', async () => {
  const topic = broker.name()
  const subscriber = await broker.client()
  await subscriber.subscribe(topic, 1)
  const publisher = await broker.client({ version: 4 })
  await publisher.publish(topic, 'held', { qos: 1 })
  const held = await subscriber.next('publish')
  const count = 66_000
  const batch = 2_000
  for (let from = 0; from < count; from += batch) {
    publisher.send(
      ...Array.from({ length: batch }, (_, at) => encodePublish(4, { topic, payload: `${from + at}`, qos: 1, packetId: at + 1 })),
    )
    const acknowledgements: Buffer[] = []
    for (let at = 0; at < batch; at++) {
      const { packetId, payload } = await subscriber.next('publish')
      assert.equal(payload, `${from + at}`)
      assert.notEqual(packetId, held.packetId)
      acknowledgements.push(encodeAck('puback', packetId))
      if (acknowledgements.length === OUTBOUND - 1) subscriber.send(...acknowledgements.splice(0))
    }
    subscriber.send(...acknowledgements)
    for (let at = 0; at < batch; at++) await publisher.next('puback')
  }
})
