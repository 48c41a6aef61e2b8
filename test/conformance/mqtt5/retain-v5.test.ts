// SPDX-License-Identifier: Apache-2.0
// Retained messages (MQTT 5 sections 3.3.1.3, 3.8.3.1).
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { Broker } from '../harness/broker.ts'
import type { Client } from '../harness/client.ts'
import { type Publish, propertyOf } from '../harness/decode.ts'
import { encodePublish, encodeSubscribe, OPTION, type Properties } from '../harness/wire.ts'

const broker = new Broker(5)

const retained = { retain: true, qos: 1 } as const
const payloadsOf = (messages: readonly Publish[]): readonly string[] => messages.map(({ payload }) => payload)

/** A message that is not retained, after whatever the server had to send before. */
async function upToNow(subscriber: Client, publisher: Client, topic: string): Promise<readonly Publish[]> {
  await publisher.publish(topic, 'now', { qos: 1 })
  return (await subscriber.receiveUntil('now')).slice(0, -1)
}

test('MQTT-3.3.1-5 the last retained message of a topic comes to new subscribers, with RETAIN set', async () => {
  const topic = broker.name()
  const publisher = await broker.client()
  for (const payload of ['old', 'older', 'last']) await publisher.publish(topic, payload, retained)
  const subscriber = await broker.client()
  await subscriber.subscribe(topic, 1)
  const { packetId, ...message } = await subscriber.receive()
  assert.deepEqual(message, { type: 'publish', topic, payload: 'last', qos: 1, dup: false, retain: true, properties: [] })
  assert.notEqual(packetId, 0)
  assert.deepEqual(await upToNow(subscriber, publisher, topic), [])
})

for (const qos of [0, 1, 2] as const) {
  test(`MQTT-3.3.1-5 a message of QoS ${qos} is retained, and comes at the lower of its QoS and the one granted`, async () => {
    const topic = broker.name()
    const publisher = await broker.client()
    await publisher.publish(topic, 'kept', { qos, retain: true })
    for (const granted of [0, 1, 2] as const) {
      const subscriber = await broker.client()
      await subscriber.subscribe(topic, granted)
      const message = await subscriber.receive()
      assert.deepEqual([message.payload, message.qos, message.retain], ['kept', Math.min(qos, granted), true])
    }
  })
}

for (const qos of [0, 1, 2] as const) {
  test(`MQTT-3.3.1-9 a retained message of QoS ${qos} with SUBSCRIBE right behind it comes once, as retained`, async () => {
    const topic = broker.name()
    const client = await broker.client()
    client.send(
      encodePublish(5, { topic, payload: 'kept', retain: true, qos, packetId: 100 }),
      encodeSubscribe(5, 101, [{ filter: topic, options: 0 }], []),
    )
    const message = await client.take('publish')
    assert.deepEqual([message.payload, message.retain], ['kept', true])
    if (qos === 2) await client.release(100)
    assert.deepEqual(await upToNow(client, await broker.client(), topic), [])
  })

  test(`MQTT-3.3.1-6 an empty one of QoS ${qos} with SUBSCRIBE right behind it leaves nothing to come`, async () => {
    const topic = broker.name()
    const client = await broker.client()
    await client.publish(topic, 'kept', retained)
    client.send(
      encodePublish(5, { topic, payload: '', retain: true, qos, packetId: 100 }),
      encodeSubscribe(5, 101, [{ filter: topic, options: 0 }], []),
    )
    await client.take('suback')
    assert.deepEqual(await upToNow(client, await broker.client(), topic), [])
  })
}

test('MQTT-3.3.1-5 a retained message outlives the session of its publisher', async () => {
  const topic = broker.name()
  const publisher = await broker.client()
  await publisher.publish(topic, 'kept', retained)
  await publisher.disconnect()
  const subscriber = await broker.client()
  await subscriber.subscribe(topic)
  assert.equal((await subscriber.receive()).payload, 'kept')
})

