// SPDX-License-Identifier: Apache-2.0
// Sessions: how long they last, who has them, and what is sent again (MQTT 5 sections 3.1.2.11.2, 3.1.4, 3.14.2.2.2, 4.1, 4.4).
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { Broker } from '../harness/broker.ts'
import type { Client } from '../harness/client.ts'
import type { Publish } from '../harness/decode.ts'
import { encodeAck, encodePublish, PINGREQ, type Properties } from '../harness/wire.ts'

const broker = new Broker(5)

const lasting = (seconds: number): Properties => [['sessionExpiry', seconds]]
const isPresent = async (clientId: string): Promise<boolean> =>
  (await broker.connect({ clientId, cleanStart: false, properties: lasting(600) })).connack.sessionPresent
const facts = ({ payload, qos, packetId, dup }: Publish) => ({ payload, qos, packetId, dup })

suite('expiry', { concurrency: true }, () => {
  test('MQTT-4.1.0-2 a session without expiry ends with its connection', async () => {
    for (const properties of [[], lasting(0)]) {
      const { client, clientId } = await broker.connect({ cleanStart: false, properties })
      await client.disconnect()
      assert.equal(await isPresent(clientId), false)
    }
  })

  test('MQTT-3.1.2-23 a session with expiry is kept after DISCONNECT and after a lost socket', async () => {
    const { client, clientId } = await broker.connect({ properties: lasting(600) })
    await client.disconnect()
    const second = await broker.connect({ clientId, cleanStart: false, properties: lasting(600) })
    assert.equal(second.connack.sessionPresent, true)
    second.client.destroy()
    assert.equal(await isPresent(clientId), true)
  })

  test('MQTT-4.1.0-2 a session ends when its expiry has passed', async () => {
    const { client, clientId } = await broker.connect({ properties: lasting(1) })
    await client.subscribe(clientId, 1)
    await client.disconnect()
    await broker.secondsPass(2)
    const again = await broker.connect({ clientId, cleanStart: false, properties: lasting(600) })
    assert.equal(again.connack.sessionPresent, false)
    assert.deepEqual(await again.client.unsubscribe(clientId), [0x11])
  })

  test('MQTT-4.1.0-1 a session does not end while its client is connected', async () => {
    const { client, clientId } = await broker.connect({ properties: lasting(1) })
    await client.subscribe(clientId, 1)
    await broker.secondsPass(2)
    await client.publish(clientId, 'here', { qos: 1 })
    assert.equal((await client.receive()).payload, 'here')
    await client.disconnect()
    assert.equal(await isPresent(clientId), true)
  })

  test('3.1.2.11.2 an expiry of 0xFFFFFFFF is for ever', async () => {
    const { client, clientId } = await broker.connect({ properties: lasting(0xffffffff) })
    await client.disconnect()
    await broker.secondsPass(1)
    assert.equal(await isPresent(clientId), true)
  })

  test('3.1.2.11.2 each CONNECT gives the expiry anew', async () => {
    const { client, clientId } = await broker.connect({ properties: lasting(600) })
    await client.disconnect()
    const second = await broker.connect({ clientId, cleanStart: false })
    assert.equal(second.connack.sessionPresent, true)
    await second.client.disconnect()
    assert.equal(await isPresent(clientId), false)
  })

  test('3.14.2.2.2 DISCONNECT can end the session at once', async () => {
    const { client, clientId } = await broker.connect({ properties: lasting(600) })
    await client.disconnect(0, lasting(0))
    assert.equal(await isPresent(clientId), false)
  })

  test('3.14.2.2.2 DISCONNECT can shorten the life of the session', async () => {
    const { client, clientId } = await broker.connect({ properties: lasting(600) })
    await client.disconnect(0, lasting(1))
    await broker.secondsPass(2)
    assert.equal(await isPresent(clientId), false)
  })

  test('3.14.2.2.2 DISCONNECT can prolong the life of the session', async () => {
    const { client, clientId } = await broker.connect({ properties: lasting(1) })
    await client.disconnect(0, lasting(600))
    await broker.secondsPass(2)
    assert.equal(await isPresent(clientId), true)
  })
})

