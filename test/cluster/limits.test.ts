// SPDX-License-Identifier: Apache-2.0
// Each limit against overload is reached, does what it says, is counted, and spares the others (RELIABILITY section 5).
import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { generate } from 'mqtt-packet'
import { metric, untilMetric } from './process-figures.ts'
import { RawClient } from './raw-client.ts'
import { ServerProcess, temporaryDirectory } from './server-process.ts'

const serve = (context: TestContext, ...settings: readonly string[]): Promise<ServerProcess> =>
  ServerProcess.start({ directory: temporaryDirectory(context), settings, context })

const publishOf = (topic: string, messageId: number, payload: string | Buffer = 'x'): Buffer =>
  generate({ cmd: 'publish', topic, payload, qos: 1, messageId, dup: false, retain: false })

const reached = (server: ServerProcess, limit: string): Promise<number> => metric(server, `robustmq_limits_reached_total{limit="${limit}"}`)

test('a client that publishes faster than mqtt.max_message_rate is slowed down: it loses nothing, its keep alive does not end it, and others are not concerned', async (context) => {
  const server = await serve(context, 'mqtt.max_message_rate=20')
  const { client } = await RawClient.connect(server.port, 'fast', { keepalive: 1 })
  const { client: other } = await RawClient.connect(server.port, 'other')
  const startMs = performance.now()
  client.sendBytes(Buffer.concat(Array.from({ length: 80 }, (_, at) => publishOf('a', at + 1))))
  for (let count = 0; count < 80; count++) await client.next('puback')
  // Those were read, on credit; this one has to wait until they are paid for.
  client.sendBytes(publishOf('a', 1000))
  other.sendBytes(publishOf('b', 1))
  await other.next('puback')
  await client.next('puback')
  // One second's worth goes at once, the other 60 at 20 a second.
  const tookMs = performance.now() - startMs
  assert.ok(tookMs >= 2900, `${tookMs} ms`)
  assert.ok((await reached(server, 'message_rate')) >= 1)
})

test('a client that sends more than mqtt.max_byte_rate is slowed down', async (context) => {
  const server = await serve(context, 'mqtt.max_byte_rate=64KiB')
  const { client } = await RawClient.connect(server.port, 'fast')
  const startMs = performance.now()
  for (let at = 1; at <= 4; at++) client.sendBytes(publishOf('a', at, Buffer.alloc(48 * 1024)))
  for (let count = 0; count < 4; count++) await client.next('puback')
  // Those may have been read at once, on credit; this one has to wait until they are paid for.
  client.sendBytes(publishOf('a', 5))
  await client.next('puback')
  // Of the 192 KiB one second's worth goes at once, the other 128 KiB at 64 KiB a second.
  const tookMs = performance.now() - startMs
  assert.ok(tookMs >= 1900, `${tookMs} ms`)
  assert.ok((await reached(server, 'byte_rate')) >= 1)
})

test('connections beyond mqtt.max_connect_rate wait, and are served in the end', async (context) => {
  const server = await serve(context, 'mqtt.max_connect_rate=10')
  const startMs = performance.now()
  const connected = await Promise.all(Array.from({ length: 25 }, (_, at) => RawClient.connect(server.port, `c${at}`)))
  assert.deepEqual(new Set(connected.map(({ connack }) => connack.returnCode)), new Set([0]))
  assert.ok(performance.now() - startMs >= 1400)
})

test('connections beyond what a client can wait for are turned away', async (context) => {
  const server = await serve(context, 'mqtt.max_connect_rate=1')
  const clients = await Promise.all(Array.from({ length: 12 }, () => RawClient.open(server.port)))
  await Promise.all(clients.slice(6).map((client) => client.untilClosed()))
  assert.ok((await reached(server, 'connect_rate')) >= 1)
})

test('an address has no more connections than mqtt.connections_per_ip_max, and another one when one of them ends', async (context) => {
  const server = await serve(context, 'mqtt.connections_per_ip_max=2')
  const { client } = await RawClient.connect(server.port, 'a')
  await RawClient.connect(server.port, 'b')
  await (await RawClient.open(server.port)).untilClosed()
  assert.equal(await reached(server, 'connections_per_ip'), 1)
  await client.disconnect()
  await untilMetric(server, 'robustmq_connections', (count) => count === 1)
  await RawClient.connect(server.port, 'c')
})

