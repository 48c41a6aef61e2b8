// SPDX-License-Identifier: Apache-2.0
// The delivery protocols, in both directions (MQTT 5 sections 3.4 to 3.7, 4.3).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Broker } from '../harness/broker.ts'
import { encodeAck, encodePublish } from '../harness/wire.ts'

const broker = new Broker(5)

/** A subscriber at QoS 2, a publisher, and what they talk about. */
async function pair() {
  const topic = broker.name()
  const subscriber = await broker.client()
  await subscriber.subscribe(topic, 2)
  return { topic, subscriber, publisher: await broker.client() }
}

test('MQTT-4.3.2-4 a message at QoS 1 is answered with PUBACK of its packet id, the highest included', async () => {
  const { topic, publisher } = await pair()
  for (const packetId of [1, 77, 65_535]) {
    publisher.send(encodePublish(5, { topic, qos: 1, packetId }))
    const puback = await publisher.next('puback')
    assert.equal(puback.packetId, packetId)
    assert.ok(puback.reasonCode < 0x80)
  }
})

test('MQTT-4.3.2-5 after PUBACK a packet id names a new message, whatever DUP says', async () => {
  const { topic, subscriber, publisher } = await pair()
  await publisher.publish(topic, 'first', { qos: 1, packetId: 9 })
  await publisher.publish(topic, 'second', { qos: 1, packetId: 9, dup: true })
  await publisher.publish(topic, 'third', { qos: 1, packetId: 9 })
  assert.equal((await subscriber.receiveUntil('third')).length, 3)
})

test('MQTT-4.3.3-8 MQTT-4.3.3-11 a message at QoS 2 goes through PUBREC, PUBREL and PUBCOMP', async () => {
  const { topic, publisher } = await pair()
  publisher.send(encodePublish(5, { topic, qos: 2, packetId: 65_535 }))
  assert.equal((await publisher.next('pubrec')).packetId, 65_535)
  publisher.send(encodeAck('pubrel', 65_535, 0, []))
  const pubcomp = await publisher.next('pubcomp')
  assert.deepEqual([pubcomp.packetId, pubcomp.reasonCode], [65_535, 0])
})

test('MQTT-4.3.3-10 a packet id that is not released names the same message, with DUP and without', async () => {
  const { topic, subscriber, publisher } = await pair()
  publisher.send(encodePublish(5, { topic, payload: 'once', qos: 2, packetId: 5 }))
  await publisher.next('pubrec')
  for (const dup of [true, false]) {
    publisher.send(encodePublish(5, { topic, payload: 'once', qos: 2, packetId: 5, dup }))
    assert.equal((await publisher.next('pubrec')).packetId, 5)
  }
  assert.equal(await publisher.release(5), 0)
  await publisher.publish(topic, 'end', { qos: 2, packetId: 6 })
  assert.deepEqual(
    (await subscriber.receiveUntil('end')).map(({ payload }) => payload),
    ['once', 'end'],
  )
})

test('MQTT-4.3.3-10 also a repetition that does not wait for PUBREC is answered, and published once', async () => {
  const { topic, subscriber, publisher } = await pair()
  const once = { topic, payload: 'once', qos: 2, packetId: 5 }
  publisher.send(encodePublish(5, once), encodePublish(5, { ...once, dup: true }))
  for (let count = 0; count < 2; count++) assert.equal((await publisher.next('pubrec')).packetId, 5)
  await publisher.release(5)
  await publisher.publish(topic, 'end', { qos: 2, packetId: 6 })
  assert.equal((await subscriber.receiveUntil('end')).length, 2)
})

