// SPDX-License-Identifier: Apache-2.0
// SUBSCRIBE and UNSUBSCRIBE (MQTT 5 sections 3.8 to 3.11, 4.7).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Broker } from '../harness/broker.ts'
import type { Client } from '../harness/client.ts'
import { type Publish, propertyOf } from '../harness/decode.ts'
import { encodeAck, encodePublish, encodeSubscribe, encodeUnsubscribe, OPTION } from '../harness/wire.ts'

const broker = new Broker(5)

const identifiersOf = (message: Publish): readonly unknown[] =>
  message.properties
    .filter(([name]) => name === 'subscriptionIdentifier')
    .map(([, value]) => value as number)
    .sort((a, b) => a - b)

/** The topics, out of those given, whose messages come to `subscriber`. */
async function matching(subscriber: Client, topics: readonly string[], marker: string): Promise<readonly string[]> {
  const publisher = await broker.client()
  for (const topic of topics) await publisher.publish(topic, topic, { qos: 1 })
  await publisher.publish(marker, 'end', { qos: 1 })
  const received: string[] = []
  for (let message = await subscriber.receive(); message.payload !== 'end'; message = await subscriber.receive())
    received.push(message.topic)
  // Topics lie in different logs: what is left of them has been committed, and is under way.
  for (const packet of await subscriber.drain()) if (packet.type === 'publish') received.push(packet.topic)
  return topics.filter((topic) => received.includes(topic))
}

const MATCHES: readonly (readonly [clause: string, filter: string, topics: readonly string[], others: readonly string[]])[] = [
  ['4.7.1.2', 'R/#', ['R', 'R/', 'R/a', 'R/a/b', 'R//'], ['Ra', 'Ra/b', '/R', 'r/a']],
  ['4.7.1.3', 'R/+', ['R/a', 'R/'], ['R', 'R/a/b', 'R//', '/R/a']],
  ['4.7.1.3', 'R/+/c', ['R/b/c', 'R//c'], ['R/c', 'R/b/b/c', 'R/b/C']],
  ['4.7.1.3', '+/R', ['/R', 'x/R'], ['R', 'x/y/R', 'x/R/']],
  ['4.7.1.3', '+/+/R', ['//R', 'x/y/R'], ['x/R', '/R', '$x/y/R']],
  ['4.7.1.3', 'R/+/#', ['R/a', 'R/a/b/c', 'R/'], ['R']],
  ['4.7.1.3', 'R/+/+', ['R/a/b', 'R//'], ['R/a', 'R/a/b/c']],
  ['MQTT-4.7.3-4', 'R/a', ['R/a'], ['R/A', 'R/a/', 'R//a', 'R/a ', '/R/a']],
  ['MQTT-4.7.3-4', '/R', ['/R'], ['R', '//R', '/R/']],
  ['MQTT-4.7.2-1', '+/R/#', ['x/R', 'x/R/y'], ['$x/R', '$x/R/y']],
  ['4.7.2', '$R/#', ['$R', '$R/a'], ['R/a']],
  ['4.7.2', '$R/+', ['$R/a'], ['$R']],
]
for (const [clause, pattern, topics, others] of MATCHES) {
  test(`${clause} MQTT-3.3.2-3 the filter '${pattern}' matches what it should and nothing else`, async () => {
    const root = broker.name('R')
    const named = (text: string): string => text.replace('R', root).replace('r/', `${root.toLowerCase()}/`)
    const subscriber = await broker.client()
    const marker = broker.name('marker')
    await subscriber.subscribe([
      { filter: named(pattern), options: 1 },
      { filter: marker, options: 1 },
    ])
    assert.deepEqual(await matching(subscriber, [...topics, ...others].map(named), marker), topics.map(named))
  })
}

test('MQTT-4.7.2-1 # alone matches every topic but those that begin with $', async () => {
  const topic = broker.name()
  const subscriber = await broker.client()
  await subscriber.subscribe('#', 1 | OPTION.withoutRetained)
  assert.deepEqual(await matching(subscriber, [`$${topic}`, `$SYS/${topic}`, topic, `/${topic}`], broker.name()), [topic, `/${topic}`])
})

test('MQTT-3.8.4-1 MQTT-3.8.4-6 MQTT-3.8.4-7 MQTT-3.9.3-1 MQTT-3.9.3-2 SUBACK has a code for each filter, in their order', async () => {
  const client = await broker.client()
  const topic = broker.name()
  const codes = await client.subscribe([
    { filter: `${topic}/a`, options: 2 },
    { filter: `${topic}/b`, options: 0 },
    { filter: `$share//${topic}`, options: 1 },
    { filter: `${topic}/+`, options: 1 },
    { filter: `${topic}/a`, options: 1 },
  ])
  assert.deepEqual(codes, [2, 0, 0x8f, 1, 1])
})