suite('takeover', () => {
  test('MQTT-3.1.4-3 a second connection of a client takes the session over, and the first is told with 0x8E', async () => {
    const { client, clientId } = await broker.persistent()
    const second = await broker.persistent({ clientId })
    assert.equal(second.connack.sessionPresent, true)
    assert.equal(await client.closeReason(), 0x8e)
    assert.deepEqual(await second.client.drain(), [])
  })

  test('MQTT-3.1.4-3 also with clean start, and then nothing of the session is left', async () => {
    const { client, clientId } = await broker.persistent()
    await client.subscribe(clientId, 1)
    const second = await broker.connect({ clientId })
    assert.equal(second.connack.sessionPresent, false)
    assert.equal(await client.closeReason(), 0x8e)
    assert.deepEqual(await second.client.unsubscribe(clientId), [0x11])
  })

  test('Q9 of many connections of one client at once, the last one has the session, and every other one is told', async () => {
    const clientId = broker.name('client')
    const clients: Client[] = []
    for (let count = 0; count < 8; count++) {
      const client = await broker.open()
      clients.push(client)
    }
    const connecting = clients.map((client) => client.connect({ clientId, cleanStart: false, properties: lasting(600) }))
    const connacks = await Promise.all(connecting)
    assert.equal(connacks.filter(({ reasonCode }) => reasonCode === 0).length, 8)
    assert.equal(connacks.filter(({ sessionPresent }) => !sessionPresent).length, 1, 'one of them began the session')
    const last = await broker.persistent({ clientId })
    for (const client of clients) assert.equal(await client.closeReason(), 0x8e)
    assert.deepEqual(await last.client.drain(), [])
  })

  test('Q9 messages in flight move to the new connection, but for those that were acknowledged on the old one', async () => {
    const topic = broker.name()
    const { client, clientId } = await broker.persistent()
    await client.subscribe(topic, 1)
    const publisher = await broker.client()
    for (const payload of ['1', '2', '3']) await publisher.publish(topic, payload, { qos: 1 })
    const seen: Publish[] = []
    for (let count = 0; count < 3; count++) seen.push(await client.next('publish'))
    client.send(encodeAck('puback', seen[0]?.packetId as number), PINGREQ)
    await client.next('pingresp')
    const second = await broker.persistent({ clientId })
    const repeated = [await second.client.receive(), await second.client.receive()]
    assert.deepEqual(
      repeated.map(facts),
      seen.slice(1).map((message) => ({ ...facts(message), dup: true })),
    )
    assert.deepEqual(await second.client.drain(), [])
  })
})

test('MQTT-3.3.1-1 MQTT-4.3.3-3 MQTT-4.4.0-1 MQTT-4.6.0-1 after a reconnect what is not acknowledged is sent again: DUP, the same packet ids, the same order, before what is new', async () => {
  const topic = broker.name()
  const { client, clientId } = await broker.persistent()
  await client.subscribe(`${topic}/#`, 2)
  const publisher = await broker.client()
  const sent: Publish[] = []
  for (let at = 0; at < 9; at++) {
    await publisher.publish(`${topic}/${at % 5}`, `${at}`, { qos: at % 2 === 0 ? 1 : 2 })
    sent.push(await client.next('publish'))
  }
  client.destroy()
  await publisher.publish(`${topic}/1`, 'new', { qos: 1 })
  const again = await broker.persistent({ clientId })
  const received: Publish[] = []
  for (let at = 0; at < 10; at++) received.push(await again.client.next('publish'))
  assert.deepEqual(
    received.slice(0, 9).map(facts),
    sent.map((message) => ({ ...facts(message), dup: true })),
  )
  const fresh = received[9] as Publish
  assert.deepEqual([fresh.payload, fresh.dup], ['new', false])
  assert.ok(!sent.some(({ packetId }) => packetId === fresh.packetId), 'Q6: its packet id is not one of those in flight')
})

test('MQTT-4.4.0-1 what is sent again keeps its topic, properties and RETAIN', async () => {
  const topic = broker.name()
  const publisher = await broker.client()
  const properties: Properties = [
    ['userProperty', ['a', '1']],
    ['userProperty', ['b', '2']],
  ]
  await publisher.publish(topic, 'retained', { qos: 1, retain: true, properties })
  const { client, clientId } = await broker.persistent()
  await client.subscribe(topic, 2, [['subscriptionIdentifier', 7]])
  const first = await client.next('publish')
  assert.equal(first.retain, true)
  await publisher.publish(topic, 'live', { qos: 2, properties })
  const second = await client.next('publish')
  client.destroy()
  const again = await broker.persistent({ clientId })
  assert.deepEqual(
    [await again.client.next('publish'), await again.client.next('publish')],
    [
      { ...first, dup: true },
      { ...second, dup: true },
    ],
  )
})

test('MQTT-4.3.3-5 MQTT-4.3.3-6 after PUBREC it is PUBREL that is sent again, in its place', async () => {
  const topic = broker.name()
  const { client, clientId } = await broker.persistent()
  await client.subscribe(topic, 2)
  const publisher = await broker.client()
  const sent: Publish[] = []
  for (const payload of ['1', '2', '3']) {
    await publisher.publish(topic, payload, { qos: 2 })
    sent.push(await client.next('publish'))
  }
  const [first, second, third] = sent as [Publish, Publish, Publish]
  client.send(encodeAck('pubrec', second.packetId))
  await client.next('pubrel')
  client.destroy()
  const again = await broker.persistent({ clientId })
  assert.deepEqual(facts(await again.client.next('publish')), { ...facts(first), dup: true })
  assert.equal((await again.client.next('pubrel')).packetId, second.packetId)
  assert.deepEqual(facts(await again.client.next('publish')), { ...facts(third), dup: true })
  again.client.send(encodeAck('pubcomp', second.packetId))
  for (const message of [first, third]) await again.client.acknowledge(message)
  await again.client.drain()
  await again.client.disconnect()
  const last = await broker.persistent({ clientId })
  assert.deepEqual(await last.client.drain(), [])
})