test('Q5 a PUBREL that does not wait for PUBREC leaves nothing behind: the next message under the id is a new one', async () => {
  const { topic, subscriber, publisher } = await pair()
  for (const payload of ['1', '2', '3', '4']) {
    publisher.send(encodePublish(5, { topic, payload, qos: 2, packetId: 5 }), encodeAck('pubrel', 5))
    await publisher.take('pubrec')
    await publisher.take('pubcomp')
  }
  await publisher.publish(topic, 'end', { qos: 2, packetId: 6 })
  assert.deepEqual(
    (await subscriber.receiveUntil('end')).map(({ payload }) => payload),
    ['1', '2', '3', '4', 'end'],
  )
})

test('MQTT-4.3.3-12 after PUBCOMP a packet id names a new message, whatever DUP says', async () => {
  const { topic, subscriber, publisher } = await pair()
  await publisher.publish(topic, 'first', { qos: 2, packetId: 5 })
  await publisher.publish(topic, 'second', { qos: 2, packetId: 5, dup: true })
  await publisher.publish(topic, 'third', { qos: 2, packetId: 5 })
  assert.equal((await subscriber.receiveUntil('third')).length, 3)
})

test('Q4 DUP on a message that was never seen does not make it a repetition', async () => {
  const { topic, subscriber, publisher } = await pair()
  await publisher.publish(topic, 'unseen', { qos: 2, dup: true })
  assert.equal((await subscriber.receive()).payload, 'unseen')
})

test('MQTT-4.3.3-11 a second PUBREL is answered, and says that there is nothing to release', async () => {
  const { topic, publisher } = await pair()
  await publisher.publish(topic, 'x', { qos: 2, packetId: 3 })
  assert.equal(await publisher.release(3), 0x92)
  assert.equal(await publisher.release(4), 0x92, 'and so is one for a message that never was')
})

test('MQTT-4.3.1-1 a message at QoS 0 is not answered', async () => {
  const { topic, publisher } = await pair()
  publisher.send(encodePublish(5, { topic, payload: 'x' }))
  assert.deepEqual(await publisher.drain(), [])
})

test('MQTT-2.2.1-4 messages in flight to a client have packet ids of their own', async () => {
  const { topic, subscriber, publisher } = await pair()
  for (let count = 0; count < 20; count++) await publisher.publish(topic, 'x', { qos: count % 2 === 0 ? 1 : 2 })
  const packetIds = new Set<number>()
  for (let count = 0; count < 20; count++) packetIds.add((await subscriber.take('publish')).packetId)
  assert.equal(packetIds.size, 20)
})

test('MQTT-4.3.2-3 a message that is acknowledged frees its packet id and is not sent again', async () => {
  const topic = broker.name()
  const { client, clientId } = await broker.persistent()
  await client.subscribe(topic, 1)
  await client.publish(topic, 'acknowledged', { qos: 1 })
  await client.receive()
  await client.disconnect()
  const again = await broker.persistent({ clientId })
  assert.deepEqual(await again.client.drain(), [])
})

test('MQTT-4.3.3-4 PUBREL answers PUBREC, with its packet id and no failure', async () => {
  const { topic, subscriber, publisher } = await pair()
  await publisher.publish(topic, 'x', { qos: 2 })
  const { packetId } = await subscriber.next('publish')
  subscriber.send(encodeAck('pubrec', packetId, 0x10))
  const pubrel = await subscriber.next('pubrel')
  assert.deepEqual([pubrel.packetId, pubrel.reasonCode], [packetId, 0])
  subscriber.send(encodeAck('pubcomp', packetId))
  assert.deepEqual(await subscriber.drain(), [])
})

test('MQTT-4.3.3-4 a second PUBREC is answered with PUBREL again', async () => {
  const { topic, subscriber, publisher } = await pair()
  await publisher.publish(topic, 'x', { qos: 2 })
  const { packetId } = await subscriber.next('publish')
  for (let count = 0; count < 2; count++) {
    subscriber.send(encodeAck('pubrec', packetId))
    assert.deepEqual(await subscriber.next('pubrel'), { type: 'pubrel', packetId, reasonCode: 0, properties: [] })
  }
})

