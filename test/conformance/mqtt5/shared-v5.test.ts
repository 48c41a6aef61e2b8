// SPDX-License-Identifier: Apache-2.0
// Shared subscriptions: who gets a message, and who gets it when that client goes (MQTT 5 section 4.8.2).
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { Broker } from '../harness/broker.ts'
import type { Client } from '../harness/client.ts'
import { type Packet, type Publish, propertyOf } from '../harness/decode.ts'
import { encodeAck, OPTION, type Properties } from '../harness/wire.ts'

const broker = new Broker(5, ['mqtt.shared_redelivery_after=never'])
const impatient = new Broker(5, ['mqtt.shared_redelivery_after=0s'])
const sticky = new Broker(5, ['mqtt.shared_redelivery_after=1s', 'mqtt.shared_policy=sticky'])
const without = new Broker(5, ['mqtt.shared_available=false'])

const LASTING: Properties = [['sessionExpiry', 600]]

const payloads = (packets: readonly Packet[]): readonly string[] =>
  packets.filter((packet): packet is Publish => packet.type === 'publish').map(({ payload }) => payload)

/** A client with a seat in a group. */
async function member(name: string, options: number, from: Broker = broker, properties: Properties = []): Promise<Client> {
  const client = await from.client({ properties })
  assert.deepEqual(await client.subscribe(name, options), [options & 3])
  return client
}

async function publishAll(publisher: Client, topic: string, count: number, qos = 1): Promise<readonly string[]> {
  const sent = Array.from({ length: count }, (_, at) => `m${at}`)
  for (const payload of sent) await publisher.publish(topic, payload, { qos })
  return sent
}

suite('names', { concurrency: true }, () => {
  test('MQTT-4.8.2-1 MQTT-4.8.2-2 a name without a group, without a filter, or with a wildcard for a group is refused', async () => {
    const client = await broker.client()
    for (const name of ['$share/x', '$share/', '$share//t', '$share/g/', '$share/+/t', '$share/g/$share/h/t']) {
      assert.deepEqual(await client.subscribe(name, 1), [0x8f], name)
      assert.deepEqual(await client.unsubscribe(name), [0x11], name)
    }
  })

  test('MQTT-4.8.2-2 a refused name leaves the other filters of its packet alone', async () => {
    const client = await broker.client()
    const [a, b] = [broker.name(), broker.name()]
    const codes = await client.subscribe([
      { filter: a, options: 1 },
      { filter: '$share//t', options: 1 },
      { filter: `$share/g/${b}`, options: 2 },
    ])
    assert.deepEqual(codes, [1, 0x8f, 2])
  })

  test('3.2.2.3.13 CONNACK does not deny shared subscriptions', async () => {
    const { connack } = await broker.connect()
    assert.equal(propertyOf(connack, 'sharedAvailable'), undefined)
  })

  test('MQTT-3.8.3-4 no local on a shared subscription is a protocol error', async () => {
    const client = await broker.client()
    await assert.rejects(client.subscribe('$share/g/t', 1 | OPTION.noLocal))
  })

  test('3.2.2.3.13 where they are not available, CONNACK says so and a subscription is refused', async () => {
    const { client, connack } = await without.connect()
    assert.equal(propertyOf(connack, 'sharedAvailable'), 0)
    assert.deepEqual(await client.subscribe('$share/g/t', 1), [0x9e])
  })
})

