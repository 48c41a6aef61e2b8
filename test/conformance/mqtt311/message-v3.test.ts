// SPDX-License-Identifier: Apache-2.0
// Messages of MQTT 3.1.1: delivery, retained messages, subscriptions, wills (sections 3.3 to 3.11, 4.3, 4.6, 4.7). Clause ids are those of the 3.1.1 specification.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { Broker } from '../harness/broker.ts'
import { encodeAck, encodePublish, encodeSubscribe, encodeUnsubscribe, type Qos } from '../harness/wire.ts'

const broker = new Broker(4)
const QOS: readonly Qos[] = [0, 1, 2]

for (const published of QOS) {
  for (const granted of QOS) {
    test(`MQTT-3.8.4-6 published at QoS ${published}, granted QoS ${granted}, a message comes at QoS ${Math.min(published, granted)}`, async () => {
      const topic = broker.name()
      const subscriber = await broker.client()
      assert.deepEqual(await subscriber.subscribe(topic, granted), [granted])
      const publisher = await broker.client()
      await publisher.publish(topic, 'hello', { qos: published })
      const { packetId, ...message } = await subscriber.receive()
      const qos = Math.min(published, granted)
      assert.deepEqual(message, { type: 'publish', topic, payload: 'hello', qos, dup: false, retain: false, properties: [] })
      assert.equal(packetId > 0, qos > 0)
    })
  }
}

