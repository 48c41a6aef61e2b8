// SPDX-License-Identifier: Apache-2.0
// Replay (DESIGN D8): the user property 'replay-from' of SUBSCRIBE, against a real node.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Broker } from '../harness/broker.ts'
import type { Client } from '../harness/client.ts'
import type { Publish } from '../harness/decode.ts'
import { encodeSubscribe, type Properties } from '../harness/wire.ts'

const broker = new Broker(5, [], "[[topic]]\nfilter = 'passing/#'\nstorage = 'memory'\n")

const from = (value: string): Properties => [['userProperty', ['replay-from', value]]]

const payloadsOf = (messages: readonly Publish[]): readonly string[] => messages.map(({ payload }) => payload)

function offsetOf({ properties }: Publish): number {
  for (const [name, value] of properties)
    if (name === 'userProperty' && Array.isArray(value) && value[0] === 'offset') return Number(value[1])
  return -1
}

async function store(topic: string, payloads: readonly string[]): Promise<Client> {
  const publisher = await broker.client()
  for (const payload of payloads) await publisher.publish(topic, payload, { qos: 1 })
  return publisher
}

const numbered = (first: number, count: number): readonly string[] => Array.from({ length: count }, (_, at) => String(first + at))

test('D8 earliest: the stored history comes in order, then what is live, and each message has a rising offset', async () => {
  const topic = broker.name()
  const publisher = await store(topic, numbered(0, 20))
  const subscriber = await broker.client()
  assert.deepEqual(await subscriber.subscribe(topic, 1, from('earliest')), [1])
  await publisher.publish(topic, 'live', { qos: 1 })
  const messages = await subscriber.receiveUntil('live')
  assert.deepEqual(payloadsOf(messages), [...numbered(0, 20), 'live'])
  const offsets = messages.map(offsetOf)
  assert.ok(
    offsets.every((offset, at) => offset >= 0 && (at === 0 || offset > (offsets[at - 1] as number))),
    String(offsets),
  )
})

test('D8 latest: no history comes, and what is live has its offset', async () => {
  const topic = broker.name()
  const publisher = await store(topic, ['old'])
  const subscriber = await broker.client()
  await subscriber.subscribe(topic, 1, from('latest'))
  await publisher.publish(topic, 'live', { qos: 1 })
  const [message, ...others] = await subscriber.receiveUntil('live')
  assert.deepEqual(others, [])
  assert.equal(message?.payload, 'live')
  assert.ok(offsetOf(message) >= 0)
})

test('D8 an offset: begins with the message that has it', async () => {
  const topic = broker.name()
  await store(topic, numbered(0, 10))
  const first = await broker.client()
  await first.subscribe(topic, 1, from('earliest'))
  const sixth = (await first.receiveUntil('9'))[6]
  assert.ok(sixth !== undefined)
  const second = await broker.client()
  await second.subscribe(topic, 1, from(String(offsetOf(sixth))))
  assert.deepEqual(payloadsOf(await second.receiveUntil('9')), numbered(6, 4))
})

test('D8 a time: everything since then comes; the future and the distant past are the end and the beginning', async () => {
  const topic = broker.name()
  const publisher = await store(topic, numbered(0, 5))
  const past = await broker.client()
  await past.subscribe(topic, 1, from('1985-04-12T23:20:50.52Z'))
  assert.deepEqual(payloadsOf(await past.receiveUntil('4')), numbered(0, 5))
  const future = await broker.client()
  await future.subscribe(topic, 1, from('2999-12-31T23:59:60+01:00'))
  await publisher.publish(topic, 'live', { qos: 1 })
  assert.deepEqual(payloadsOf(await future.receiveUntil('live')), ['live'])
})

test('D8 a wildcard replays all matching topics, each in its order', async () => {
  const base = broker.name()
  for (const topic of ['a', 'b', 'c']) await store(`${base}/${topic}`, numbered(0, 10))
  const subscriber = await broker.client()
  await subscriber.subscribe(`${base}/+`, 1, from('earliest'))
  const byTopic = new Map<string, string[]>()
  for (let left = 30; left > 0; left--) {
    const { topic, payload } = await subscriber.receive()
    byTopic.set(topic, [...(byTopic.get(topic) ?? []), payload])
  }
  for (const topic of ['a', 'b', 'c']) assert.deepEqual(byTopic.get(`${base}/${topic}`), numbered(0, 10))
})

for (const value of ['', 'yesterday', '-1', '1.5', '2026-02-30T00:00:00Z', '99999999999999999']) {
  test(`D8 '${value}' is malformed: SUBACK 0x83, with a reason, and no subscription`, async () => {
    const topic = broker.name()
    const subscriber = await broker.client()
    subscriber.send(encodeSubscribe(5, 7, [{ filter: topic, options: 1 }], from(value)))
    const { reasonCodes, properties } = await subscriber.take('suback')
    assert.deepEqual(reasonCodes, [0x83])
    assert.ok(properties.some(([name, text]) => name === 'reasonString' && String(text).includes('replay-from')))
    assert.deepEqual(await subscriber.unsubscribe(topic), [0x11])
  })
}