test('MQTT-3.3.1-6 MQTT-3.3.1-7 an empty retained message removes what was retained, and is delivered like any other', async () => {
  const topic = broker.name()
  const publisher = await broker.client()
  await publisher.publish(topic, 'kept', retained)
  const present = await broker.client()
  await present.subscribe(topic, 1)
  assert.equal((await present.receive()).payload, 'kept')
  await publisher.publish(topic, '', retained)
  const empty = await present.receive()
  assert.deepEqual([empty.payload, empty.retain], ['', false])
  const subscriber = await broker.client()
  await subscriber.subscribe(topic, 1)
  assert.deepEqual(await upToNow(subscriber, publisher, topic), [])
})

test('MQTT-3.3.1-7 an empty retained message at QoS 0 removes one of QoS 2', async () => {
  const topic = broker.name()
  const publisher = await broker.client()
  await publisher.publish(topic, 'kept', { retain: true, qos: 2 })
  await publisher.publish(topic, '', { retain: true })
  await publisher.publish(topic, 'ordered behind it', { qos: 1 })
  const subscriber = await broker.client()
  await subscriber.subscribe(topic, 1)
  assert.deepEqual(await upToNow(subscriber, publisher, topic), [])
})

test('MQTT-3.3.1-8 a message without RETAIN neither replaces nor removes what is retained, not even an empty one', async () => {
  const topic = broker.name()
  const publisher = await broker.client()
  await publisher.publish(topic, 'kept', retained)
  await publisher.publish(topic, 'passing by', { qos: 1 })
  await publisher.publish(topic, '', { qos: 1 })
  const subscriber = await broker.client()
  await subscriber.subscribe(topic, 1)
  assert.equal((await subscriber.receive()).payload, 'kept')
})

test('3.3.1.3 a wildcard subscription gets the retained messages of all topics it matches, and of no others', async () => {
  const root = broker.name()
  const publisher = await broker.client()
  for (const topic of ['', '/a', '/a/b', '/b', 'x/a']) await publisher.publish(`${root}${topic}`, `kept${topic}`, retained)
  const levels: readonly (readonly [filter: string, topics: readonly string[]])[] = [
    [`${root}/#`, ['', '/a', '/a/b', '/b']],
    [`${root}/+`, ['/a', '/b']],
    [`${root}/+/b`, ['/a/b']],
    [`+/a/b`, ['/a/b']],
    [`${root}`, ['']],
  ]
  for (const [filter, topics] of levels) {
    const subscriber = await broker.client()
    await subscriber.subscribe(filter, 1)
    const received: string[] = []
    while (received.length < topics.length) received.push((await subscriber.receive()).payload)
    assert.deepEqual(
      received.sort(),
      topics.map((topic) => `kept${topic}`),
      filter,
    )
    assert.deepEqual(await subscriber.drain(), [], filter)
  }
})

test('MQTT-4.7.2-1 a filter that begins with a wildcard gets no retained message of a topic that begins with $', async () => {
  const topic = broker.name()
  const publisher = await broker.client()
  await publisher.publish(`$own/${topic}`, 'hidden', retained)
  await publisher.publish(`own/${topic}`, 'shown', retained)
  const subscriber = await broker.client()
  await subscriber.subscribe(`+/${topic}`, 1)
  assert.equal((await subscriber.receive()).payload, 'shown')
  assert.deepEqual(await upToNow(subscriber, publisher, `own/${topic}`), [])
  await subscriber.subscribe(`$own/+`, 1)
  assert.equal((await subscriber.receive()).payload, 'hidden')
})

test('MQTT-3.3.1-9 with retain handling 0 each subscription gets the retained messages, a repeated one too', async () => {
  const topic = broker.name()
  const publisher = await broker.client()
  await publisher.publish(topic, 'kept', retained)
  const subscriber = await broker.client()
  for (let count = 0; count < 3; count++) {
    await subscriber.subscribe(topic, 1)
    assert.equal((await subscriber.receive()).payload, 'kept')
  }
  assert.deepEqual(await upToNow(subscriber, publisher, topic), [])
})