suite('delivery', () => {
  test('MQTT-4.3.3-2 a QoS 2 packet id that is not released names the same message', async () => {
    const topic = broker.name()
    const subscriber = await broker.client()
    await subscriber.subscribe(topic, 2)
    const publisher = await broker.client()
    for (const dup of [false, true, false]) {
      publisher.send(encodePublish(4, { topic, payload: 'once', qos: 2, packetId: 5, dup }))
      assert.equal((await publisher.next('pubrec')).packetId, 5)
    }
    await publisher.release(5)
    await publisher.release(5)
    await publisher.publish(topic, 'once more under the same id', { qos: 2, packetId: 5 })
    assert.equal((await subscriber.receiveUntil('once more under the same id')).length, 2)
  })

  test('MQTT-4.3.2-2 a QoS 1 packet id that was acknowledged names a new message', async () => {
    const topic = broker.name()
    const subscriber = await broker.client()
    await subscriber.subscribe(topic, 1)
    const publisher = await broker.client()
    await publisher.publish(topic, '1', { qos: 1, packetId: 5 })
    await publisher.publish(topic, '2', { qos: 1, packetId: 5, dup: true })
    assert.equal((await subscriber.receiveUntil('2')).length, 2)
  })

  test('MQTT-4.3.3-2 PUBREL of a packet id that is not in use is answered with PUBCOMP', async () => {
    const client = await broker.client()
    assert.equal(await client.release(999), 0)
  })

  test('MQTT-3.3.1-1 MQTT-4.4.0-1 MQTT-4.6.0-1 after a reconnect PUBLISH and PUBREL are sent again, with DUP, packet ids and order as they were', async () => {
    const topic = broker.name()
    const { client, clientId } = await broker.persistent()
    await client.subscribe(topic, 2)
    const publisher = await broker.client()
    for (const [payload, qos] of [
      ['1', 1],
      ['2', 2],
      ['3', 2],
      ['4', 1],
    ] as const)
      await publisher.publish(topic, payload, { qos })
    const packetIds: number[] = []
    for (let count = 0; count < 4; count++) packetIds.push((await client.next('publish')).packetId)
    client.send(encodeAck('pubrec', packetIds[2] as number))
    await client.next('pubrel')
    client.destroy()
    await publisher.publish(topic, 'new', { qos: 1 })
    const again = await broker.persistent({ clientId })
    const received: unknown[] = []
    for (let count = 0; count < 5; count++) {
      const packet = count === 2 ? await again.client.next('pubrel') : await again.client.next('publish')
      received.push(packet.type === 'publish' ? [packet.payload, packet.dup] : packet.type)
      if (count < 4) assert.equal(packet.packetId, packetIds[count])
    }
    assert.deepEqual(received, [['1', true], ['2', true], 'pubrel', ['4', true], ['new', false]])
  })

  test('MQTT-3.1.2-5 MQTT-4.5.0-1 messages at QoS 1 and 2 wait for a session that is away', async () => {
    const topic = broker.name()
    const { client, clientId } = await broker.persistent()
    await client.subscribe(topic, 2)
    client.destroy()
    const publisher = await broker.client()
    for (let at = 0; at < 20; at++) await publisher.publish(topic, `${at}`, { qos: at % 2 === 0 ? 1 : 2 })
    const again = await broker.persistent({ clientId })
    for (let at = 0; at < 20; at++) assert.equal((await again.client.receive()).payload, `${at}`)
    assert.deepEqual(await again.client.drain(), [])
  })

  for (const qos of QOS) {
    test(`MQTT-4.6.0-5 MQTT-4.6.0-6 messages of QoS ${qos} come in the order in which they were sent`, async () => {
      const topic = broker.name()
      const subscriber = await broker.client()
      await subscriber.subscribe(topic, 2)
      const publisher = await broker.client()
      const count = 200
      publisher.send(...Array.from({ length: count }, (_, at) => encodePublish(4, { topic, payload: `${at}`, qos, packetId: at + 1 })))
      for (let at = 0; at < count; at++) assert.equal((await subscriber.receive()).payload, `${at}`)
    })
  }

  test('MQTT-3.3.5-1 overlapping subscriptions bring a message at the highest QoS of them', async () => {
    const topic = broker.name()
    const subscriber = await broker.client()
    await subscriber.subscribe([
      { filter: `${topic}/#`, options: 0 },
      { filter: `${topic}/+`, options: 2 },
      { filter: `${topic}/a`, options: 1 },
    ])
    const publisher = await broker.client()
    await publisher.publish(`${topic}/a`, 'x', { qos: 2 })
    await publisher.publish(`${topic}/a`, 'end', { qos: 2 })
    const messages = (await subscriber.receiveUntil('end')).filter(({ payload }) => payload === 'x')
    assert.equal(Math.max(...messages.map(({ qos }) => qos)), 2)
    assert.ok(messages.length === 1 || messages.length === 3, 'one copy, or one for each')
  })

  test('3.3.2 a message of an MQTT 5 client comes without its properties', async () => {
    const topic = broker.name()
    const subscriber = await broker.client()
    await subscriber.subscribe(topic, 1)
    const publisher = await broker.client({ version: 5 })
    const properties = [
      ['contentType', 'c'],
      ['userProperty', ['a', 'b']],
      ['messageExpiry', 100],
    ] as const
    await publisher.publish(topic, 'hello', { qos: 1, properties })
    assert.equal((await subscriber.receive()).payload, 'hello')
  })

  test('3.3.2 a message of a 3.1.1 client comes to one of MQTT 5 without properties', async () => {
    const topic = broker.name()
    const subscriber = await broker.client({ version: 5 })
    await subscriber.subscribe(topic, 2)
    const publisher = await broker.client()
    await publisher.publish(topic, 'hello', { qos: 2 })
    const message = await subscriber.receive()
    assert.deepEqual([message.payload, message.qos, message.properties], ['hello', 2, []])
  })
})