suite('who gets a message', { concurrency: true }, () => {
  for (const qos of [0, 1, 2]) {
    test(`4.8.2 each message of QoS ${qos} goes to one member, in turn`, async () => {
      const topic = broker.name()
      const members = [
        await member(`$share/g/${topic}`, qos),
        await member(`$share/g/${topic}`, qos),
        await member(`$share/g/${topic}`, qos),
      ]
      const publisher = await broker.client()
      const sent = await publishAll(publisher, topic, 9, qos)
      const got: string[][] = []
      for (const client of members) {
        const mine: string[] = []
        for (let count = 0; count < 3; count++) mine.push((await client.receive()).payload)
        assert.deepEqual(payloads(await client.drain()), [])
        got.push(mine)
      }
      assert.deepEqual(got.flat().toSorted(), sent)
      assert.deepEqual(got[0], [sent[0], sent[3], sent[6]])
    })
  }

  test('4.8.2 groups are apart from each other and from subscriptions that are not shared', async () => {
    const topic = broker.name()
    const a = await member(`$share/a/${topic}`, 1)
    const b = await member(`$share/b/${topic}`, 1)
    const both = await member(`$share/b/${topic}/#`, 1)
    const plain = await member(topic, 1)
    await (await broker.client()).publish(topic, 'once', { qos: 1 })
    for (const client of [a, b, both, plain]) {
      assert.equal((await client.receive()).payload, 'once')
      assert.deepEqual(payloads(await client.drain()), [])
    }
  })

  test('4.8.2 a client with both kinds of subscription gets a copy for each', async () => {
    const topic = broker.name()
    const client = await broker.client()
    await client.subscribe(topic, 1)
    await client.subscribe(`$share/g/${topic}`, 1)
    await client.publish(topic, 'twice', { qos: 1 })
    assert.equal((await client.receive()).payload, 'twice')
    assert.equal((await client.receive()).payload, 'twice')
    assert.deepEqual(payloads(await client.drain()), [])
  })

  test('MQTT-4.8.2-3 a member gets messages at most at the QoS that was granted to it', async () => {
    const topic = broker.name()
    const low = await member(`$share/g/${topic}`, 0)
    const high = await member(`$share/g/${topic}`, 2)
    await publishAll(await broker.client(), topic, 2, 1)
    assert.equal((await low.receive()).qos, 0)
    assert.equal((await high.receive()).qos, 1)
  })

  test('4.8.2 retained messages are not sent for a shared subscription, and later ones keep RETAIN only if asked to', async () => {
    const topic = broker.name()
    const publisher = await broker.client()
    await publisher.publish(topic, 'old', { qos: 1, retain: true })
    const client = await member(`$share/g/${topic}`, 1)
    assert.deepEqual(payloads(await client.drain()), [])
    await publisher.publish(topic, 'new', { qos: 1, retain: true })
    assert.equal((await client.receive()).retain, false)
    await client.subscribe(`$share/g/${topic}`, 1 | OPTION.retainAsPublished)
    await publisher.publish(topic, 'newer', { qos: 1, retain: true })
    const { payload, retain } = await client.receive()
    assert.deepEqual([payload, retain], ['newer', true])
  })

  test('MQTT-3.3.4-3 the subscription identifier is that of the member', async () => {
    const topic = broker.name()
    const client = await broker.client()
    await client.subscribe([{ filter: `$share/g/${topic}`, options: 1 }], 0, [['subscriptionIdentifier', 77]])
    await (await broker.client()).publish(topic, 'x', { qos: 1 })
    assert.equal(propertyOf(await client.receive(), 'subscriptionIdentifier'), 77)
  })

  test('4.8.2 wildcards match as in any subscription, $ topics left out', async () => {
    const root = broker.name()
    const client = await member(`$share/g/${root}/+/c`, 1)
    const publisher = await broker.client()
    await publisher.publish(`${root}/b/x`, 'no', { qos: 1 })
    await publisher.publish(`${root}/b/c`, 'yes', { qos: 1 })
    assert.deepEqual(
      (await client.receiveUntil('yes')).map(({ payload }) => payload),
      ['yes'],
    )
  })

  test('4.8.2 a member whose window is full is passed over', async () => {
    const topic = broker.name()
    const name = `$share/g/${topic}`
    const full = await member(name, 1, broker, [['receiveMaximum', 1]])
    const free = await member(name, 1)
    const sent = await publishAll(await broker.client(), topic, 6)
    const first = await full.take('publish')
    const got: string[] = []
    for (let count = 0; count < 5; count++) got.push((await free.receive()).payload)
    assert.deepEqual([first.payload, ...got].toSorted(), sent)
  })

  test('4.8.2 when no member has room, messages wait in the log and are delivered in order', async () => {
    const topic = broker.name()
    const client = await member(`$share/g/${topic}`, 1, broker, [['receiveMaximum', 2]])
    const sent = await publishAll(await broker.client(), topic, 20)
    const got: string[] = []
    for (let count = 0; count < sent.length; count++) got.push((await client.receive()).payload)
    assert.deepEqual(got, sent)
  })
})

