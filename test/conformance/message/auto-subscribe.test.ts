// SPDX-License-Identifier: Apache-2.0
// Automatic subscriptions by [[mqtt.auto_subscribe]].
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Broker } from '../harness/broker.ts'

const RULES = `
[[mqtt.auto_subscribe]]
filter = "inbox/%c/#"
qos = 1
retain_as_published = true

[[mqtt.auto_subscribe]]
filter = "quiet/%c"
qos = 2
no_local = true
retain_handling = 2
`

const broker = new Broker(5, [], RULES)

test('Q16 effective when CONNACK arrives: what is published then is delivered', async () => {
  const { client, clientId } = await broker.connect()
  const other = await broker.client()
  await other.publish(`inbox/${clientId}/a`, 'p', { qos: 2 })
  const message = await client.receive()
  assert.deepEqual([message.topic, message.qos], [`inbox/${clientId}/a`, 1])
})

test('options hold: no local, retain as published, retain handling', async () => {
  const clientId = broker.name('client')
  const other = await broker.client()
  await other.publish(`inbox/${clientId}/kept`, 'kept', { qos: 1, retain: true })
  await other.publish(`quiet/${clientId}`, 'not sent', { qos: 1, retain: true })
  const { client } = await broker.connect({ clientId })
  const retained = await client.receive()
  assert.deepEqual([retained.payload, retained.retain], ['kept', true])
  await other.publish(`inbox/${clientId}/live`, 'live', { qos: 1, retain: true })
  assert.equal((await client.receive()).retain, true)
  await client.publish(`quiet/${clientId}`, 'own', { qos: 1 })
  await client.publish(`inbox/${clientId}/end`, 'end', { qos: 1 })
  assert.deepEqual(
    (await client.receiveUntil('end')).map(({ payload }) => payload),
    ['end'],
  )
})

test('it is part of the session: what comes while the client is away is delivered later', async () => {
  const { client, clientId } = await broker.persistent()
  await client.disconnect()
  const other = await broker.client()
  await other.publish(`inbox/${clientId}/a`, 'while away', { qos: 1 })
  const back = await broker.persistent({ clientId })
  assert.equal(back.connack.sessionPresent, true)
  assert.equal((await back.client.receive()).payload, 'while away')
  await other.publish(`inbox/${clientId}/a`, 'live', { qos: 1 })
  assert.equal((await back.client.receive()).payload, 'live')
  assert.deepEqual(await back.client.drain(), [])
})

test('the client may end it; the next CONNECT brings it again', async () => {
  const { client, clientId } = await broker.persistent()
  assert.deepEqual(await client.unsubscribe(`inbox/${clientId}/#`), [0])
  const other = await broker.client()
  await other.publish(`inbox/${clientId}/a`, 'p', { qos: 1 })
  assert.deepEqual(await client.drain(), [])
  await client.disconnect()
  const back = await broker.persistent({ clientId })
  await other.publish(`inbox/${clientId}/a`, 'again', { qos: 1 })
  assert.equal((await back.client.receive()).payload, 'again')
})

test('a client id with a wildcard in it is given nothing', async () => {
  const { client } = await broker.connect({ clientId: '+' })
  assert.deepEqual(await client.unsubscribe('inbox/+/#', 'quiet/+'), [0x11, 0x11])
})

test('SIGHUP: other rules hold for clients that connect from then on', async () => {
  await broker.server.reload('[[mqtt.auto_subscribe]]\nfilter = "news"\nqos = 1\n')
  const { client, clientId } = await broker.connect()
  assert.deepEqual(await client.unsubscribe(`inbox/${clientId}/#`, 'news'), [0x11, 0])
})