test('filters beyond those of one SUBSCRIBE, and subscriptions beyond those of the node, are refused with 0x97', async (context) => {
  const server = await serve(context, 'mqtt.subscribe_filters_max=3', 'mqtt.subscriptions_total_max=4')
  const granted = async (clientId: string): Promise<unknown> => {
    const { client } = await RawClient.connect(server.port, clientId, { protocolVersion: 5 })
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: ['a', 'b', 'c', 'd'].map((topic) => ({ topic, qos: 0 as const })) })
    return (await client.next('suback')).granted
  }
  assert.deepEqual(await granted('one'), [0, 0, 0, 0x97])
  assert.equal(await reached(server, 'subscribe_filters'), 1)
  // A packet counts when it is done.
  await granted('two')
  assert.deepEqual(await granted('three'), [0x97, 0x97, 0x97, 0x97])
  assert.ok((await reached(server, 'subscriptions_total')) >= 3)
})

test('while the disk is nearly full publishers wait and consumers go on; when there is room, nothing was lost', async (context) => {
  const server = await ServerProcess.start({ directory: temporaryDirectory(context), config: '', context })
  const { client: publisher } = await RawClient.connect(server.port, 'publisher')
  const { client: consumer } = await RawClient.connect(server.port, 'consumer')
  await server.reload('[limits]\ndisk_free_min = "1024TiB"')
  await server.untilWritten('the disk is nearly full')
  // What shows the server that this is a publisher is still taken.
  publisher.sendBytes(publishOf('a', 1))
  await publisher.next('puback')
  publisher.sendBytes(publishOf('a', 2))
  consumer.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 1 }] })
  await consumer.next('suback')
  assert.deepEqual(await consumer.drain(), [])
  assert.equal(await metric(server, 'robustmq_disk_alarm'), 1)
  assert.equal(await reached(server, 'disk_free'), 1)
  await server.reload('[limits]\ndisk_free_min = "0"')
  await publisher.next('puback')
  assert.equal((await consumer.next('publish')).topic, 'a')
  assert.equal(await metric(server, 'robustmq_disk_alarm'), 0)
})

test('a client that takes nothing of what waits for it is disconnected; a session that is kept loses nothing', async (context) => {
  const server = await serve(context, 'mqtt.write_stall_timeout=1s')
  const { client: deaf } = await RawClient.connect(server.port, 'deaf', { clean: false })
  deaf.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 'a', qos: 1 }] })
  await deaf.next('suback')
  deaf.stopReading()
  const { client: publisher } = await RawClient.connect(server.port, 'publisher')
  const count = 400
  for (let at = 1; at <= count; at++) {
    publisher.sendBytes(publishOf('a', at, String(at).padEnd(64 * 1024)))
    await publisher.next('puback')
  }
  await server.untilWritten('the client takes nothing')
  assert.equal(await metric(server, 'robustmq_disconnects_total{cause="stalled"}'), 1)
  deaf.destroy()
  const { client: back, connack } = await RawClient.connect(server.port, 'deaf', { clean: false })
  assert.equal(connack.sessionPresent, true)
  const got = new Set<number>()
  while (got.size < count) {
    const { payload, messageId } = await back.next('publish')
    got.add(Number(String(payload)))
    back.send({ cmd: 'puback', messageId: messageId as number })
  }
})

test('a client id that connects too often is banned for a time with 0x8A, 5 in 3.x; others are not', async (context) => {
  const flapping = ['enable=true', 'max_connects=2', 'window=1m', 'ban_time=1s'].map((setting) => `security.flapping.${setting}`)
  const server = await serve(context, ...flapping)
  const connect = async (clientId: string, protocolVersion: 4 | 5): Promise<number | undefined> => {
    const { client, connack } = await RawClient.connect(server.port, clientId, { protocolVersion })
    client.destroy()
    return protocolVersion === 5 ? connack.reasonCode : connack.returnCode
  }
  assert.deepEqual([await connect('c', 5), await connect('c', 4)], [0, 0])
  assert.deepEqual([await connect('c', 5), await connect('c', 4), await connect('d', 5)], [0x8a, 5, 0])
  assert.equal(await metric(server, 'robustmq_banned_clients'), 1)
  await untilMetric(server, 'robustmq_banned_clients', (count) => count === 0)
  assert.equal(await connect('c', 5), 0)
  assert.equal(await reached(server, 'flapping'), 2)
})