suite('retained', () => {
  test('MQTT-3.3.1-5 MQTT-3.3.1-6 MQTT-3.3.1-8 a new subscription gets the last retained message, with RETAIN set', async () => {
    const topic = broker.name()
    const publisher = await broker.client()
    for (const payload of ['old', 'last']) await publisher.publish(topic, payload, { qos: 1, retain: true })
    const subscriber = await broker.client()
    await subscriber.subscribe(topic, 1)
    const message = await subscriber.receive()
    assert.deepEqual([message.payload, message.qos, message.retain], ['last', 1, true])
  })

  test('MQTT-3.3.1-9 a subscription that is there gets it with RETAIN clear', async () => {
    const topic = broker.name()
    const subscriber = await broker.client()
    await subscriber.subscribe(topic, 1)
    await subscriber.publish(topic, 'x', { qos: 1, retain: true })
    assert.equal((await subscriber.receive()).retain, false)
  })

  test('MQTT-3.3.1-7 a retained message at QoS 0 replaces one at QoS 1', async () => {
    const topic = broker.name()
    const publisher = await broker.client()
    await publisher.publish(topic, 'old', { qos: 1, retain: true })
    await publisher.publish(topic, 'new', { qos: 0, retain: true })
    await publisher.publish(topic, 'behind it', { qos: 1 })
    const subscriber = await broker.client()
    await subscriber.subscribe(topic, 1)
    const [message] = [...(await subscriber.receiveUntil('new'))]
    assert.deepEqual([message?.payload, message?.qos], ['new', 0])
  })

  test('MQTT-3.3.1-10 MQTT-3.3.1-11 an empty retained message removes what was retained', async () => {
    const topic = broker.name()
    const publisher = await broker.client()
    await publisher.publish(topic, 'kept', { qos: 1, retain: true })
    await publisher.publish(topic, '', { qos: 1, retain: true })
    const subscriber = await broker.client()
    await subscriber.subscribe(topic, 1)
    await publisher.publish(topic, 'end', { qos: 1 })
    assert.equal((await subscriber.receiveUntil('end')).length, 1)
  })

  test('MQTT-3.3.1-12 a message without RETAIN leaves what is retained alone', async () => {
    const topic = broker.name()
    const publisher = await broker.client()
    await publisher.publish(topic, 'kept', { qos: 1, retain: true })
    await publisher.publish(topic, '', { qos: 1 })
    await publisher.publish(topic, 'passing by', { qos: 1 })
    const subscriber = await broker.client()
    await subscriber.subscribe(topic, 1)
    assert.equal((await subscriber.receive()).payload, 'kept')
  })

  test('MQTT-3.8.4-3 a subscription that is repeated replaces the one before, and gets the retained messages again', async () => {
    const topic = broker.name()
    const publisher = await broker.client()
    await publisher.publish(topic, 'kept', { qos: 2, retain: true })
    const subscriber = await broker.client()
    for (const options of [2, 0, 1]) {
      await subscriber.subscribe(topic, options)
      const message = await subscriber.receive()
      assert.deepEqual([message.payload, message.qos, message.retain], ['kept', options, true])
    }
    await publisher.publish(topic, 'live', { qos: 2 })
    assert.equal((await subscriber.receive()).qos, 1)
    assert.deepEqual(await subscriber.drain(), [])
  })

  test('MQTT-3.1.2-7 retained messages are no part of a session', async () => {
    const topic = broker.name()
    const publisher = await broker.client()
    await publisher.publish(topic, 'kept', { qos: 1, retain: true })
    await publisher.disconnect()
    const subscriber = await broker.client()
    await subscriber.subscribe(topic, 1)
    assert.equal((await subscriber.receive()).payload, 'kept')
  })
})

