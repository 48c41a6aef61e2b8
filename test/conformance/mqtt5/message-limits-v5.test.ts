// SPDX-License-Identifier: Apache-2.0
// Settings that bound what is kept: lifetimes of messages, backlogs of clients that are away (RELIABILITY Q20), retained messages. Against a real node.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { metric } from '../../cluster/process-figures.ts'
import { Broker } from '../harness/broker.ts'
import type { Client } from '../harness/client.ts'
import { type Publish, propertyOf } from '../harness/decode.ts'

const CONFIG = `
[mqtt]
retained_max_messages = 3
retained_max_payload = "16B"

[mqtt_offline_message]
max_messages = 5

[[topic]]
filter = "brief/#"
message_expiry = "100s"

[[topic]]
filter = "few/+"
max_messages = 2
`
const broker = new Broker(5, [], CONFIG)

const payloadsOf = (messages: readonly Publish[]): readonly string[] => messages.map(({ payload }) => payload)
const dropped = (reason: string): Promise<number> => metric(broker.server, `robustmq_messages_dropped_total{reason="${reason}"}`)

/** Publishes while a persistent subscriber is away. */
async function whileAway(filter: string, publish: (publisher: Client) => Promise<void>): Promise<Client> {
  const { client, clientId } = await broker.persistent()
  await client.subscribe(filter, 1)
  await client.disconnect()
  await publish(await broker.client())
  return (await broker.persistent({ clientId })).client
}

test('message_expiry is the lifetime of messages that name none, and bounds the others', async () => {
  const subscriber = await broker.client()
  await subscriber.subscribe('brief/#', 1)
  const publisher = await broker.client()
  const lifetimeOf = async (messageExpiry: number | undefined): Promise<unknown> => {
    await publisher.publish('brief/t', 'x', { qos: 1, properties: messageExpiry === undefined ? [] : [['messageExpiry', messageExpiry]] })
    return propertyOf(await subscriber.receive(), 'messageExpiry')
  }
  assert.deepEqual([await lifetimeOf(undefined), await lifetimeOf(5000), await lifetimeOf(10)], [100, 100, 10])
})

test('Q20 a client that comes back gets the newest messages, and the others are counted', async () => {
  const topic = broker.name()
  const before = await dropped('offline_count')
  const back = await whileAway(topic, async (publisher) => {
    for (let at = 0; at < 12; at++) await publisher.publish(topic, String(at), { qos: 1 })
  })
  assert.deepEqual(payloadsOf(await back.receiveUntil('11')), ['7', '8', '9', '10', '11'])
  assert.equal((await dropped('offline_count')) - before, 7)
})

test('Q20 the limit of a topic counts for each topic that its filter matches', async () => {
  const back = await whileAway('few/#', async (publisher) => {
    for (const payload of ['1', '2', '3']) for (const topic of ['few/a', 'few/b']) await publisher.publish(topic, payload, { qos: 1 })
  })
  const messages: string[] = []
  for (let left = 4; left > 0; left--) {
    const { topic, payload } = await back.receive()
    messages.push(`${topic}=${payload}`)
  }
  assert.deepEqual(messages.sort(), ['few/a=2', 'few/a=3', 'few/b=2', 'few/b=3'])
  assert.deepEqual(await back.drain(), [])
})

test('Q20 the limits are for those who were away: a client that is connected gets everything', async () => {
  const topic = broker.name()
  const { client } = await broker.persistent()
  await client.subscribe(topic, 1)
  const publisher = await broker.client()
  for (let at = 0; at < 12; at++) await publisher.publish(topic, String(at), { qos: 1 })
  assert.equal((await client.receiveUntil('11')).length, 12)
})

test('the quota of retained messages: further topics are refused with 0x97, those that have one may replace and remove it', async () => {
  const publisher = await broker.client()
  const retain = (topic: string, payload: string, qos: 0 | 1 | 2 = 1) => publisher.publish(topic, payload, { qos, retain: true })
  const base = broker.name()
  const subscriber = await broker.client()
  await subscriber.subscribe(`${base}/#`)
  for (const topic of ['a', 'b', 'c']) assert.equal(await retain(`${base}/${topic}`, 'x'), 0)
  assert.equal(await retain(`${base}/d`, 'refused'), 0x97)
  assert.equal(await retain(`${base}/d`, 'refused', 2), 0x97)
  assert.equal(await retain(`${base}/a`, 'replaced'), 0)
  await retain(`${base}/d`, 'delivered', 0)
  assert.deepEqual(payloadsOf(await subscriber.receiveUntil('delivered')), ['x', 'x', 'x', 'replaced', 'delivered'])
  assert.equal(await retain(`${base}/e`, 'larger than sixteen bytes'), 0x97)
  assert.equal(await retain(`${base}/a`, 'larger than sixteen bytes'), 0x97)

  const version3 = await broker.client({ version: 4 })
  assert.equal(await version3.publish(`${base}/e`, 'delivered too', { qos: 1, retain: true }), 0)
  await subscriber.receiveUntil('delivered too')

  const late = await broker.client()
  await late.subscribe(`${base}/#`)
  assert.deepEqual(payloadsOf([await late.receive(), await late.receive(), await late.receive()]), ['replaced', 'x', 'x'])
  assert.deepEqual(await late.drain(), [])

  for (const topic of ['a', 'b', 'c']) assert.equal(await retain(`${base}/${topic}`, ''), 0)
  assert.equal(await retain(`${base}/d`, 'room'), 0)
  assert.equal(await retain(`${base}/d`, ''), 0)
})
