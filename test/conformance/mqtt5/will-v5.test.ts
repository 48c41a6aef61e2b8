// SPDX-License-Identifier: Apache-2.0
// Will messages (MQTT 5 sections 3.1.2.5, 3.1.3.2, 3.14.4).
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { Broker } from '../harness/broker.ts'
import type { Client } from '../harness/client.ts'
import { propertyOf } from '../harness/decode.ts'
import { type ConnectFields, frame, type Properties, type WillFields } from '../harness/wire.ts'

const broker = new Broker(5)

const LIVES: Properties = [['sessionExpiry', 600]]
const delayed = (seconds: number): Properties => [['willDelay', seconds]]

/** Somebody who waits for a will, and the topic of it. */
async function watch(options = 2): Promise<{ topic: string; watcher: Client }> {
  const topic = broker.name('will')
  const watcher = await broker.client()
  await watcher.subscribe(topic, options)
  return { topic, watcher }
}

const withWill = (topic: string, will: Partial<WillFields> = {}, fields: ConnectFields = {}): ConnectFields => ({
  ...fields,
  will: { topic, payload: 'will', qos: 1, ...will },
})

/** Whatever was due before is there before the marker: the same topic, the same log. */
async function arrivedBeforeMarker(watcher: Client, topic: string): Promise<readonly string[]> {
  const publisher = await broker.client()
  await publisher.publish(topic, 'marker', { qos: 1 })
  return (await watcher.receiveUntil('marker')).slice(0, -1).map(({ payload }) => payload)
}

for (const qos of [0, 1, 2] as const) {
  test(`MQTT-3.1.2-8 MQTT-3.1.2-14 a client whose socket is lost is followed by its will, at QoS ${qos} and not retained`, async () => {
    const { topic, watcher } = await watch()
    const client = await broker.client(withWill(topic, { qos }))
    client.destroy()
    const { packetId, ...message } = await watcher.receive()
    assert.deepEqual(message, { type: 'publish', topic, payload: 'will', qos, dup: false, retain: false, properties: [] })
    assert.equal(packetId > 0, qos > 0)
    const late = await broker.client()
    await late.subscribe(topic)
    assert.deepEqual(await late.drain(), [])
  })
}

test('MQTT-3.1.2-15 a will with will retain is retained', async () => {
  const { topic, watcher } = await watch()
  const client = await broker.client(withWill(topic, { retain: true }))
  client.destroy()
  assert.equal((await watcher.receive()).retain, false)
  const late = await broker.client()
  await late.subscribe(topic, 1)
  const message = await late.receive()
  assert.deepEqual([message.payload, message.retain], ['will', true])
})

test('3.1.2.5 an empty will with will retain removes what was retained', async () => {
  const { topic, watcher } = await watch()
  await watcher.publish(topic, 'kept', { retain: true, qos: 1 })
  assert.equal((await watcher.receive()).payload, 'kept')
  const client = await broker.client(withWill(topic, { retain: true, payload: '' }))
  client.destroy()
  assert.equal((await watcher.receive()).payload, '')
  const late = await broker.client()
  await late.subscribe(topic, 1)
  assert.deepEqual(await arrivedBeforeMarker(late, topic), [])
})

test('MQTT-3.14.4-3 MQTT-3.1.2-10 a client that says goodbye with 0x00 has no will', async () => {
  const { topic, watcher } = await watch()
  for (const reasonCode of [undefined, 0x00]) {
    const client = await broker.client(withWill(topic))
    await client.disconnect(reasonCode)
  }
  assert.deepEqual(await arrivedBeforeMarker(watcher, topic), [])
})

for (const reasonCode of [0x04, 0x80, 0x81, 0x98]) {
  test(`MQTT-3.1.2-8 DISCONNECT with 0x${reasonCode.toString(16)} is followed by the will`, async () => {
    const { topic, watcher } = await watch()
    const client = await broker.client(withWill(topic))
    await client.disconnect(reasonCode)
    assert.deepEqual(await arrivedBeforeMarker(watcher, topic), ['will'])
  })
}

