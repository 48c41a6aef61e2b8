// SPDX-License-Identifier: Apache-2.0
// What both sides owe each other in MQTT 3.1.1: packet ids, DUP, who is who, matching, refused messages. Clause ids are those of the 3.1.1 specification.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { Broker } from '../harness/broker.ts'
import { encodeAck, encodePublish, frame, text, uint16 } from '../harness/wire.ts'

const ACL = `
[[security.acl]]
permission = "deny"
action = "publish"
topics = ["closed/#"]
[[security.acl]]
permission = "allow"
action = "all"
topics = ["#"]
`
const broker = new Broker(4, ['mqtt.client_id_bytes_max=40'], ACL)

const connectOf = (flags: number, ...payload: readonly Buffer[]): Buffer =>
  frame(0x10, text('MQTT'), Buffer.of(4, flags), uint16(0), ...payload)

suite('CONNECT', () => {
  test('MQTT-3.1.3-1 MQTT-3.1.3-3 MQTT-3.1.4-4 client id, will topic, will message, user name and password stand in this order', async () => {
    const [topic, clientId] = [broker.name(), broker.name('client')]
    const watcher = await broker.client()
    await watcher.subscribe(topic, 0)
    const client = await broker.open()
    client.send(connectOf(0xc6, text(clientId), text(topic), text('the will'), text('user'), text('password')))
    assert.deepEqual(await client.next('connack'), { type: 'connack', sessionPresent: false, reasonCode: 0, properties: [] })
    await broker.client({ clientId })
    assert.deepEqual(await client.untilClosed(), [], 'the first field is the client id')
    assert.equal((await watcher.receive()).payload, 'the will')
  })

  test('MQTT-3.1.3-3 a CONNECT without a client id ends the connection without CONNACK', async () => {
    const client = await broker.open()
    client.send(connectOf(0x02))
    assert.deepEqual(await client.untilClosed(), [])
  })

  test('MQTT-3.1.3-9 a client id that is too long is refused with return code 2', async () => {
    assert.equal(await broker.refusal({ clientId: 'x'.repeat(41) }), 2)
  })

  test('MQTT-3.1.2-12 a client without a will leaves without one, though its last connection had one', async () => {
    const topic = broker.name()
    const watcher = await broker.client()
    await watcher.subscribe(topic, 1)
    const { client, clientId } = await broker.persistent({ will: { topic, payload: 'the will', qos: 1 } })
    await client.disconnect()
    const again = await broker.persistent({ clientId })
    again.client.destroy()
    await broker.secondsPass(1)
    await watcher.publish(topic, 'end', { qos: 1 })
    assert.equal((await watcher.receiveUntil('end')).length, 1)
  })

  test('MQTT-3.1.3-2 each client id has the subscriptions and messages of its own', async () => {
    const topic = broker.name()
    const [a, b] = [await broker.persistent(), await broker.persistent()]
    await a.client.subscribe(`${topic}/a`, 1)
    await b.client.subscribe(`${topic}/b`, 1)
    for (const { client } of [a, b]) await client.disconnect()
    const publisher = await broker.client()
    for (const level of ['a', 'b']) await publisher.publish(`${topic}/${level}`, level, { qos: 1 })
    for (const [{ clientId }, level] of [[b, 'b'] as const, [a, 'a'] as const]) {
      const { client } = await broker.persistent({ clientId })
      assert.equal((await client.receive()).payload, level)
      assert.deepEqual(await client.drain(), [])
    }
  })

  test('MQTT-4.1.0-2 a session lasts as long as its connection, clean or not', async () => {
    for (const cleanStart of [true, false]) {
      const { client, clientId } = await broker.connect({ cleanStart })
      await client.subscribe(clientId, 1)
      await broker.secondsPass(1)
      await client.publish(clientId, 'still here', { qos: 1 })
      assert.equal((await client.receive()).payload, 'still here')
    }
  })
})

