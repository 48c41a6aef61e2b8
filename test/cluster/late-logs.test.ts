// SPDX-License-Identifier: Apache-2.0
// Logs of one topic each that come into being between deaths of the process, while those who are owed their messages are away (DESIGN D2, D5); and logs in memory, which
// begin anew with every process.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { IPublishPacket } from 'mqtt-packet'
import { type ConnectOptions, RawClient } from './raw-client.ts'
import { ServerProcess, temporaryDirectory } from './server-process.ts'

const LASTING: ConnectOptions = { protocolVersion: 5, clean: false, properties: { sessionExpiryInterval: 600 } }
const FILTER = 'jobs/#'
const EACH = 5

async function subscribe(port: number, clientId: string, topic: string, qos: 1 | 2, replay = false): Promise<void> {
  const { client } = await RawClient.connect(port, clientId, LASTING)
  const properties = replay ? { properties: { userProperties: { 'replay-from': 'earliest' } } } : {}
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic, qos }], ...properties })
  await client.next('suback')
  await client.disconnect()
}

/** Completes each flow. */
async function publish(port: number, topic: string): Promise<readonly string[]> {
  const { client } = await RawClient.connect(port, 'publisher')
  const sent = Array.from({ length: EACH }, (_, at) => `${topic} ${at}`)
  for (const [at, payload] of sent.entries()) {
    const messageId = at + 1
    client.send({ cmd: 'publish', topic, payload, qos: 2, messageId, dup: false, retain: at === EACH - 1 })
    await client.next('pubrec')
    client.send({ cmd: 'pubrel', messageId })
    await client.next('pubcomp')
  }
  await client.disconnect()
  return sent
}

const messagesOf = async (client: RawClient): Promise<readonly IPublishPacket[]> =>
  (await client.drain()).filter((packet): packet is IPublishPacket => packet.cmd === 'publish')

/** What a session is owed, with its flows completed: at least so many, and all that came with them. */
async function collect(port: number, clientId: string, count: number): Promise<readonly string[]> {
  const { client, connack } = await RawClient.connect(port, clientId, LASTING)
  assert.equal(connack.sessionPresent, true)
  const got: string[] = []
  do {
    for (const { payload, qos, messageId = 0 } of await messagesOf(client)) {
      got.push(payload.toString())
      client.send({ cmd: qos === 2 ? 'pubrec' : 'puback', messageId })
      if (qos === 2) client.onPacket = (packet) => packet.cmd === 'pubrel' && complete(client, packet.messageId ?? 0)
    }
  } while (got.length < count)
  await client.drain()
  await client.disconnect()
  return got
}

function complete(client: RawClient, messageId: number): true {
  client.send({ cmd: 'pubcomp', messageId })
  return true
}

for (const storage of ['rocksdb', 'segment'] as const) {
  test(`D5 kill -9: of ${storage} logs that came while they were away a session, a replay and a shared group get everything, once`, async (context) => {
    const directory = temporaryDirectory(context)
    const settings = [`engine.default_storage=${storage}`, 'engine.default_model=independent']
    const start = (): Promise<ServerProcess> => ServerProcess.start({ directory, settings, context })
    let server = await start()
    await subscribe(server.port, 'reader', FILTER, 2)
    await subscribe(server.port, 'replaying', FILTER, 1, true)
    await subscribe(server.port, 'worker', `$share/workers/${FILTER}`, 1)
    const sent: string[] = []
    for (const topic of ['jobs/a', 'jobs/b', 'jobs/c']) {
      sent.push(...(await publish(server.port, topic)))
      await server.kill()
      server = await start()
    }
    for (const clientId of ['reader', 'replaying', 'worker']) {
      const got = await collect(server.port, clientId, sent.length)
      assert.deepEqual(got.toSorted(), sent.toSorted(), `${clientId} gets everything once`)
      for (const topic of ['jobs/a', 'jobs/b', 'jobs/c']) {
        const ofTopic = got.filter((payload) => payload.startsWith(`${topic} `))
        assert.deepEqual(ofTopic, ofTopic.toSorted(), `${clientId} gets ${topic} in order`)
      }
    }
    await server.kill()
    server = await start()
    for (const clientId of ['reader', 'replaying', 'worker']) {
      const { client } = await RawClient.connect(server.port, clientId, LASTING)
      assert.deepEqual(await messagesOf(client), [], `${clientId} has had everything`)
      await client.disconnect()
    }
    const { client } = await RawClient.connect(server.port, 'newcomer', LASTING)
    client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: FILTER, qos: 1 }] })
    await client.next('suback')
    const retained: string[] = []
    while (retained.length < 3) retained.push(...(await messagesOf(client)).map(({ payload }) => payload.toString()))
    assert.deepEqual(retained.toSorted(), ['jobs/a 4', 'jobs/b 4', 'jobs/c 4'])
    assert.equal(await server.stop(), 0)
  })
}

test('D10 a message that is retained in memory takes the place of one that was retained there before a restart', async (context) => {
  const directory = temporaryDirectory(context)
  const settings = ['engine.default_storage=memory']
  const retain = async (port: number, payload: string): Promise<void> => {
    const { client } = await RawClient.connect(port, 'publisher')
    client.send({ cmd: 'publish', topic: 't', payload, qos: 1, messageId: 1, dup: false, retain: true })
    await client.next('puback')
    await client.disconnect()
  }
  const first = await ServerProcess.start({ directory, settings, context })
  for (const payload of ['1', '2', '3']) await retain(first.port, payload)
  assert.equal(await first.stop(), 0)
  const second = await ServerProcess.start({ directory, settings, context })
  await retain(second.port, '4')
  const { client } = await RawClient.connect(second.port, 'subscriber')
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: 't', qos: 1 }] })
  await client.next('suback')
  assert.equal((await client.next('publish')).payload.toString(), '4')
})