test('MQTT-3.1.2-8 a client that breaks the protocol is followed by its will', async () => {
  const { topic, watcher } = await watch()
  const client = await broker.client(withWill(topic))
  client.send(frame(0x00))
  assert.equal(await client.closeReason(), 0x81)
  assert.equal((await watcher.receive()).payload, 'will')
})

test('MQTT-3.1.3-10 a will brings its properties, user properties in order', async () => {
  const { topic, watcher } = await watch()
  const properties: Properties = [
    ['userProperty', ['b', '1']],
    ['payloadFormat', 1],
    ['contentType', 'c'],
    ['userProperty', ['a', '2']],
    ['responseTopic', 'r'],
    ['correlationData', Buffer.of(0, 255)],
    ['userProperty', ['b', '3']],
  ]
  const client = await broker.client(withWill(topic, { properties: [['messageExpiry', 100], ...properties] }))
  client.destroy()
  const message = await watcher.receive()
  const life = propertyOf(message, 'messageExpiry') as number
  assert.ok(life >= 99 && life <= 100, `the life of the message begins when it is published: ${life}`)
  assert.deepEqual(
    message.properties.filter(([name]) => name !== 'messageExpiry'),
    properties,
  )
})

test('MQTT-3.1.2-8 a will comes once', async () => {
  const { topic, watcher } = await watch()
  const fields = withWill(topic, {}, { clientId: broker.name('client'), cleanStart: false, properties: LIVES })
  const client = await broker.client(fields)
  client.destroy()
  assert.equal((await watcher.receive()).payload, 'will')
  const again = await broker.client({ clientId: String(fields.clientId), cleanStart: false, properties: LIVES })
  again.destroy()
  await broker.client({ clientId: String(fields.clientId), cleanStart: true })
  assert.deepEqual(await arrivedBeforeMarker(watcher, topic), [])
})

test('MQTT-3.1.2-10 the will belongs to the connection: one that brings none has none', async () => {
  const { topic, watcher } = await watch()
  const clientId = broker.name('client')
  const first = await broker.client(withWill(topic, {}, { clientId, cleanStart: false, properties: LIVES }))
  await first.disconnect()
  const second = await broker.client({ clientId, cleanStart: false, properties: LIVES })
  second.destroy()
  await broker.client({ clientId, cleanStart: false })
  assert.deepEqual(await arrivedBeforeMarker(watcher, topic), [])
})

test('MQTT-3.1.2-7 a connection that brings another will has that one', async () => {
  const { topic, watcher } = await watch()
  const clientId = broker.name('client')
  const first = await broker.client(withWill(topic, { payload: 'first' }, { clientId, cleanStart: false, properties: LIVES }))
  await first.disconnect()
  const second = await broker.client(withWill(topic, { payload: 'second' }, { clientId, cleanStart: false, properties: LIVES }))
  second.destroy()
  assert.equal((await watcher.receive()).payload, 'second')
  assert.deepEqual(await arrivedBeforeMarker(watcher, topic), [])
})

suite('takeover', () => {
  test('MQTT-3.1.4-3 MQTT-3.1.2-8 the will of a connection that is taken over is published', async () => {
    const { topic, watcher } = await watch()
    const clientId = broker.name('client')
    const first = await broker.client(withWill(topic, {}, { clientId, cleanStart: false, properties: LIVES }))
    await broker.client({ clientId, cleanStart: false, properties: LIVES })
    assert.equal(await first.closeReason(), 0x8e)
    assert.deepEqual(await arrivedBeforeMarker(watcher, topic), ['will'])
  })

  test('MQTT-3.1.3-9 not so when it has a delay, and the session goes on', async () => {
    const { topic, watcher } = await watch()
    const clientId = broker.name('client')
    const first = await broker.client(withWill(topic, { properties: delayed(1) }, { clientId, cleanStart: false, properties: LIVES }))
    await broker.client({ clientId, cleanStart: false, properties: LIVES })
    assert.equal(await first.closeReason(), 0x8e)
    await broker.secondsPass(2)
    assert.deepEqual(await arrivedBeforeMarker(watcher, topic), [])
  })

  test('Q12 a delayed will is published at once when the new connection begins a new session', async () => {
    const { topic, watcher } = await watch()
    const clientId = broker.name('client')
    const first = await broker.client(withWill(topic, { properties: delayed(600) }, { clientId, cleanStart: false, properties: LIVES }))
    await broker.client({ clientId, cleanStart: true })
    assert.equal(await first.closeReason(), 0x8e)
    assert.deepEqual(await arrivedBeforeMarker(watcher, topic), ['will'])
  })

  test('Q12 and when the session taken over ends with its connection', async () => {
    const { topic, watcher } = await watch()
    const clientId = broker.name('client')
    const first = await broker.client(withWill(topic, { properties: delayed(600) }, { clientId }))
    const { connack } = await broker.connect({ clientId, cleanStart: false })
    assert.equal(connack.sessionPresent, false)
    assert.equal(await first.closeReason(), 0x8e)
    assert.deepEqual(await arrivedBeforeMarker(watcher, topic), ['will'])
  })
})