test('MQTT-4.4.0-1 it is sent again on each reconnect, and only then', async () => {
  const topic = broker.name()
  const { client, clientId } = await broker.persistent()
  await client.subscribe(topic, 1)
  await client.publish(topic, 'never acknowledged', { qos: 1 })
  const { packetId } = await client.take('publish')
  client.destroy()
  for (let round = 0; round < 3; round++) {
    const again = await broker.persistent({ clientId })
    const message = await again.client.next('publish')
    assert.deepEqual([message.packetId, message.dup], [packetId, true])
    assert.deepEqual(await again.client.drain(), [])
    again.client.destroy()
  }
})

test('MQTT-4.3.3-10 a QoS 2 message that was stored before the connection was lost is not published again after it', async () => {
  const topic = broker.name()
  const watcher = await broker.client()
  await watcher.subscribe(topic, 1)
  const { client, clientId } = await broker.persistent()
  client.send(encodePublish(5, { topic, payload: 'once', qos: 2, packetId: 11 }))
  await client.next('pubrec')
  client.destroy()
  const again = await broker.persistent({ clientId })
  again.client.send(encodePublish(5, { topic, payload: 'once', qos: 2, packetId: 11, dup: true }))
  assert.equal((await again.client.next('pubrec')).packetId, 11)
  assert.equal(await again.client.release(11), 0)
  await again.client.publish(topic, 'new under the same id', { qos: 2, packetId: 11 })
  assert.deepEqual(
    (await watcher.receiveUntil('new under the same id')).map(({ payload }) => payload),
    ['once', 'new under the same id'],
  )
})

test('MQTT-4.3.3-10 nor when the connection was lost before PUBREC', async () => {
  const topic = broker.name()
  const watcher = await broker.client()
  await watcher.subscribe(topic, 1)
  const clientId = broker.name('client')
  for (let round = 0; round < 20; round++) {
    const { client } = await broker.persistent({ clientId })
    client.send(encodePublish(5, { topic, payload: `${round}`, qos: 2, packetId: 5 }), PINGREQ)
    await client.take('pingresp')
    client.destroy()
    const again = await broker.persistent({ clientId })
    again.client.send(encodePublish(5, { topic, payload: `${round}`, qos: 2, packetId: 5, dup: true }))
    assert.equal((await again.client.next('pubrec')).packetId, 5)
    assert.equal(await again.client.release(5), 0)
    again.client.destroy()
  }
  await (await broker.client()).publish(topic, 'end', { qos: 1 })
  assert.equal((await watcher.receiveUntil('end')).length, 21)
})

test('MQTT-4.3.3-11 PUBREL of an earlier connection is answered, once with success', async () => {
  const { client, clientId } = await broker.persistent()
  client.send(encodePublish(5, { topic: broker.name(), qos: 2, packetId: 3 }))
  await client.next('pubrec')
  client.destroy()
  const again = await broker.persistent({ clientId })
  assert.equal(await again.client.release(3), 0)
  assert.equal(await again.client.release(3), 0x92)
})

test('MQTT-3.1.2-4 MQTT-3.1.4-4 clean start forgets the QoS 2 messages of the client: their packet ids name new ones', async () => {
  const topic = broker.name()
  const watcher = await broker.client()
  await watcher.subscribe(topic, 1)
  const { client, clientId } = await broker.persistent()
  client.send(encodePublish(5, { topic, payload: 'of the old session', qos: 2, packetId: 8 }))
  await client.next('pubrec')
  client.destroy()
  const again = await broker.client({ clientId })
  await again.publish(topic, 'of the new session', { qos: 2, packetId: 8 })
  assert.equal((await watcher.receiveUntil('of the new session')).length, 2)
})

test('MQTT-4.5.0-1 messages at QoS 1 and 2 wait for a session that is away, in order and at the QoS granted', async () => {
  const topic = broker.name()
  const { client, clientId } = await broker.persistent()
  await client.subscribe(topic, 1)
  await client.disconnect()
  const publisher = await broker.client()
  for (let at = 0; at < 50; at++) await publisher.publish(topic, `${at}`, { qos: at % 2 === 0 ? 1 : 2 })
  const again = await broker.persistent({ clientId })
  for (let at = 0; at < 50; at++) {
    const message = await again.client.receive()
    assert.deepEqual([message.payload, message.qos, message.dup], [`${at}`, 1, false])
  }
  assert.deepEqual(await again.client.drain(), [])
})

test('MQTT-4.6.0-5 what waited comes before what is published while the session resumes', async () => {
  const topic = broker.name()
  const { client, clientId } = await broker.persistent()
  await client.subscribe(topic, 1)
  await client.disconnect()
  const publisher = await broker.client()
  const count = 300
  const send = (at: number): void => publisher.send(encodePublish(5, { topic, payload: `${at}`, qos: 1, packetId: at + 1 }))
  for (let at = 0; at < count / 2; at++) send(at)
  await publisher.drain()
  const resuming = broker.persistent({ clientId })
  for (let at = count / 2; at < count; at++) send(at)
  const again = (await resuming).client
  for (let at = 0; at < count; at++) assert.equal((await again.receive()).payload, `${at}`)
})