test('3.6.2.1 PUBREC of a packet id that is not in use is answered with PUBREL 0x92', async () => {
  const client = await broker.client()
  client.send(encodeAck('pubrec', 1234))
  assert.deepEqual(await client.next('pubrel'), { type: 'pubrel', packetId: 1234, reasonCode: 0x92, properties: [] })
})

test('MQTT-4.3.2-3 acknowledgements of packet ids that are not in use do no harm', async () => {
  const { topic, subscriber, publisher } = await pair()
  subscriber.send(encodeAck('puback', 500), encodeAck('pubcomp', 501))
  assert.deepEqual(await subscriber.drain(), [])
  await publisher.publish(topic, 'still here', { qos: 2 })
  assert.equal((await subscriber.receive()).payload, 'still here')
})

test('MQTT-4.4.0-2 a message that is refused with PUBACK 0x80 or PUBREC 0x97 is finished', async () => {
  const topic = broker.name()
  const { client, clientId } = await broker.persistent()
  await client.subscribe(topic, 2)
  const publisher = await broker.client()
  await publisher.publish(topic, 'one', { qos: 1 })
  client.send(encodeAck('puback', (await client.next('publish')).packetId, 0x80))
  await publisher.publish(topic, 'two', { qos: 2 })
  client.send(encodeAck('pubrec', (await client.next('publish')).packetId, 0x97))
  assert.deepEqual(await client.drain(), [], 'PUBREC with a failure is not followed by PUBREL')
  await client.disconnect()
  const again = await broker.persistent({ clientId })
  assert.deepEqual(await again.client.drain(), [])
})

test('MQTT-3.4.2-1 acknowledgements may give a reason, a reason string and user properties', async () => {
  const { topic, subscriber, publisher } = await pair()
  const notes = [
    ['reasonString', 'because'],
    ['userProperty', ['a', 'b']],
  ] as const
  await publisher.publish(topic, 'one', { qos: 1 })
  subscriber.send(encodeAck('puback', (await subscriber.next('publish')).packetId, 0x10, notes))
  await publisher.publish(topic, 'two', { qos: 2 })
  const { packetId } = await subscriber.next('publish')
  subscriber.send(encodeAck('pubrec', packetId, 0, notes))
  await subscriber.next('pubrel')
  subscriber.send(encodeAck('pubcomp', packetId, 0x92, notes))
  assert.deepEqual(await subscriber.drain(), [])
})

test('MQTT-4.4.0-1 nothing is sent again while the client is connected', async () => {
  const { topic, subscriber, publisher } = await pair()
  await publisher.publish(topic, 'at QoS 1', { qos: 1 })
  await publisher.publish(topic, 'at QoS 2', { qos: 2 })
  await subscriber.next('publish')
  const { packetId } = await subscriber.next('publish')
  subscriber.send(encodeAck('pubrec', packetId))
  await subscriber.next('pubrel')
  await broker.secondsPass(2)
  assert.deepEqual(await subscriber.drain(), [])
})

test('4.3.2 acknowledgements out of order finish the messages they name', async () => {
  const topic = broker.name()
  const { client, clientId } = await broker.persistent()
  await client.subscribe(topic, 1)
  const publisher = await broker.client()
  for (const payload of ['1', '2', '3', '4']) await publisher.publish(topic, payload, { qos: 1 })
  const packetIds: number[] = []
  for (let count = 0; count < 4; count++) packetIds.push((await client.next('publish')).packetId)
  client.send(encodeAck('puback', packetIds[3] as number), encodeAck('puback', packetIds[1] as number))
  await client.drain()
  client.destroy()
  const again = await broker.persistent({ clientId })
  assert.deepEqual(
    [await again.client.receive(), await again.client.receive()].map(({ payload, dup, packetId }) => [payload, dup, packetId]),
    [
      ['1', true, packetIds[0]],
      ['3', true, packetIds[2]],
    ],
  )
  assert.deepEqual(await again.client.drain(), [])
})
