// SPDX-License-Identifier: Apache-2.0
// Topic rewrite by [[mqtt.rewrite]].
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Broker } from '../harness/broker.ts'
import { encodePublish } from '../harness/wire.ts'

const RULES = `
[[mqtt.rewrite]]
action = "publish"
filter = "in/#"
regex = '^in/(\\d+)/(.+)$'
to = "out/%c/$2/$1"

[[mqtt.rewrite]]
action = "subscribe"
filter = "mine/#"
regex = '^mine/(.*)$'
to = "out/%c/$1"

[[mqtt.rewrite]]
action = "all"
filter = "bad/#"
regex = '^bad/(.*)$'
to = "$1"
`

const broker = new Broker(5, [], RULES)

test('messages go to the new topic, by topic and by alias', async () => {
  const { client, clientId } = await broker.connect()
  await client.subscribe(`out/${clientId}/#`, 1)
  await client.publish('in/42/a/b', '1', { qos: 1, properties: [['topicAlias', 1]] })
  await client.publish('', '2', { qos: 1, properties: [['topicAlias', 1]] })
  await client.publish('in/x/a', 'not rewritten', { qos: 1 })
  const messages = [await client.receive(), await client.receive()]
  assert.deepEqual(
    messages.map(({ topic, payload }) => [topic, payload]),
    [
      [`out/${clientId}/a/b/42`, '1'],
      [`out/${clientId}/a/b/42`, '2'],
    ],
  )
  assert.deepEqual(await client.drain(), [])
})

test('subscriptions are to the new filter, and end by the name under which they began', async () => {
  const { client, clientId } = await broker.connect()
  const other = await broker.client()
  assert.deepEqual(await client.subscribe('mine/+', 1), [1])
  await other.publish(`out/${clientId}/a`, 'p', { qos: 1 })
  assert.equal((await client.receive()).topic, `out/${clientId}/a`)
  assert.deepEqual(await client.unsubscribe('mine/+'), [0])
  await other.publish(`out/${clientId}/a`, 'p', { qos: 1 })
  assert.deepEqual(await client.drain(), [])
})

test('of a delayed message and of an exclusive subscription the topic is rewritten', async () => {
  const { client, clientId } = await broker.connect()
  assert.deepEqual(await client.subscribe('$exclusive/mine/x/+', 1), [1])
  await client.publish('$delayed/1/in/7/x', 'p', { qos: 1 })
  assert.equal((await client.receive()).topic, `out/${clientId}/x/7`)
})

test('what becomes no topic is answered with 0x90, what becomes no filter with 0x8F', async () => {
  const client = await broker.client()
  assert.equal(await client.publish('bad/', 'p', { qos: 1 }), 0x90)
  assert.equal(await client.publish('bad/$delayed/1/t', 'p', { qos: 2 }), 0x90)
  assert.deepEqual(await client.subscribe('bad/', 1), [0x8f])
  assert.deepEqual(await client.unsubscribe('bad/'), [0x11])
  assert.equal(await client.publish('bad/ok', 'p', { qos: 1 }), 0)
})

test('a client id with a wildcard in it is given nothing', async () => {
  const { client } = await broker.connect({ clientId: '#' })
  assert.deepEqual(await client.subscribe('mine/a', 1), [0x8f])
  assert.equal(await client.publish('in/1/a', 'p', { qos: 1 }), 0x90)
})

test('the topic of a will is rewritten like that of a message', async () => {
  const watcher = await broker.client()
  const clientId = broker.name('dying')
  await watcher.subscribe(`out/${clientId}/#`, 1)
  const dying = await broker.client({ clientId, will: { topic: 'in/1/w', payload: 'w', qos: 1 } })
  dying.destroy()
  assert.equal((await watcher.receive()).topic, `out/${clientId}/w/1`)
})

test('SIGHUP: other rules hold at once, for connections and aliases that are there too', async () => {
  const { client } = await broker.connect()
  await client.subscribe('second/#', 1)
  await client.publish('in/1/a', 'first', { qos: 1, properties: [['topicAlias', 1]] })
  await broker.server.reload(RULES.replace('to = "out/%c/$2/$1"', 'to = "second/$2"'))
  await client.publish('', 'by alias', { qos: 1, properties: [['topicAlias', 1]] })
  await client.publish('in/1/a', 'by topic', { qos: 1 })
  assert.deepEqual([(await client.receive()).payload, (await client.receive()).payload], ['by alias', 'by topic'])
})

test('MQTT-4.3.3-10 a QoS 2 message that was taken is answered as such, though the rules of now would refuse it', async () => {
  const watcher = await broker.client()
  await watcher.subscribe('taken/#', 2)
  const { client, clientId } = await broker.persistent()
  client.send(encodePublish(5, { topic: 'taken/a', payload: 'once', qos: 2, packetId: 5 }))
  assert.equal((await client.take('pubrec')).reasonCode, 0)
  client.destroy()
  await broker.server.reload(RULES.replaceAll('"bad/#"', '"taken/#"').replace('^bad/', '^taken/a'))
  const again = await broker.persistent({ clientId })
  again.client.send(encodePublish(5, { topic: 'taken/a', payload: 'once', qos: 2, packetId: 5, dup: true }))
  assert.equal((await again.client.take('pubrec')).reasonCode, 0)
  assert.equal(await again.client.release(5), 0)
  assert.equal(await again.client.publish('taken/a', 'refused', { qos: 2, packetId: 5 }), 0x90)
  assert.equal((await watcher.receive()).payload, 'once')
  assert.deepEqual(await watcher.drain(), [])
})
