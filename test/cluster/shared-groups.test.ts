// SPDX-License-Identifier: Apache-2.0
// Shared groups over the death of the process: what was with whom, and what nobody had yet (Q17, D11).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { IPublishPacket } from 'mqtt-packet'
import { type ConnectOptions, RawClient } from './raw-client.ts'
import { ServerProcess, temporaryDirectory } from './server-process.ts'

const NAME = '$share/workers/jobs/#'
const LASTING: ConnectOptions = { protocolVersion: 5, clean: false, properties: { sessionExpiryInterval: 600 } }
const PASSING: ConnectOptions = { protocolVersion: 5, clean: true }

async function work(port: number, clientId: string, options: ConnectOptions, qos: 0 | 1 | 2): Promise<RawClient> {
  const { client } = await RawClient.connect(port, clientId, options)
  client.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: NAME, qos }] })
  await client.next('suback')
  return client
}

async function publish(port: number, from: number, count: number, qos: 1 | 2): Promise<readonly string[]> {
  const { client } = await RawClient.connect(port, 'publisher')
  const sent = Array.from({ length: count }, (_, at) => `job-${from + at}`)
  for (const [at, payload] of sent.entries()) {
    const messageId = at + 1
    client.send({ cmd: 'publish', topic: `jobs/${at % 3}`, payload, qos, messageId, dup: false, retain: false })
    await client.next(qos === 1 ? 'puback' : 'pubrec')
    if (qos === 1) continue
    client.send({ cmd: 'pubrel', messageId })
    await client.next('pubcomp')
  }
  await client.disconnect()
  return sent
}

/** What has come, unacknowledged. */
const messagesOf = async (client: RawClient): Promise<readonly IPublishPacket[]> =>
  (await client.drain()).filter((packet): packet is IPublishPacket => packet.cmd === 'publish')

const payloadsOf = (messages: readonly IPublishPacket[]): readonly string[] => messages.map(({ payload }) => payload.toString())

/** Takes everything that comes, until a number of different messages is there. */
async function collect(clients: readonly RawClient[], payloads: Set<string>, count: number): Promise<void> {
  while (payloads.size < count) {
    for (const client of clients) {
      for (const { payload, qos, messageId = 0 } of await messagesOf(client)) {
        payloads.add(payload.toString())
        client.send(qos === 2 ? { cmd: 'pubrec', messageId } : { cmd: 'puback', messageId })
      }
    }
  }
}

test('Q17 kill -9: what was with a lost member, and what nobody had yet, goes to those who come back', async (context) => {
  const directory = temporaryDirectory(context)
  const first = await ServerProcess.start({ directory, context })
  const keeper = await work(first.port, 'keeper', LASTING, 1)
  const passing = await work(first.port, 'passing', PASSING, 1)
  const sent = await publish(first.port, 0, 20, 1)
  assert.equal(new Set([...payloadsOf(await messagesOf(keeper)), ...payloadsOf(await messagesOf(passing))]).size, sent.length)
  keeper.destroy()
  await first.kill()

  const second = await ServerProcess.start({ directory, context })
  const more = await publish(second.port, 20, 20, 1)
  const { client, connack } = await RawClient.connect(second.port, 'keeper', LASTING)
  assert.equal(connack.sessionPresent, true)
  const other = await work(second.port, 'other', PASSING, 1)
  const got = new Set<string>()
  await collect([client, other], got, sent.length + more.length)
  assert.deepEqual([...got].toSorted(), [...sent, ...more].toSorted())
})

test('MQTT-4.8.2-4 kill -9: a QoS 2 message under way is completed to the client that has it, and given to nobody else', async (context) => {
  const directory = temporaryDirectory(context)
  const settings = ['mqtt.shared_redelivery_after=0s']
  const first = await ServerProcess.start({ directory, settings, context })
  const a = await work(first.port, 'a', LASTING, 2)
  const b = await work(first.port, 'b', LASTING, 2)
  const passing = await work(first.port, 'passing', PASSING, 2)
  await publish(first.port, 0, 12, 2)
  const [ofA, ofB, ofPassing] = [await messagesOf(a), await messagesOf(b), await messagesOf(passing)]
  assert.deepEqual([ofA.length, ofB.length, ofPassing.length], [4, 4, 4])
  // One is completed: it must not come again, to anybody.
  const done = ofA[0] as IPublishPacket
  a.send({ cmd: 'pubrec', messageId: done.messageId ?? 0 })
  await a.next('pubrel')
  a.send({ cmd: 'pubcomp', messageId: done.messageId ?? 0 })
  await a.drain()
  await first.kill()

  const second = await ServerProcess.start({ directory, settings, context })
  const again = await RawClient.connect(second.port, 'a', LASTING)
  const other = await RawClient.connect(second.port, 'b', LASTING)
  const marker = await publish(second.port, 100, 2, 2)
  // A PUBREL of what was completed may be sent again, if the completion was not saved; the message itself may not.
  const seen = { a: payloadsOf(await messagesOf(again.client)), b: payloadsOf(await messagesOf(other.client)) }
  assert.deepEqual(
    seen.a.filter((payload) => !marker.includes(payload)),
    payloadsOf(ofA.slice(1)),
  )
  assert.deepEqual(
    seen.b.filter((payload) => !marker.includes(payload)),
    payloadsOf(ofB),
  )
})

test('mqtt.shared_persistent: a group without lasting sessions keeps its place over kill -9 and times without members', async (context) => {
  const directory = temporaryDirectory(context)
  const settings = ['mqtt.shared_persistent=true']
  const first = await ServerProcess.start({ directory, settings, context })
  const worker = await work(first.port, 'worker', PASSING, 1)
  const sent = await publish(first.port, 0, 3, 1)
  assert.equal((await messagesOf(worker)).length, 3)
  worker.destroy()
  const missed = await publish(first.port, 3, 3, 1)
  await first.kill()

  const second = await ServerProcess.start({ directory, settings, context })
  const got = new Set<string>()
  await collect([await work(second.port, 'other', PASSING, 1)], got, 6)
  assert.deepEqual([...got].toSorted(), [...sent, ...missed].toSorted())
})

test('mqtt.shared_groups_max bounds the groups; one that ends makes room', async (context) => {
  const settings = ['mqtt.shared_groups_max=2']
  const server = await ServerProcess.start({ directory: temporaryDirectory(context), settings, context })
  const { client } = await RawClient.connect(server.port, 'greedy', PASSING)
  const subscribe = async (messageId: number, ...groups: readonly string[]): Promise<unknown> => {
    client.send({ cmd: 'subscribe', messageId, subscriptions: groups.map((group) => ({ topic: `$share/${group}/t`, qos: 1 })) })
    return (await client.next('suback')).granted
  }
  assert.deepEqual(await subscribe(1, 'a', 'b', 'c', 'a'), [1, 1, 0x97, 1])
  client.send({ cmd: 'unsubscribe', messageId: 2, unsubscriptions: ['$share/a/t'] })
  await client.next('unsuback')
  assert.deepEqual(await subscribe(3, 'c', 'd'), [1, 0x97])
})
