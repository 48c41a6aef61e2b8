// SPDX-License-Identifier: Apache-2.0
// Exclusive subscriptions: $exclusive/FILTER.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { Broker } from '../harness/broker.ts'

const broker = new Broker(5)

const GRANTED = 1
const HELD = 0x97

test('one session has the filter; it gets the messages of the filter without the prefix', async () => {
  const topic = broker.name()
  const [first, second] = [await broker.client(), await broker.client()]
  assert.deepEqual(await first.subscribe(`$exclusive/${topic}/+`, 1), [GRANTED])
  assert.deepEqual(await second.subscribe(`$exclusive/${topic}/+`, 1), [HELD])
  await second.publish(`${topic}/a`, 'p', { qos: 1 })
  assert.equal((await first.receive()).topic, `${topic}/a`)
  assert.deepEqual(await second.drain(), [])
})

test('a plain subscription is not concerned, and the owner may ask again', async () => {
  const topic = broker.name()
  const [first, second] = [await broker.client(), await broker.client()]
  assert.deepEqual(await first.subscribe(`$exclusive/${topic}`, 1), [GRANTED])
  assert.deepEqual(await second.subscribe(topic, 1), [GRANTED])
  assert.deepEqual(await first.subscribe(`$exclusive/${topic}`, 2), [2])
})

test('MQTT-3.9.3-2 in 3.1.1 the refusal is 0x80', async () => {
  const topic = broker.name()
  await (await broker.client()).subscribe(`$exclusive/${topic}`, 1)
  const old = await broker.client({ version: 4 })
  assert.deepEqual(await old.subscribe(`$exclusive/${topic}`, 1), [0x80])
})

test('UNSUBSCRIBE frees the filter, by either name', async () => {
  const topic = broker.name()
  const [first, second] = [await broker.client(), await broker.client()]
  for (const name of [`$exclusive/${topic}`, topic]) {
    assert.deepEqual(await first.subscribe(`$exclusive/${topic}`, 1), [GRANTED])
    assert.deepEqual(await first.unsubscribe(name), [0])
    assert.deepEqual(await second.subscribe(`$exclusive/${topic}`, 1), [GRANTED])
    assert.deepEqual(await second.unsubscribe(name), [0])
  }
})

test('a session that ends with its connection frees the filter with it', async () => {
  const topic = broker.name()
  const [first, second] = [await broker.client(), await broker.client()]
  await first.subscribe(`$exclusive/${topic}`, 1)
  await first.disconnect()
  assert.deepEqual(await second.subscribe(`$exclusive/${topic}`, 1), [GRANTED])
})

test('a session that is away keeps the filter until it ends', async () => {
  const topic = broker.name()
  const { client, clientId } = await broker.persistent()
  await client.subscribe(`$exclusive/${topic}`, 1)
  await client.disconnect()
  const other = await broker.client()
  assert.deepEqual(await other.subscribe(`$exclusive/${topic}`, 1), [HELD])
  const back = await broker.persistent({ clientId })
  assert.equal(back.connack.sessionPresent, true)
  await other.publish(topic, 'p', { qos: 1 })
  await back.client.receive()
  assert.deepEqual(await back.client.unsubscribe(`$exclusive/${topic}`), [0])
  assert.deepEqual(await other.subscribe(`$exclusive/${topic}`, 1), [GRANTED])
})

test('a clean start ends the session, and with it the ownership', async () => {
  const topic = broker.name()
  const { client, clientId } = await broker.persistent()
  await client.subscribe(`$exclusive/${topic}`, 1)
  await client.disconnect()
  await broker.client({ clientId, cleanStart: true })
  assert.deepEqual(await (await broker.client()).subscribe(`$exclusive/${topic}`, 1), [GRANTED])
})

test('a name without a filter, or with another prefix in it, is answered with 0x8F', async () => {
  const client = await broker.client()
  assert.deepEqual(await client.subscribe('$exclusive/', 1), [0x8f])
  assert.deepEqual(await client.subscribe('$exclusive/$share/g/t', 1), [0x8f])
  assert.deepEqual(await client.subscribe('$exclusive/$exclusive/t', 1), [0x8f])
})

suite('mqtt.exclusive_available = false', () => {
  const without = new Broker(5, ['mqtt.exclusive_available=false'])

  test('an exclusive subscription is answered with 0x8F', async () => {
    assert.deepEqual(await (await without.client()).subscribe('$exclusive/t', 1), [0x8f])
  })
})