suite('messages', () => {
  test('MQTT-2.3.1-5 MQTT-4.3.1-1 MQTT-3.3.1-3 a message at QoS 0 has no packet id, and DUP is clear whatever it was', async () => {
    const topic = broker.name()
    const client = await broker.client()
    await client.subscribe(topic, 0)
    client.send(frame(0x30, text(topic), Buffer.from('hello')))
    const message = { type: 'publish', topic, payload: 'hello', qos: 0, dup: false, retain: false, packetId: 0, properties: [] }
    assert.deepEqual(await client.next('publish'), message)
    await client.publish(topic, 'hello', { qos: 1, dup: true })
    assert.deepEqual(await client.next('publish'), message)
  })

  test('MQTT-2.3.1-6 MQTT-3.3.4-1 a message is answered by its QoS: not at all, with PUBACK, with PUBREC, each with its packet id', async () => {
    const topic = broker.name()
    const client = await broker.client()
    client.send(
      encodePublish(4, { topic }),
      encodePublish(4, { topic, qos: 1, packetId: 21 }),
      encodePublish(4, { topic, qos: 2, packetId: 65_535 }),
    )
    assert.equal((await client.next('puback')).packetId, 21)
    assert.equal((await client.next('pubrec')).packetId, 65_535)
    await client.release(65_535)
    assert.deepEqual(await client.drain(), [])
  })

  test('MQTT-2.3.1-4 MQTT-4.3.2-1 MQTT-4.3.3-1 MQTT-3.3.1-3 a new message has a packet id that is not in use, and DUP clear', async () => {
    const topic = broker.name()
    const subscriber = await broker.client()
    await subscriber.subscribe(topic, 2)
    const publisher = await broker.client()
    const inUse = new Set<number>()
    for (let round = 0; round < 60; round++) {
      const qos = round % 2 === 0 ? 1 : 2
      await publisher.publish(topic, `${round}`, { qos, dup: round % 3 === 0 })
      const message = await subscriber.take('publish')
      assert.deepEqual([message.payload, message.qos, message.dup], [`${round}`, qos, false])
      assert.ok(!inUse.has(message.packetId), `packet id ${message.packetId} is in use`)
      if (round % 3 > 0) {
        await subscriber.acknowledge(message)
        continue
      }
      // Every third one stays under way, at QoS 2 in its second half.
      inUse.add(message.packetId)
      if (qos === 1) continue
      subscriber.send(encodeAck('pubrec', message.packetId))
      await subscriber.next('pubrel')
    }
  })

  test('MQTT-3.3.5-2 a message that may not be published is answered as if it had been, and delivered to nobody', async () => {
    const topic = broker.name()
    const watcher = await broker.client()
    await watcher.subscribe('closed/#', 1)
    await watcher.subscribe(topic, 1)
    const client = await broker.client()
    for (const qos of [0, 1, 2] as const) assert.equal(await client.publish(`closed/${topic}`, 'refused', { qos }), 0)
    await client.publish(topic, 'end', { qos: 1 })
    assert.equal((await watcher.receiveUntil('end')).length, 1)
  })

  test('MQTT-3.3.2-3 MQTT-3.8.3-2 wildcards are supported: a message comes for each filter that matches, under its own name', async () => {
    const topic = broker.name()
    const subscriber = await broker.client()
    const filters = [`${topic}/#`, `+/b/+`].map((filter) => ({ filter, options: 1 }))
    assert.deepEqual(await subscriber.subscribe(filters), [1, 1])
    const publisher = await broker.client()
    const matching = [topic, `${topic}/`, `${topic}/a/b`, `other/b/${topic}`]
    for (const name of [`${topic}a`, ...matching, `other/c/${topic}`]) await publisher.publish(name, name, { qos: 1 })
    const came: string[] = []
    for (let count = 0; count < matching.length; count++) {
      const message = await subscriber.receive()
      assert.equal(message.topic, message.payload)
      came.push(message.topic)
    }
    assert.deepEqual(came.sort(), matching.sort())
    assert.deepEqual(await subscriber.drain(), [])
  })

  test('MQTT-4.7.3-4 topic names are matched as they are: case, slashes, spaces and composition count', async () => {
    const topic = broker.name('Topic')
    const others = [
      `${topic}/\u00e9`.toLowerCase(),
      `${topic}/e\u0301`,
      `${topic}//\u00e9`,
      `${topic}/\u00e9/`,
      `${topic}/\u00e9 `,
      `/${topic}/\u00e9`,
    ]
    const subscriber = await broker.client()
    await subscriber.subscribe(`${topic}/\u00e9`, 1)
    for (const name of [...others, `${topic}/\u00e9`]) await subscriber.publish(name, name, { qos: 1 })
    assert.equal((await subscriber.receive()).topic, `${topic}/\u00e9`)
    assert.deepEqual(await subscriber.drain(), [])
  })
})