suite('delay', { concurrency: true }, () => {
  test('MQTT-3.1.2-8 a will waits for its delay, and for no longer', async () => {
    const { topic, watcher } = await watch()
    const client = await broker.client(withWill(topic, { properties: delayed(2) }, { properties: LIVES }))
    const start = performance.now()
    client.destroy()
    assert.deepEqual(await arrivedBeforeMarker(watcher, topic), [])
    assert.equal((await watcher.receive()).payload, 'will')
    assert.ok(performance.now() - start >= 1900, `it came after ${performance.now() - start} ms`)
  })

  test('MQTT-3.1.2-8 the end of the session does not wait for the delay', async () => {
    const { topic, watcher } = await watch()
    const client = await broker.client(withWill(topic, { properties: delayed(600) }, { properties: [['sessionExpiry', 1]] }))
    client.destroy()
    assert.equal((await watcher.receive()).payload, 'will')
  })

  test('MQTT-3.1.2-8 a session without expiry ends with its connection, and so does the delay', async () => {
    const { topic, watcher } = await watch()
    const client = await broker.client(withWill(topic, { properties: delayed(600) }))
    client.destroy()
    assert.equal((await watcher.receive()).payload, 'will')
  })

  test('3.14.2.2.2 DISCONNECT 0x04 that ends the session ends the delay', async () => {
    const { topic, watcher } = await watch()
    const client = await broker.client(withWill(topic, { properties: delayed(600) }, { properties: LIVES }))
    await client.disconnect(0x04, [['sessionExpiry', 0]])
    assert.equal((await watcher.receive()).payload, 'will')
  })

  test('MQTT-3.1.3-9 a client that is back before the delay is over has no will', async () => {
    const { topic, watcher } = await watch()
    const clientId = broker.name('client')
    const client = await broker.client(withWill(topic, { properties: delayed(1) }, { clientId, cleanStart: false, properties: LIVES }))
    client.destroy()
    await broker.client({ clientId, cleanStart: false, properties: LIVES })
    await broker.secondsPass(2)
    assert.deepEqual(await arrivedBeforeMarker(watcher, topic), [])
  })

  test('MQTT-3.1.2-8 a client that is back with clean start ends the session, and the delay with it', async () => {
    const { topic, watcher } = await watch()
    const clientId = broker.name('client')
    const client = await broker.client(withWill(topic, { properties: delayed(600) }, { clientId, cleanStart: false, properties: LIVES }))
    client.destroy()
    await broker.client({ clientId, cleanStart: true })
    assert.equal((await watcher.receive()).payload, 'will')
  })

  test('MQTT-3.1.2-22 a client that falls silent is followed by its will', async () => {
    const { topic, watcher } = await watch()
    const client = await broker.client(withWill(topic, {}, { keepAliveSeconds: 1 }))
    assert.equal((await watcher.receive()).payload, 'will')
    assert.equal(await client.closeReason(), 0x8d)
  })

  test('MQTT-4.5.0-1 a will waits for a session that is away', async () => {
    const topic = broker.name('will')
    const away = await broker.persistent()
    await away.client.subscribe(topic, 1)
    await away.client.disconnect()
    const client = await broker.client(withWill(topic, { properties: delayed(1) }, { properties: LIVES }))
    client.destroy()
    await broker.secondsPass(2)
    const again = await broker.persistent({ clientId: away.clientId })
    assert.equal((await again.client.receive()).payload, 'will')
  })
})
