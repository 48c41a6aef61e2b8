// SPDX-License-Identifier: Apache-2.0
// What both sides owe each other in every exchange: packet ids, DUP, refusals, the order of fields, the last packet (MQTT 5 sections 2.2, 3.1, 3.14, 4.3).
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { Broker } from '../harness/broker.ts'
import { propertyOf } from '../harness/decode.ts'
import { encodeAck, encodeConnect, encodePublish, encodeSubscribe, frame, PINGREQ, section, text, uint16 } from '../harness/wire.ts'

const broker = new Broker(
  5,
  [],
  `
[[security.acl]]
permission = "deny"
action = "publish"
topics = ["closed/#"]
[[security.acl]]
permission = "allow"
action = "all"
topics = ["#"]
`,
)

/** A CONNECT with everything, whose fields stand as given. */
const connectOf = (flags: number, ...payload: readonly Buffer[]): Buffer =>
  frame(0x10, text('MQTT'), Buffer.of(5, flags), uint16(0), section([]), ...payload)

suite('CONNECT', () => {
  test('MQTT-3.1.3-1 MQTT-3.1.3-3 client id, will properties, will topic, will payload, user name and password stand in this order', async () => {
    const [topic, clientId] = [broker.name(), broker.name('client')]
    const watcher = await broker.client()
    await watcher.subscribe(topic, 0)
    const client = await broker.open()
    const will = [section([['contentType', 'last words']]), text(topic), text('the will')]
    client.send(connectOf(0xc6, text(clientId), ...will, text('user'), text('password')))
    assert.equal((await client.next('connack')).reasonCode, 0)
    const taking = await broker.connect({ clientId })
    const message = await watcher.receive()
    assert.deepEqual([message.payload, propertyOf(message, 'contentType')], ['the will', 'last words'])
    assert.equal(await client.closeReason(), 0x8e, 'the first field is the client id')
    taking.client.destroy()
  })

  test('MQTT-3.1.3-3 a CONNECT without a client id is malformed', async () => {
    const client = await broker.open()
    client.send(connectOf(0x02))
    assert.equal(await client.closeReason(), 0x81)
  })

  test('MQTT-3.1.2-18 a password without its flag is malformed', async () => {
    assert.equal(await broker.refusal({ userName: 'user', password: 'password', flags: 0x82 }), 0x81)
  })

  test('MQTT-3.1.2-6 MQTT-3.1.4-4 without clean start and without a session a new one begins, which is kept', async () => {
    const first = await broker.persistent()
    assert.equal(first.connack.sessionPresent, false)
    await first.client.subscribe(first.clientId, 1)
    await first.client.disconnect()
    const second = await broker.persistent({ clientId: first.clientId })
    assert.equal(second.connack.sessionPresent, true)
    assert.deepEqual(await second.client.unsubscribe(first.clientId), [0])
  })

  test('MQTT-3.2.2-6 MQTT-3.2.2-7 a refusal of a client that has a session does not tell of it, and is the last packet', async () => {
    const { client, clientId } = await broker.persistent()
    await client.disconnect()
    const refused = await broker.open()
    refused.send(encodeConnect({ clientId, cleanStart: false, properties: [['authenticationMethod', 'none']] }), PINGREQ)
    assert.deepEqual(
      (await refused.untilClosed()).map((packet) => (packet.type === 'connack' ? [packet.reasonCode, packet.sessionPresent] : packet)),
      [[0x8c, false]],
    )
    assert.equal((await broker.persistent({ clientId })).connack.sessionPresent, true)
  })

  test('MQTT-3.1.2-27 a client that gives no Topic Alias Maximum, or 0, gets no aliases', async () => {
    const topic = broker.name()
    for (const properties of [[], [['topicAliasMaximum', 0] as const]]) {
      const client = await broker.client({ properties })
      await client.subscribe(topic, 0)
      for (let count = 0; count < 5; count++) {
        await client.publish(topic, 'x', { properties: [['topicAlias', 1]] })
        const message = await client.receive()
        assert.deepEqual([message.topic, message.properties], [topic, []])
      }
      client.destroy()
    }
  })
})