test('MQTT-4.8.2-2 a shared subscription that is refused gets nothing', async () => {
  const topic = broker.name()
  const client = await broker.client()
  assert.deepEqual(await client.subscribe(`$share/+/${topic}`, 1), [0x8f])
  await client.subscribe(`${topic}/end`, 1)
  const publisher = await broker.client()
  await publisher.publish(topic, 'to the group', { qos: 1 })
  await publisher.publish(`${topic}/end`, 'end', { qos: 1 })
  assert.equal((await client.receiveUntil('end')).length, 1)
})

test('MQTT-2.2.1-6 MQTT-3.8.4-2 SUBACK and UNSUBACK name the packet id of what they answer, in the order in which it came', async () => {
  const client = await broker.client()
  const filter = broker.name()
  client.send(
    encodeSubscribe(5, 65_535, [{ filter, options: 0 }]),
    encodeUnsubscribe(5, 3, [filter]),
    encodeSubscribe(5, 2, [{ filter, options: 1 }]),
    encodeUnsubscribe(5, 1, [filter, filter]),
  )
  assert.deepEqual(
    [await client.next('suback'), await client.next('unsuback'), await client.next('suback'), await client.next('unsuback')].map(
      ({ packetId, reasonCodes }) => [packetId, reasonCodes],
    ),
    [
      [65_535, [0]],
      [3, [0]],
      [2, [1]],
      [1, [0, 0x11]],
    ],
  )
})

test('MQTT-3.8.4-5 a SUBSCRIBE with equal filters is like several: the last one holds', async () => {
  const topic = broker.name()
  const client = await broker.client()
  assert.deepEqual(
    await client.subscribe([
      { filter: topic, options: 2 },
      { filter: topic, options: 0 },
    ]),
    [2, 0],
  )
  await client.publish(topic, 'x', { qos: 2 })
  assert.equal((await client.receive()).qos, 0)
  assert.deepEqual(await client.unsubscribe(topic, topic), [0, 0x11])
})

test('MQTT-3.8.4-3 a subscription with the same filter replaces the one before', async () => {
  const topic = broker.name()
  const subscriber = await broker.client()
  const publisher = await broker.client()
  await subscriber.subscribe(topic, 2, [['subscriptionIdentifier', 1]])
  await subscriber.subscribe(topic, 1 | OPTION.retainAsPublished, [['subscriptionIdentifier', 2]])
  await publisher.publish(topic, 'x', { qos: 2, retain: true })
  const message = await subscriber.receive()
  assert.deepEqual([message.qos, message.retain, identifiersOf(message)], [1, true, [2]])
  await subscriber.subscribe(topic, 0 | OPTION.withoutRetained)
  await publisher.publish(topic, 'y', { qos: 2 })
  const last = await subscriber.receive()
  assert.deepEqual([last.payload, last.qos, last.properties], ['y', 0, []], 'a subscription without an identifier has none')
  assert.deepEqual(await subscriber.drain(), [])
})

test('MQTT-3.8.4-4 no message is lost while a subscription is replaced', async () => {
  const topic = broker.name()
  const subscriber = await broker.client()
  await subscriber.subscribe(topic, 1)
  const publisher = await broker.client()
  const count = 100
  for (let at = 1; at <= count; at++) {
    publisher.send(encodePublish(5, { topic, payload: `${at}`, qos: 1, packetId: at }))
    if (at % 10 === 0) subscriber.send(encodeSubscribe(5, at, [{ filter: topic, options: (at / 10) % 2 === 0 ? 1 : 2 }]))
  }
  for (let at = 1; at <= count; at++) assert.equal((await subscriber.receive()).payload, `${at}`)
})

test('MQTT-3.3.4-2 MQTT-3.3.4-3 overlapping subscriptions give the highest QoS and all identifiers', async () => {
  const topic = broker.name()
  const subscriber = await broker.client()
  await subscriber.subscribe(`${topic}/#`, 0, [['subscriptionIdentifier', 10]])
  await subscriber.subscribe(`${topic}/+`, 2, [['subscriptionIdentifier', 200]])
  await subscriber.subscribe(`${topic}/a`, 1, [['subscriptionIdentifier', 3000]])
  await subscriber.subscribe(`+/a/#`, 1 | OPTION.withoutRetained)
  const publisher = await broker.client()
  await publisher.publish(`${topic}/a`, 'x', { qos: 2 })
  await publisher.publish(`${topic}/a`, 'end', { qos: 2 })
  const messages = await subscriber.receiveUntil('end')
  const first = messages.filter(({ payload }) => payload === 'x')
  // One copy for all, or one for each: the specification leaves the choice, not what is in them.
  assert.equal(Math.max(...first.map(({ qos }) => qos)), 2)
  assert.deepEqual(
    first.flatMap(identifiersOf).sort((a, b) => Number(a) - Number(b)),
    [10, 200, 3000],
  )
  if (first.length > 1) assert.equal(first.length, 4)
})