suite('subscriptions', () => {
  test('MQTT-3.8.4-1 MQTT-3.8.4-4 MQTT-3.8.4-5 MQTT-3.9.3-1 SUBACK has a return code for each filter, in their order; one that cannot be is 0x80', async () => {
    const topic = broker.name()
    const client = await broker.client()
    assert.deepEqual(
      await client.subscribe([
        { filter: `${topic}/a`, options: 2 },
        { filter: `$share//${topic}`, options: 1 },
        { filter: `${topic}/b`, options: 0 },
        { filter: `${topic}/#`, options: 1 },
      ]),
      [2, 0x80, 0, 1],
    )
  })

  test('MQTT-2.3.1-7 MQTT-3.8.4-2 MQTT-3.10.4-4 MQTT-3.10.4-5 SUBACK and UNSUBACK name the packet ids, UNSUBACK also where there is nothing to end', async () => {
    const client = await broker.client()
    client.send(encodeSubscribe(4, 7, [{ filter: 'a', options: 0 }]), encodeUnsubscribe(4, 8, ['a']), encodeUnsubscribe(4, 9, ['never']))
    assert.equal((await client.next('suback')).packetId, 7)
    assert.deepEqual(
      [await client.next('unsuback'), await client.next('unsuback')],
      [
        { type: 'unsuback', packetId: 8, reasonCodes: [], properties: [] },
        { type: 'unsuback', packetId: 9, reasonCodes: [], properties: [] },
      ],
    )
  })

  test('MQTT-3.10.4-1 MQTT-3.10.4-2 MQTT-3.10.4-6 UNSUBSCRIBE ends the subscriptions it names exactly, and no others', async () => {
    const topic = broker.name()
    const subscriber = await broker.client()
    for (const filter of [`${topic}/a`, `${topic}/b`, `${topic}/c`]) await subscriber.subscribe(filter, 1)
    await subscriber.unsubscribe(`${topic}/a`, `${topic}/+`, `${topic}/c`)
    const publisher = await broker.client()
    for (const level of ['a', 'c', 'b']) await publisher.publish(`${topic}/${level}`, level, { qos: 1 })
    assert.equal((await subscriber.receiveUntil('b')).length, 1)
    assert.deepEqual(await subscriber.drain(), [])
  })

  test('MQTT-3.10.4-3 what was sent before UNSUBSCRIBE is completed after it', async () => {
    const topic = broker.name()
    const subscriber = await broker.client()
    await subscriber.subscribe(topic, 2)
    const publisher = await broker.client()
    await publisher.publish(topic, 'x', { qos: 2 })
    const message = await subscriber.take('publish')
    await subscriber.unsubscribe(topic)
    await subscriber.acknowledge(message)
    assert.deepEqual(await subscriber.drain(), [])
  })

  test('MQTT-4.7.2-1 a leading wildcard does not match a topic that begins with $', async () => {
    const topic = broker.name()
    const subscriber = await broker.client()
    await subscriber.subscribe([
      { filter: `+/${topic}`, options: 1 },
      { filter: `$mine/#`, options: 0 },
    ])
    const publisher = await broker.client()
    await publisher.publish(`$mine/${topic}`, 'for $mine only', { qos: 1 })
    await publisher.publish(`mine/${topic}`, 'for + only', { qos: 1 })
    const messages = [await subscriber.receive(), await subscriber.receive()]
    assert.deepEqual(messages.map(({ payload, qos }) => [payload, qos]).sort(), [
      ['for $mine only', 0],
      ['for + only', 1],
    ])
    assert.deepEqual(await subscriber.drain(), [])
  })

  test('MQTT-1.5.3-3 a zero width no-break space is part of the topic', async () => {
    const topic = broker.name()
    const subscriber = await broker.client()
    await subscriber.subscribe(`\ufeff${topic}`, 1)
    const publisher = await broker.client()
    await publisher.publish(topic, 'without', { qos: 1 })
    await publisher.publish(`\ufeff${topic}`, 'with', { qos: 1 })
    const message = await subscriber.receive()
    assert.deepEqual([message.topic, message.payload], [`\ufeff${topic}`, 'with'])
  })
})

suite('will', () => {
  test('MQTT-3.1.2-8 MQTT-3.1.2-16 a client whose socket is lost is followed by its will', async () => {
    const topic = broker.name()
    const watcher = await broker.client()
    await watcher.subscribe(topic, 2)
    for (const qos of QOS) {
      const client = await broker.client({ will: { topic, payload: `at QoS ${qos}`, qos } })
      client.destroy()
      const message = await watcher.receive()
      assert.deepEqual([message.payload, message.qos, message.retain], [`at QoS ${qos}`, qos, false])
    }
    const late = await broker.client()
    await late.subscribe(topic, 1)
    assert.deepEqual(await late.drain(), [])
  })

  test('MQTT-3.1.2-17 a will with will retain is retained', async () => {
    const topic = broker.name()
    const watcher = await broker.client()
    await watcher.subscribe(topic, 1)
    const client = await broker.client({ will: { topic, payload: 'kept', qos: 1, retain: true } })
    client.destroy()
    await watcher.receive()
    const late = await broker.client()
    await late.subscribe(topic, 1)
    assert.equal((await late.receive()).retain, true)
  })

  test('MQTT-3.1.2-10 MQTT-3.14.4-3 a client that says goodbye has no will', async () => {
    const topic = broker.name()
    const watcher = await broker.client()
    await watcher.subscribe(topic, 1)
    const client = await broker.client({ will: { topic, payload: 'will', qos: 1 } })
    await client.disconnect()
    await watcher.publish(topic, 'end', { qos: 1 })
    assert.equal((await watcher.receiveUntil('end')).length, 1)
  })

  test('MQTT-3.1.2-8 MQTT-3.1.4-2 a client that is taken over is followed by its will', async () => {
    const topic = broker.name()
    const watcher = await broker.client()
    await watcher.subscribe(topic, 1)
    for (const cleanStart of [true, false]) {
      const { client, clientId } = await broker.connect({ cleanStart, will: { topic, payload: 'will', qos: 1 } })
      await broker.connect({ clientId, cleanStart })
      assert.deepEqual(await client.untilClosed(), [])
      assert.equal((await watcher.receive()).payload, 'will')
    }
  })
})