test('MQTT-3.1.2-29 a client that wants no problem information is refused without a reason', async () => {
  const subscriber = await broker.client({ properties: [['requestProblemInformation', 0]] })
  subscriber.send(encodeSubscribe(5, 7, [{ filter: broker.name(), options: 1 }], from('never')))
  const { reasonCodes, properties } = await subscriber.take('suback')
  assert.deepEqual([reasonCodes, properties], [[0x83], []])
})

test('D8 messages that are not stored have no history and no offset; they come live', async () => {
  const topic = `passing/${broker.name()}`
  const publisher = await store(topic, ['gone'])
  const subscriber = await broker.client()
  assert.deepEqual(await subscriber.subscribe(topic, 1, from('earliest')), [1])
  await publisher.publish(topic, 'live', { qos: 1 })
  const messages = await subscriber.receiveUntil('live')
  assert.deepEqual(
    messages.map((message) => [message.payload, offsetOf(message)]),
    [['live', -1]],
  )
})

test('D8 history goes through the window of the client: no more than it can take is under way', async () => {
  const topic = broker.name()
  await store(topic, numbered(0, 50))
  const subscriber = await broker.client({ properties: [['receiveMaximum', 3]] })
  await subscriber.subscribe(topic, 1, from('earliest'))
  const first = [await subscriber.take('publish'), await subscriber.take('publish'), await subscriber.take('publish')]
  assert.deepEqual(await subscriber.drain(), [])
  for (const message of first) await subscriber.acknowledge(message)
  assert.deepEqual([...payloadsOf(first), ...payloadsOf(await subscriber.receiveUntil('49'))], numbered(0, 50))
})

test('D8 history has no gap and no double while others publish', async () => {
  const topic = broker.name()
  const publisher = await store(topic, numbered(0, 500))
  const subscriber = await broker.client()
  const publishing = (async () => {
    for (const payload of numbered(500, 500)) await publisher.publish(topic, payload, { qos: 1 })
  })()
  await subscriber.subscribe(topic, 1, from('earliest'))
  const messages = await subscriber.receiveUntil('999')
  await publishing
  assert.deepEqual(payloadsOf(messages), numbered(0, 1000))
})

test('D8 the place of a replay survives the connection, with and without subscribing again', async () => {
  const topic = broker.name()
  const publisher = await store(topic, numbered(0, 10))
  const { client, clientId } = await broker.persistent({ properties: [['receiveMaximum', 1]] })
  await client.subscribe(topic, 1, from('earliest'))
  for (const payload of numbered(0, 4)) assert.equal((await client.receive()).payload, payload)
  await client.drain()
  await client.disconnect()
  await publisher.publish(topic, '10', { qos: 1 })
  const again = await broker.persistent({ clientId })
  assert.equal(again.connack.sessionPresent, true)
  assert.deepEqual(await again.client.subscribe(topic, 1), [1])
  const messages = await again.client.receiveUntil('10')
  assert.deepEqual(payloadsOf(messages), numbered(4, 7))
  assert.ok(messages.every((message) => offsetOf(message) >= 0))
})

test('D8 another replay-from begins anew', async () => {
  const topic = broker.name()
  await store(topic, numbered(0, 3))
  const subscriber = await broker.client()
  for (let round = 0; round < 2; round++) {
    await subscriber.subscribe(topic, 1, from('earliest'))
    assert.deepEqual(payloadsOf(await subscriber.receiveUntil('2')), numbered(0, 3))
  }
  assert.deepEqual(await subscriber.unsubscribe(topic), [0])
})

test('D8 other subscriptions of the session have nothing to do with it', async () => {
  const topic = broker.name()
  const publisher = await store(topic, ['old'])
  const subscriber = await broker.client()
  await subscriber.subscribe(`${topic}/#`, 1)
  await subscriber.subscribe(topic, 2, from('earliest'))
  assert.equal((await subscriber.receive()).payload, 'old')
  await publisher.publish(topic, 'live', { qos: 1 })
  const messages = [await subscriber.receive(), await subscriber.receive()]
  assert.deepEqual(payloadsOf(messages), ['live', 'live'])
  assert.deepEqual(messages.map((message) => offsetOf(message) >= 0).sort(), [false, true])
})

test('D8 shared subscriptions do not replay', async () => {
  const subscriber = await broker.client()
  assert.deepEqual(await subscriber.subscribe(`$share/g/${broker.name()}`, 1, from('earliest')), [0x83])
})