test('MQTT-3.3.1-10 with retain handling 1 only a subscription that is new gets them', async () => {
  const topic = broker.name()
  const publisher = await broker.client()
  await publisher.publish(topic, 'kept', retained)
  const subscriber = await broker.client()
  await subscriber.subscribe(topic, 1 | OPTION.onlyIfNew)
  assert.equal((await subscriber.receive()).payload, 'kept')
  await subscriber.subscribe(topic, 0 | OPTION.onlyIfNew)
  assert.deepEqual(await upToNow(subscriber, publisher, topic), [])
  await subscriber.unsubscribe(topic)
  await subscriber.subscribe(topic, 1 | OPTION.onlyIfNew)
  assert.equal((await subscriber.receive()).payload, 'kept', 'after UNSUBSCRIBE it is new again')
})

test('MQTT-3.3.1-10 a subscription that a session brought along is not new', async () => {
  const topic = broker.name()
  const publisher = await broker.client()
  await publisher.publish(topic, 'kept', retained)
  const { client, clientId } = await broker.persistent()
  await client.subscribe(topic, 1 | OPTION.withoutRetained)
  await client.disconnect()
  const again = await broker.persistent({ clientId })
  await again.client.subscribe(topic, 1 | OPTION.onlyIfNew)
  assert.deepEqual(await upToNow(again.client, publisher, topic), [])
})

test('MQTT-3.3.1-11 with retain handling 2 they do not come', async () => {
  const topic = broker.name()
  const publisher = await broker.client()
  await publisher.publish(topic, 'kept', retained)
  const subscriber = await broker.client()
  await subscriber.subscribe(topic, 1 | OPTION.withoutRetained)
  assert.deepEqual(await upToNow(subscriber, publisher, topic), [])
})

test('MQTT-3.3.1-12 MQTT-3.3.1-13 RETAIN is passed on to those who want it as published, and to no others', async () => {
  const topic = broker.name()
  const [plain, asPublished, publisher] = [await broker.client(), await broker.client(), await broker.client()]
  await plain.subscribe(topic, 1)
  await asPublished.subscribe(topic, 1 | OPTION.retainAsPublished)
  for (const qos of [0, 1] as const) {
    for (const retain of [true, false]) {
      await publisher.publish(topic, 'x', { qos, retain })
      assert.equal((await plain.receive()).retain, false)
      assert.equal((await asPublished.receive()).retain, retain)
    }
  }
})

test('3.8.3.1 a retained message that comes for a new subscription has RETAIN set, also without retain as published', async () => {
  const topic = broker.name()
  const publisher = await broker.client()
  await publisher.publish(topic, 'kept', retained)
  for (const options of [0, OPTION.retainAsPublished]) {
    const subscriber = await broker.client()
    await subscriber.subscribe(topic, 1 | options)
    assert.equal((await subscriber.receive()).retain, true)
  }
})

test('MQTT-3.3.2-17 a retained message keeps its properties, and brings the identifier of the subscription', async () => {
  const topic = broker.name()
  const properties: Properties = [
    ['payloadFormat', 1],
    ['contentType', 'c'],
    ['responseTopic', 'r'],
    ['correlationData', Buffer.of(1, 2)],
    ['userProperty', ['b', '1']],
    ['userProperty', ['a', '2']],
    ['userProperty', ['b', '3']],
  ]
  const publisher = await broker.client()
  await publisher.publish(topic, 'kept', { ...retained, properties })
  const subscriber = await broker.client()
  await subscriber.subscribe(topic, 1, [['subscriptionIdentifier', 268_435_455]])
  const message = await subscriber.receive()
  assert.equal(propertyOf(message, 'subscriptionIdentifier'), 268_435_455)
  assert.deepEqual(
    message.properties.filter(([name]) => name !== 'subscriptionIdentifier'),
    properties,
  )
})

test('MQTT-3.8.3-3 no local holds for retained messages of the client itself', async () => {
  const topic = broker.name()
  const client = await broker.client()
  await client.publish(topic, 'mine', retained)
  await client.subscribe(topic, 1 | OPTION.noLocal)
  const other = await broker.client()
  assert.deepEqual(await upToNow(client, other, topic), [])
})