suite('messages', () => {
  test('MQTT-2.2.1-2 MQTT-2.2.2-1 a message at QoS 0 is a topic, a property length of zero and the payload, in both directions', async () => {
    const topic = broker.name()
    const client = await broker.client()
    await client.subscribe(topic, 2)
    client.send(frame(0x30, text(topic), Buffer.of(0), Buffer.from('hello')))
    const message = { type: 'publish', topic, payload: 'hello', qos: 0, dup: false, retain: false, packetId: 0, properties: [] }
    assert.deepEqual(await client.next('publish'), message)
  })

  test('MQTT-3.3.4-1 MQTT-2.2.1-5 a message is answered by its QoS: not at all, with PUBACK, with PUBREC, each with its packet id', async () => {
    const topic = broker.name()
    const client = await broker.client()
    client.send(
      encodePublish(5, { topic }),
      encodePublish(5, { topic, qos: 1, packetId: 21 }),
      encodePublish(5, { topic, qos: 2, packetId: 22 }),
    )
    assert.equal((await client.next('puback')).packetId, 21)
    assert.equal((await client.next('pubrec')).packetId, 22)
    assert.equal(await client.release(22), 0)
    assert.deepEqual(await client.drain(), [])
  })

  test('MQTT-4.3.2-1 MQTT-4.3.2-2 MQTT-4.3.3-1 MQTT-4.3.3-2 a new message has a packet id that is not in use, and DUP clear', async () => {
    const topic = broker.name()
    const subscriber = await broker.client()
    await subscriber.subscribe(topic, 2)
    const publisher = await broker.client()
    const inUse = new Map<number, string>()
    for (let round = 0; round < 60; round++) {
      const qos = round % 2 === 0 ? 1 : 2
      await publisher.publish(topic, `${round}`, { qos, dup: round % 3 === 0 })
      const message = await subscriber.take('publish')
      assert.deepEqual([message.payload, message.qos, message.dup], [`${round}`, qos, false])
      assert.ok(!inUse.has(message.packetId), `packet id ${message.packetId} is that of message ${inUse.get(message.packetId)}`)
      if (round % 3 > 0) {
        await subscriber.acknowledge(message)
        continue
      }
      // Every third one stays under way, at QoS 2 in its second half.
      inUse.set(message.packetId, message.payload)
      if (qos === 1) continue
      subscriber.send(encodeAck('pubrec', message.packetId))
      await subscriber.next('pubrel')
    }
  })

  test('MQTT-4.3.3-7 a QoS 2 message that was sent does not expire', async () => {
    const topic = broker.name()
    const { client, clientId } = await broker.persistent()
    await client.subscribe(topic, 2)
    const publisher = await broker.client()
    await publisher.publish(topic, 'sent', { qos: 2, properties: [['messageExpiry', 1]] })
    const { packetId } = await client.next('publish')
    client.destroy()
    await publisher.publish(topic, 'never sent', { qos: 2, properties: [['messageExpiry', 1]] })
    await broker.secondsPass(3)
    await publisher.publish(topic, 'end', { qos: 2 })
    const again = await broker.persistent({ clientId })
    const [first, ...others] = await again.client.receiveUntil('end')
    assert.deepEqual([first?.payload, first?.packetId, first?.dup], ['sent', packetId, true])
    assert.equal(others.length, 1)
  })

  test('MQTT-4.3.3-13 the exchange of a QoS 2 message goes on after its life', async () => {
    const topic = broker.name()
    const client = await broker.client()
    client.send(encodePublish(5, { topic, qos: 2, packetId: 4, properties: [['messageExpiry', 1]] }))
    await client.next('pubrec')
    await broker.secondsPass(2)
    assert.equal(await client.release(4), 0)
  })

  test('MQTT-4.3.3-9 after a PUBREC that refuses, the packet id names a new message', async () => {
    const topic = broker.name()
    const watcher = await broker.client()
    await watcher.subscribe(topic, 2)
    const client = await broker.client()
    client.send(encodePublish(5, { topic: `closed/${topic}`, payload: 'refused', qos: 2, packetId: 5 }))
    assert.equal((await client.next('pubrec')).reasonCode, 0x87)
    assert.equal(await client.publish(topic, 'taken', { qos: 2, packetId: 5 }), 0)
    assert.equal((await watcher.receive()).payload, 'taken')
  })

  test('MQTT-3.3.4-5 of several copies each brings the identifier of its own subscription, if that has one', async () => {
    const topic = broker.name()
    const client = await broker.client()
    await client.subscribe(topic, 1, [['subscriptionIdentifier', 7]])
    await client.subscribe(`$share/with/${topic}`, 1, [['subscriptionIdentifier', 8]])
    await client.subscribe(`$share/without/${topic}`, 1)
    await client.publish(topic, 'x', { qos: 1 })
    const identifiers: unknown[] = []
    for (let count = 0; count < 3; count++)
      identifiers.push((await client.receive()).properties.map(([name, value]) => `${name} ${value}`).join())
    assert.deepEqual(identifiers.sort(), ['', 'subscriptionIdentifier 7', 'subscriptionIdentifier 8'])
    assert.deepEqual(await client.drain(), [])
  })
})

suite('answers', () => {
  test('MQTT-3.9.2-1 MQTT-3.9.2-2 SUBACK gives its reason where the client has room for it, and only there', async () => {
    const refused = encodeSubscribe(5, 1, [{ filter: broker.name(), options: 1 }], [['userProperty', ['replay-from', 'yesterday']]])
    const told = await broker.client()
    told.send(refused)
    const suback = await told.next('suback')
    assert.deepEqual(suback.reasonCodes, [0x83])
    assert.equal(typeof propertyOf(suback, 'reasonString'), 'string')
    // Fixed header, packet id, property length and identifier, the text with its length, the code.
    const size = 2 + 2 + 2 + 2 + String(propertyOf(suback, 'reasonString')).length + 1
    const roomy = await broker.client({ properties: [['maximumPacketSize', size]] })
    roomy.send(refused)
    assert.deepEqual(await roomy.next('suback'), suback)
    const tight = await broker.client({ properties: [['maximumPacketSize', size - 1]] })
    tight.send(refused)
    const without = await tight.next('suback')
    assert.deepEqual([without.reasonCodes, without.properties], [[0x83], []])
  })

  test('MQTT-3.14.4-1 MQTT-4.13.2-1 DISCONNECT is the last packet, also where messages wait to be sent', async () => {
    const topic = broker.name()
    const { client, clientId } = await broker.persistent({ properties: [['receiveMaximum', 3]] })
    await client.subscribe(topic, 1)
    const publisher = await broker.client()
    for (let count = 0; count < 30; count++) publisher.send(encodePublish(5, { topic, payload: 'x', qos: count % 2, packetId: count + 1 }))
    const taking = broker.persistent({ clientId })
    const packets = await client.untilClosed()
    const farewell = packets.at(-1)
    assert.deepEqual([farewell?.type === 'disconnect' && farewell.reasonCode], [0x8e])
    assert.ok(packets.slice(0, -1).every(({ type }) => type === 'publish'))
    await taking
  })
})