test('MQTT-3.3.4-4 a message brings the identifiers of those subscriptions that match, and of no others', async () => {
  const topic = broker.name()
  const subscriber = await broker.client()
  await subscriber.subscribe(`${topic}/a`, 1, [['subscriptionIdentifier', 1]])
  await subscriber.subscribe(`${topic}/b`, 1, [['subscriptionIdentifier', 2]])
  await subscriber.subscribe(`${topic}/c`, 1)
  const publisher = await broker.client()
  for (const [level, identifiers] of [
    ['a', [1]],
    ['b', [2]],
    ['c', []],
  ] as const) {
    await publisher.publish(`${topic}/${level}`, 'x', { qos: 1 })
    assert.deepEqual(identifiersOf(await subscriber.receive()), identifiers)
  }
})

for (const identifier of [1, 127, 128, 16_384, 268_435_455]) {
  test(`3.8.2.1.2 the subscription identifier ${identifier} comes back, and survives the connection`, async () => {
    const topic = broker.name()
    const { client, clientId } = await broker.persistent()
    await client.subscribe(topic, 1, [['subscriptionIdentifier', identifier]])
    await client.publish(topic, 'x', { qos: 1 })
    assert.deepEqual(identifiersOf(await client.receive()), [identifier])
    await client.disconnect()
    const publisher = await broker.client()
    await publisher.publish(topic, 'y', { qos: 1 })
    const again = await broker.persistent({ clientId })
    assert.deepEqual(identifiersOf(await again.client.receive()), [identifier])
  })
}

test('MQTT-3.8.3-3 with no local a client does not get what it published itself, and gets what others do', async () => {
  const topic = broker.name()
  const client = await broker.client()
  await client.subscribe(topic, 2 | OPTION.noLocal)
  for (const qos of [0, 1, 2] as const) await client.publish(topic, 'mine', { qos })
  const other = await broker.client()
  await other.publish(topic, 'end', { qos: 1 })
  assert.equal((await client.receiveUntil('end')).length, 1)
})

test('MQTT-3.8.3-3 no local holds over connections of the same client', async () => {
  const topic = broker.name()
  const { client, clientId } = await broker.persistent()
  await client.subscribe(topic, 1 | OPTION.noLocal)
  await client.publish(topic, 'mine', { qos: 1 })
  await client.disconnect()
  const again = await broker.persistent({ clientId })
  await again.client.publish(topic, 'mine again', { qos: 1 })
  const other = await broker.client()
  await other.publish(topic, 'end', { qos: 1 })
  assert.equal((await again.client.receiveUntil('end')).length, 1)
})

test('MQTT-3.8.3-3 of overlapping subscriptions the one without no local brings the message of the client itself', async () => {
  const topic = broker.name()
  const client = await broker.client()
  await client.subscribe(topic, 2 | OPTION.noLocal, [['subscriptionIdentifier', 1]])
  await client.subscribe(`${topic}/#`, 1, [['subscriptionIdentifier', 2]])
  await client.publish(topic, 'mine', { qos: 2 })
  const message = await client.receive()
  assert.deepEqual([message.payload, message.qos, identifiersOf(message)], ['mine', 1, [2]])
})

test('3.8.4 a client that is subscribed gets its own messages without no local', async () => {
  const topic = broker.name()
  const client = await broker.client()
  await client.subscribe(topic, 1)
  await client.publish(topic, 'mine', { qos: 1 })
  assert.equal((await client.receive()).payload, 'mine')
})

test('Q16 a message that is published as soon as SUBACK is there arrives', async () => {
  const publisher = await broker.client()
  for (let round = 0; round < 30; round++) {
    const topic = broker.name()
    const subscriber = await broker.client()
    await subscriber.subscribe(round % 2 === 0 ? topic : `${topic}/#`, 1)
    publisher.send(encodePublish(5, { topic, payload: 'at QoS 0' }), encodePublish(5, { topic, payload: 'at QoS 1', qos: 1, packetId: 1 }))
    const payloads = [(await subscriber.receive()).payload, (await subscriber.receive()).payload]
    assert.deepEqual(payloads.sort(), ['at QoS 0', 'at QoS 1'])
    subscriber.destroy()
  }
})