suite('settings', { concurrency: true }, () => {
  test('mqtt.shared_policy decides who is asked first', async () => {
    const topic = sticky.name()
    const members = [await member(`$share/g/${topic}`, 1, sticky), await member(`$share/g/${topic}`, 1, sticky)] as const
    const sent = await publishAll(await sticky.client(), topic, 4)
    for (const payload of sent) assert.equal((await members[0].receive()).payload, payload)
    assert.deepEqual(payloads(await members[1].drain()), [])
    members[0].destroy()
    await publishAll(await sticky.client(), topic, 2)
    for (const payload of ['m0', 'm1']) assert.equal((await members[1].receive()).payload, payload)
  })

  test('mqtt.shared_redelivery_after: QoS 1 messages wait that long for their client, then go to others', async () => {
    const topic = sticky.name()
    const name = `$share/g/${topic}`
    const { client, clientId } = await sticky.connect({ properties: LASTING })
    await client.subscribe(name, 1)
    const other = await member(name, 1, sticky)
    await (await sticky.client()).publish(topic, 'waits', { qos: 1 })
    await client.take('publish')
    client.destroy()
    const back = await sticky.connect({ clientId, cleanStart: false, properties: LASTING })
    assert.equal((await back.client.take('publish')).dup, true)
    assert.deepEqual(payloads(await other.drain()), [])
    back.client.destroy()
    assert.equal((await other.receive()).payload, 'waits')
    const late = await sticky.connect({ clientId, cleanStart: false, properties: LASTING })
    assert.deepEqual(payloads(await late.client.drain()), [])
  })
})

