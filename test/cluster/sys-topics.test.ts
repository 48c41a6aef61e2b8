// SPDX-License-Identifier: Apache-2.0
// What a node says of itself below $SYS, and the events of its clients.
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { IPublishPacket } from 'mqtt-packet'
import { type ConnectOptions, RawClient } from './raw-client.ts'
import { ServerProcess, temporaryDirectory } from './server-process.ts'

const serve = (context: TestContext, ...settings: readonly string[]): Promise<ServerProcess> =>
  ServerProcess.start({ directory: temporaryDirectory(context), settings, context })

async function join(server: ServerProcess, clientId: string, options: ConnectOptions = {}): Promise<RawClient> {
  return (await RawClient.connect(server.port, clientId, options)).client
}

async function subscribe(client: RawClient, ...topics: readonly string[]): Promise<void> {
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: topics.map((topic) => ({ topic, qos: 0 as const })) })
  await client.next('suback')
}

/** What a subscription finds at once, as if it were retained. */
async function valuesNow(client: RawClient, topic: string, count: number): Promise<ReadonlyMap<string, string>> {
  await subscribe(client, topic)
  const found = new Map<string, string>()
  while (found.size < count) {
    const { topic: name, payload, retain, qos } = await client.next('publish')
    assert.deepEqual([name, retain, qos], [name, true, 0])
    found.set(name, String(payload))
  }
  assert.deepEqual(await client.drain(), [])
  return found
}

const eventOf = ({ topic, payload }: IPublishPacket): Record<string, unknown> => {
  const { timeMs, remote, node, ...rest } = JSON.parse(String(payload)) as Record<string, unknown>
  assert.equal(typeof timeMs, 'number')
  assert.equal(node, 1)
  assert.ok(remote === undefined || /^127\.0\.0\.1:\d+$/.test(String(remote)))
  return { topic, ...rest }
}

test('a new subscriber finds the values of this moment, under the names of Mosquitto too, and nothing is stored for it', async (context) => {
  const server = await serve(context)
  const worker = await join(server, 'worker')
  await subscribe(worker, 'a')
  worker.send({ cmd: 'publish', topic: 'a', payload: 'x', qos: 1, messageId: 2, dup: false, retain: true })
  await worker.next('publish')
  await worker.next('puback')
  const watcher = await join(server, 'watcher')
  const values = await valuesNow(watcher, '$SYS/broker/#', 36)
  const expected: Record<string, string> = {
    version: 'robustmq version 0.1.0',
    'clients/connected': '2',
    'clients/total': '2',
    'clients/maximum': '2',
    'messages/received': '1',
    'messages/sent': '1',
    'publish/messages/dropped': '0',
    // Its own one is live by now.
    'subscriptions/count': '2',
    'retained messages/count': '1',
  }
  for (const [name, value] of Object.entries(expected)) assert.equal(values.get(`$SYS/broker/${name}`), value, name)
  assert.match(values.get('$SYS/broker/uptime') ?? '', /^\d+ seconds$/)
  assert.match(values.get('$SYS/broker/timestamp') ?? '', /^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
  assert.ok(Number(values.get('$SYS/broker/bytes/received')) > 40)
  assert.ok(Number(values.get('$SYS/broker/bytes/sent')) > 20)
  assert.ok(values.has('$SYS/broker/load/messages/received/15min'))
  const own = await valuesNow(await join(server, 'exact'), '$SYS/brokers/1/clients/connected', 1)
  assert.deepEqual([...own], [['$SYS/brokers/1/clients/connected', '3']])
  const all = await join(server, 'all')
  await subscribe(all, '#', '+/+/#')
  assert.equal((await all.drain()).filter((packet) => packet.cmd === 'publish' && packet.topic.startsWith('$')).length, 0, 'MQTT-4.7.2-1')
})

test('values come again at the interval, and none when it is 0', async (context) => {
  const server = await serve(context, 'mqtt.sys_interval=1s')
  const client = await join(server, 'c')
  await subscribe(client, '$SYS/brokers/1/uptime')
  const uptimes: number[] = []
  for (let count = 0; count < 3; count++) uptimes.push(Number((await client.next('publish')).payload))
  assert.ok((uptimes[2] as number) > (uptimes[1] as number))
  const silent = await serve(context, 'mqtt.sys_interval=0s')
  const other = await join(silent, 'c')
  await subscribe(other, '$SYS/#')
  assert.deepEqual(await other.drain(), [])
})

test('events tell of connections, subscriptions and takeovers', async (context) => {
  const on = ['client_connected', 'client_disconnected', 'session_subscribed', 'session_unsubscribed', 'session_taken_over']
  const server = await serve(context, ...on.map((kind) => `mqtt.events.${kind}=true`))
  const watcher = await join(server, 'watcher')
  await watcher.drain()
  await subscribe(watcher, '$SYS/events/#')
  const seen: Record<string, unknown>[] = []
  const until = async (last: string): Promise<void> => {
    do seen.push(eventOf(await watcher.next('publish')))
    while (seen.at(-1)?.['topic'] !== `$SYS/events/${last}`)
  }
  await until('session_subscribed')
  const first = await join(server, 'c', { protocolVersion: 5 })
  first.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a/b', qos: 1 }] })
  await first.next('suback')
  first.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['a/b', 'none'] })
  await first.next('unsuback')
  await until('session_unsubscribed')
  const second = await join(server, 'c', { protocolVersion: 5 })
  await until('client_connected')
  second.destroy()
  await until('client_disconnected')
  const connected = { clientId: 'c', version: 5, cleanStart: true, sessionPresent: false, keepAliveSeconds: 0 }
  assert.deepEqual(seen, [
    { topic: '$SYS/events/session_subscribed', clientId: 'watcher', filter: '$SYS/events/#', qos: 0 },
    { topic: '$SYS/events/client_connected', ...connected },
    { topic: '$SYS/events/session_subscribed', clientId: 'c', filter: 'a/b', qos: 1 },
    { topic: '$SYS/events/session_unsubscribed', clientId: 'c', filter: 'a/b' },
    { topic: '$SYS/events/session_taken_over', clientId: 'c' },
    { topic: '$SYS/events/client_disconnected', clientId: 'c', reason: 'taken_over' },
    { topic: '$SYS/events/client_connected', ...connected },
    { topic: '$SYS/events/client_disconnected', clientId: 'c', reason: 'lost' },
  ])
})

test('an event tells of a message that its subscriber did not get, and why', async (context) => {
  const server = await serve(context, 'mqtt.events.message_dropped=true')
  const watcher = await join(server, 'watcher')
  await subscribe(watcher, '$SYS/events/#')
  const small = await join(server, 'small', { protocolVersion: 5, properties: { maximumPacketSize: 50 } })
  small.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 0 }] })
  await small.next('suback')
  watcher.send({ cmd: 'publish', topic: 'a', payload: 'x'.repeat(50), qos: 0, dup: false, retain: false })
  const event = { topic: '$SYS/events/message_dropped', clientId: 'small', reason: 'too_large', count: 1 }
  assert.deepEqual(eventOf(await watcher.next('publish')), event)
})

test('an event tells of a session that expired, and none of what is not configured', async (context) => {
  const server = await serve(context, 'mqtt.events.session_expired=true')
  const watcher = await join(server, 'watcher')
  await subscribe(watcher, '$SYS/events/#')
  const client = await join(server, 'gone', { protocolVersion: 5, properties: { sessionExpiryInterval: 1 } })
  await client.disconnect()
  assert.deepEqual(eventOf(await watcher.next('publish')), { topic: '$SYS/events/session_expired', clientId: 'gone' })
})