test('MQTT-3.10.4-1 a filter is compared character by character', async () => {
  const topic = broker.name()
  const subscriber = await broker.client()
  await subscriber.subscribe(`${topic}/a`, 1)
  assert.deepEqual(await subscriber.unsubscribe(`${topic}/+`, `${topic}/A`, `${topic}/a/`, `${topic}/#`), [0x11, 0x11, 0x11, 0x11])
  const publisher = await broker.client()
  await publisher.publish(`${topic}/a`, 'still subscribed', { qos: 1 })
  assert.equal((await subscriber.receive()).payload, 'still subscribed')
})

test('MQTT-3.10.4-2 MQTT-3.10.4-6 MQTT-3.11.3-1 MQTT-3.11.3-2 UNSUBSCRIBE ends what it names, with a code for each in their order', async () => {
  const topic = broker.name()
  const subscriber = await broker.client()
  for (const filter of [topic, `${topic}/+`, `${topic}/end`]) await subscriber.subscribe(filter, 1)
  assert.deepEqual(await subscriber.unsubscribe(`${topic}/+`, 'never', topic), [0, 0x11, 0])
  const publisher = await broker.client()
  for (const other of [topic, `${topic}/a`]) await publisher.publish(other, 'ended', { qos: 1 })
  await publisher.publish(`${topic}/end`, 'end', { qos: 1 })
  assert.equal((await subscriber.receiveUntil('end')).length, 1)
})

test('MQTT-3.10.4-4 MQTT-3.10.4-5 UNSUBSCRIBE is answered where there is nothing to end', async () => {
  const client = await broker.client()
  assert.deepEqual(await client.unsubscribe('a', 'b/#'), [0x11, 0x11])
})

test('MQTT-3.10.4-3 what was sent before UNSUBSCRIBE is completed after it', async () => {
  const topic = broker.name()
  const { client, clientId } = await broker.persistent()
  await client.subscribe(topic, 2)
  const publisher = await broker.client()
  await publisher.publish(topic, 'at QoS 1', { qos: 1 })
  await publisher.publish(topic, 'at QoS 2', { qos: 2 })
  const [first, second] = [await client.take('publish'), await client.take('publish')]
  await client.unsubscribe(topic)
  client.destroy()
  const again = await broker.persistent({ clientId })
  const repeated = [await again.client.receive(), await again.client.receive()]
  assert.deepEqual(
    repeated.map(({ payload, packetId, dup }) => [payload, packetId, dup]),
    [
      ['at QoS 1', first.packetId, true],
      ['at QoS 2', second.packetId, true],
    ],
  )
  await publisher.publish(topic, 'not for me', { qos: 1 })
  assert.deepEqual(await again.client.drain(), [])
})

test('MQTT-3.10.4-2 after UNSUBSCRIBE a session that was away gets nothing more', async () => {
  const topic = broker.name()
  const { client, clientId } = await broker.persistent()
  await client.subscribe(topic, 1)
  await client.subscribe(`${topic}/end`, 1)
  await client.unsubscribe(topic)
  await client.disconnect()
  const publisher = await broker.client()
  await publisher.publish(topic, 'ended', { qos: 1 })
  await publisher.publish(`${topic}/end`, 'end', { qos: 1 })
  const again = await broker.persistent({ clientId })
  assert.equal((await again.client.receiveUntil('end')).length, 1)
})

test('3.8.4 a subscription begins with its SUBACK: what was published before does not come', async () => {
  const topic = broker.name()
  const publisher = await broker.client()
  await publisher.publish(topic, 'before', { qos: 1 })
  const { client, clientId } = await broker.persistent()
  await client.subscribe(topic, 1)
  await publisher.publish(topic, 'after', { qos: 1 })
  const { packetId, payload } = await client.next('publish')
  assert.equal(payload, 'after')
  client.send(encodeAck('puback', packetId))
  await client.unsubscribe(topic)
  await publisher.publish(topic, 'between', { qos: 1 })
  await client.subscribe(topic, 1)
  await client.disconnect()
  await publisher.publish(topic, 'end', { qos: 1 })
  const again = await broker.persistent({ clientId })
  assert.equal((await again.client.receiveUntil('end')).length, 1)
})

test('4.7.3 filters have many levels and characters of all kinds', async () => {
  const topic = `${broker.name()}/${Array.from({ length: 100 }, () => 'l').join('/')}/\u{1f680} \u00e9`
  const subscriber = await broker.client()
  assert.deepEqual(await subscriber.subscribe(topic, 1), [1])
  await subscriber.publish(topic, 'x', { qos: 1 })
  const message = await subscriber.receive()
  assert.equal(message.topic, topic)
  assert.equal(propertyOf(message, 'subscriptionIdentifier'), undefined)
})