suite('who gets it when a member goes', { concurrency: true }, () => {
  test('4.8.2 QoS 1 messages of a session that ends go to another member, in order and before anything new', async () => {
    const topic = broker.name()
    const name = `$share/g/${topic}`
    const going = await member(name, 1)
    const publisher = await broker.client()
    const sent = await publishAll(publisher, topic, 5)
    for (const _ of sent) await going.take('publish')
    const staying = await member(name, 1, broker, [['receiveMaximum', 1]])
    going.destroy()
    const got = [await staying.receive()]
    await publisher.publish(topic, 'new', { qos: 1 })
    while (got.at(-1)?.payload !== 'new') got.push(await staying.receive())
    assert.deepEqual(
      got.map(({ payload }) => payload),
      [...sent, 'new'],
    )
    assert.ok(
      got.every(({ dup }) => !dup),
      'they are new to this client',
    )
  })

  test('4.8.2 QoS 1 messages of a session that goes on wait for its client', async () => {
    const topic = broker.name()
    const name = `$share/g/${topic}`
    const { client, clientId } = await broker.connect({ properties: LASTING })
    await client.subscribe(name, 1)
    const other = await member(name, 1)
    await (await broker.client()).publish(topic, 'mine', { qos: 1 })
    const { packetId } = await client.take('publish')
    client.destroy()
    const again = await broker.connect({ clientId, cleanStart: false, properties: LASTING })
    const repeated = await again.client.receive()
    assert.deepEqual([repeated.payload, repeated.packetId, repeated.dup], ['mine', packetId, true])
    assert.deepEqual(payloads(await other.drain()), [])
  })

  test('4.8.2 they go to another when that client asks for a clean start instead', async () => {
    const topic = broker.name()
    const name = `$share/g/${topic}`
    const { client, clientId } = await broker.connect({ properties: LASTING })
    await client.subscribe(name, 1)
    await (await broker.client()).publish(topic, 'free', { qos: 1 })
    await client.take('publish')
    const other = await member(name, 1)
    client.destroy()
    await broker.connect({ clientId, cleanStart: true })
    assert.equal((await other.receive()).payload, 'free')
  })

  test('4.8.2 they go to another at once when there is to be no waiting', async () => {
    const topic = impatient.name()
    const name = `$share/g/${topic}`
    const { client, clientId } = await impatient.connect({ properties: LASTING })
    await client.subscribe(name, 1)
    await (await impatient.client()).publish(topic, 'moves', { qos: 1 })
    await client.take('publish')
    const other = await member(name, 1, impatient)
    client.destroy()
    assert.equal((await other.receive()).payload, 'moves')
    const again = await impatient.connect({ clientId, cleanStart: false, properties: LASTING })
    assert.deepEqual(payloads(await again.client.drain()), [])
  })

  test('MQTT-4.8.2-4 a QoS 2 message under way is completed to its client, whatever becomes of the connection', async () => {
    const topic = impatient.name()
    const name = `$share/g/${topic}`
    const { client, clientId } = await impatient.connect({ properties: LASTING })
    await client.subscribe(name, 2)
    const publisher = await impatient.client()
    await publishAll(publisher, topic, 2, 2)
    const [first, second] = [await client.take('publish'), await client.take('publish')]
    client.send(encodeAck('pubrec', first.packetId))
    await client.take('pubrel')
    const other = await member(name, 2, impatient)
    client.destroy()
    await publisher.publish(topic, 'other', { qos: 2 })
    assert.equal((await other.receive()).payload, 'other')
    const again = await impatient.connect({ clientId, cleanStart: false, properties: LASTING })
    assert.equal((await again.client.next('pubrel')).packetId, first.packetId)
    const repeated = await again.client.next('publish')
    assert.deepEqual([repeated.payload, repeated.packetId, repeated.dup], ['m1', second.packetId, true])
    again.client.send(encodeAck('pubcomp', first.packetId))
    await again.client.acknowledge(repeated)
    assert.deepEqual(payloads(await other.drain()), [])
  })

  for (const expiry of [0, 600]) {
    test(`MQTT-4.8.2-5 a QoS 2 message under way is given to nobody else when its session ends (expiry ${expiry})`, async () => {
      const topic = impatient.name()
      const name = `$share/g/${topic}`
      const { client, clientId } = await impatient.connect({ properties: [['sessionExpiry', expiry]] })
      await client.subscribe(name, 2)
      const publisher = await impatient.client()
      await publisher.publish(topic, 'lost', { qos: 2 })
      await client.take('publish')
      const other = await member(name, 2, impatient)
      client.destroy()
      await impatient.connect({ clientId, cleanStart: true })
      await publisher.publish(topic, 'next', { qos: 2 })
      assert.equal((await other.receive()).payload, 'next')
      assert.deepEqual(payloads(await other.drain()), [])
    })
  }

  test('MQTT-4.8.2-6 a message that a member refuses is discarded, not given to another', async () => {
    const topic = broker.name()
    const name = `$share/g/${topic}`
    const refusing = await member(name, 2)
    const publisher = await broker.client()
    await publisher.publish(topic, 'bad', { qos: 1 })
    await publisher.publish(topic, 'worse', { qos: 2 })
    refusing.send(encodeAck('puback', (await refusing.take('publish')).packetId, 0x99))
    refusing.send(encodeAck('pubrec', (await refusing.take('publish')).packetId, 0x83))
    await refusing.drain()
    const other = await member(name, 2)
    refusing.destroy()
    await publisher.publish(topic, 'good', { qos: 1 })
    assert.equal((await other.receive()).payload, 'good')
  })

  test('MQTT-3.10.4-3 what was sent before UNSUBSCRIBE is completed with its client; new messages go to others', async () => {
    const topic = broker.name()
    const name = `$share/g/${topic}`
    const leaving = await member(name, 1)
    const publisher = await broker.client()
    await publisher.publish(topic, 'mine', { qos: 1 })
    const { packetId } = await leaving.take('publish')
    const other = await member(name, 1)
    assert.deepEqual(await leaving.unsubscribe(name), [0])
    assert.deepEqual(await leaving.unsubscribe(name), [0x11])
    await publisher.publish(topic, 'yours', { qos: 1 })
    assert.equal((await other.receive()).payload, 'yours')
    leaving.send(encodeAck('puback', packetId))
    await leaving.disconnect()
    assert.deepEqual(payloads(await other.drain()), [])
  })

  test('4.8.2 what is published while every member with a session is away waits for one to return', async () => {
    const topic = broker.name()
    const name = `$share/g/${topic}`
    const { client, clientId } = await broker.connect({ properties: LASTING })
    await client.subscribe(name, 1)
    await client.disconnect()
    const sent = await publishAll(await broker.client(), topic, 10)
    const again = await broker.connect({ clientId, cleanStart: false, properties: LASTING })
    assert.equal(again.connack.sessionPresent, true)
    const got: string[] = []
    for (const _ of sent) got.push((await again.client.receive()).payload)
    assert.deepEqual(got, sent)
    assert.deepEqual(await again.client.unsubscribe(name), [0])
  })

  test('4.8.2 a group of sessions that do not last ends with its last member', async () => {
    const topic = broker.name()
    const name = `$share/g/${topic}`
    await (await member(name, 1)).disconnect()
    const publisher = await broker.client()
    await publisher.publish(topic, 'missed', { qos: 1 })
    const later = await member(name, 1)
    await publisher.publish(topic, 'seen', { qos: 1 })
    assert.equal((await later.receive()).payload, 'seen')
  })
})
