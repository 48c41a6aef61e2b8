// SPDX-License-Identifier: Apache-2.0
// Shared subscriptions of clients that speak 3.1.1: the same groups as in MQTT 5, from before there was a clause for them.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Broker } from '../harness/broker.ts'

const broker = new Broker(4)

test('4.8.2 each message goes to one member, whichever version it speaks', async () => {
  const topic = broker.name()
  const name = `$share/g/${topic}`
  const old = await broker.client()
  const young = await broker.client({ version: 5 })
  assert.deepEqual(await old.subscribe(name, 1), [1])
  assert.deepEqual(await young.subscribe(name, 1), [1])
  const publisher = await broker.client()
  for (const payload of ['a', 'b', 'c', 'd']) await publisher.publish(topic, payload, { qos: 1 })
  assert.deepEqual([(await old.receive()).payload, (await old.receive()).payload], ['a', 'c'])
  assert.deepEqual([(await young.receive()).payload, (await young.receive()).payload], ['b', 'd'])
})

test('4.8.2 a name that is not well-formed is answered with 0x80', async () => {
  const client = await broker.client()
  for (const name of ['$share/x', '$share//t', '$share/g/', '$share/+/t']) assert.deepEqual(await client.subscribe(name, 1), [0x80], name)
})

test('4.8.2 the place in a group is part of a session that is kept', async () => {
  const topic = broker.name()
  const name = `$share/g/${topic}`
  const { client, clientId } = await broker.persistent()
  await client.subscribe(name, 2)
  await client.disconnect()
  const publisher = await broker.client()
  for (const payload of ['a', 'b']) await publisher.publish(topic, payload, { qos: 2 })
  const again = await broker.persistent({ clientId })
  assert.equal(again.connack.sessionPresent, true)
  assert.deepEqual([(await again.client.receive()).payload, (await again.client.receive()).payload], ['a', 'b'])
})