test('MQTT-4.9.0-2 more retained messages than the client takes at once come as it acknowledges', async () => {
  const root = broker.name()
  const publisher = await broker.client()
  const count = 30
  for (let at = 0; at < count; at++) await publisher.publish(`${root}/${at}`, `${at}`, retained)
  const subscriber = await broker.client({ properties: [['receiveMaximum', 4]] })
  await subscriber.subscribe(`${root}/+`, 1)
  const topics = new Set<string>()
  for (let at = 0; at < count; at++) topics.add((await subscriber.receive()).topic)
  assert.equal(topics.size, count)
  assert.deepEqual(await subscriber.drain(), [])
})

test('MQTT-3.3.1-9 a message that passes while a retained one of its topic waits for room does not take its place', async () => {
  const root = broker.name()
  const publisher = await broker.client()
  for (const topic of [`${root}/1`, `${root}/2`]) await publisher.publish(topic, 'kept', retained)
  const subscriber = await broker.client({ properties: [['receiveMaximum', 1]] })
  await subscriber.subscribe(`${root}/+`, 1)
  const first = await subscriber.take('publish')
  const other = first.topic === `${root}/1` ? `${root}/2` : `${root}/1`
  await publisher.publish(other, 'passing by')
  assert.equal((await subscriber.take('publish')).payload, 'passing by')
  await subscriber.acknowledge(first)
  assert.deepEqual([(await subscriber.receive()).topic, first.payload], [other, 'kept'])
})

test('MQTT-3.3.1-9 retained messages that wait for room are not lost with the connection', async () => {
  const root = broker.name()
  const publisher = await broker.client()
  for (const level of ['1', '2', '3']) await publisher.publish(`${root}/${level}`, level, retained)
  const { client, clientId } = await broker.persistent({ properties: [['receiveMaximum', 1]] })
  await client.subscribe(`${root}/+`, 1)
  await client.take('publish')
  client.destroy()
  const again = await broker.persistent({ clientId })
  const received = [await again.client.receive(), await again.client.receive(), await again.client.receive()]
  assert.deepEqual(payloadsOf(received).toSorted(), ['1', '2', '3'])
})

test('Q15 a retained message that is replaced while a client subscribes comes in its old state or its new one, and the new one comes last', async () => {
  const topic = broker.name()
  const publisher = await broker.client()
  for (let round = 0; round < 20; round++) {
    await publisher.publish(topic, `old ${round}`, retained)
    const subscriber = await broker.client()
    const replaced = publisher.publish(topic, `new ${round}`, retained)
    await subscriber.subscribe(topic, 1)
    await replaced
    const received = payloadsOf(await subscriber.receiveUntil(`new ${round}`))
    assert.ok(received.length === 1 || (received.length === 2 && received[0] === `old ${round}`), `${received}`)
    assert.deepEqual(await subscriber.drain(), [])
    subscriber.destroy()
  }
})

suite('retained message expiry', { concurrency: true }, () => {
  test('MQTT-3.3.2-5 a retained message ends with its life', async () => {
    const topic = broker.name()
    const publisher = await broker.client()
    await publisher.publish(topic, 'short-lived', { ...retained, properties: [['messageExpiry', 1]] })
    await broker.secondsPass(2)
    const subscriber = await broker.client()
    await subscriber.subscribe(topic, 1)
    assert.deepEqual(await upToNow(subscriber, publisher, topic), [])
  })

  test('MQTT-3.3.2-6 a retained message comes with the life that is left', async () => {
    const topic = broker.name()
    const publisher = await broker.client()
    await publisher.publish(topic, 'long-lived', { ...retained, properties: [['messageExpiry', 100]] })
    await broker.secondsPass(2)
    const subscriber = await broker.client()
    await subscriber.subscribe(topic, 1)
    const life = propertyOf(await subscriber.receive(), 'messageExpiry') as number
    assert.ok(life <= 98 && life >= 70, `2 seconds or a little more have passed of 100: ${life}`)
  })
})
