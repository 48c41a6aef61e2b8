// SPDX-License-Identifier: Apache-2.0
// Topics with a log of their own (DESIGN D2), which comes into being with the first message: subscribers of every kind that were there before, on each storage type. Against a real node.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { metric } from '../../cluster/process-figures.ts'
import { Broker } from '../harness/broker.ts'
import type { Client } from '../harness/client.ts'
import type { Publish } from '../harness/decode.ts'
import type { Properties } from '../harness/wire.ts'

const ALL = ['rocksdb', 'segment', 'memory'] as const
const DURABLE = ['rocksdb', 'segment'] as const
const tableOf = (storage: string): string =>
  `[[topic]]\nfilter = "${storage}/#"\nstorage = "${storage}"\nmodel = "independent"\nstore_qos0 = ${storage !== 'memory'}\n`

const broker = new Broker(5, [], `[mqtt_offline_message]\nstore_qos0 = true\n\n${ALL.map(tableOf).join('\n')}`)

const EARLIEST: Properties = [['userProperty', ['replay-from', 'earliest']]]

const factsOf = (messages: readonly Publish[]): readonly string[] =>
  messages.map(({ topic, payload, qos, retain }) => `${topic} ${payload} ${qos}${retain ? ' retained' : ''}`)
const payloadsOf = (messages: readonly Publish[]): readonly string[] => messages.map(({ payload }) => payload)
const numbered = (first: number, count: number): readonly string[] => Array.from({ length: count }, (_, at) => String(first + at))

async function publish(publisher: Client, topic: string, payloads: readonly string[], qos: 0 | 1 | 2 = 1): Promise<void> {
  for (const payload of payloads) assert.equal(await publisher.publish(topic, payload, { qos }), 0)
}

for (const storage of ALL) {
  suite(`type ${storage}, model independent`, { concurrency: true }, () => {
    const name = (): string => `${storage}/${broker.name()}`

    test('D2 each topic has a log', async () => {
      const count = `robustmq_engine_independent_logs{storage="${storage}"}`
      const publisher = await broker.client()
      const before = await metric(broker.server, count)
      for (const topic of [name(), name(), name()]) await publish(publisher, topic, ['a', 'b'])
      assert.ok((await metric(broker.server, count)) >= before + 3)
    })

    test('Q16 a wildcard that was there before its topics gets everything from the first message on, once and in order', async () => {
      const base = name()
      const subscriber = await broker.client()
      await subscriber.subscribe(`${base}/+`, 2)
      const publisher = await broker.client()
      for (const qos of [0, 1, 2] as const) {
        await publish(publisher, `${base}/${qos}`, ['a', 'b', 'c'], qos)
        const expected = ['a', 'b', 'c'].map((payload) => `${base}/${qos} ${payload} ${qos}`)
        assert.deepEqual(factsOf(await subscriber.receiveUntil('c')), expected)
      }
      assert.deepEqual(await subscriber.drain(), [])
    })

    test('Q16 a subscriber gets nothing from before its SUBACK', async () => {
      const topic = name()
      const publisher = await broker.client()
      await publish(publisher, topic, ['old'])
      const subscriber = await broker.client()
      await subscriber.subscribe([
        { filter: topic, options: 1 },
        { filter: `${topic}/#`, options: 2 },
      ])
      await publish(publisher, topic, ['new'])
      assert.deepEqual(payloadsOf(await subscriber.receiveUntil('new')), ['new'])
    })

    test('D10 Q15 a retained message comes as retained to those who come later, and its successor live', async () => {
      const topic = name()
      const publisher = await broker.client()
      const early = await broker.client()
      await early.subscribe(`${topic}/#`, 1)
      await publisher.publish(topic, '1', { qos: 1, retain: true })
      assert.deepEqual(factsOf([await early.receive()]), [`${topic} 1 1`])
      const late = await broker.client()
      await late.subscribe(`${topic}/#`, 1)
      assert.deepEqual(factsOf([await late.receive()]), [`${topic} 1 1 retained`])
      await publisher.publish(topic, '2', { qos: 1, retain: true })
      for (const client of [early, late]) assert.deepEqual(factsOf(await client.receiveUntil('2')), [`${topic} 2 1`])
    })

    test('D11 a shared group that was there before its topics hands out each message once', async () => {
      const base = name()
      const members = [await broker.client(), await broker.client()] as const
      for (const member of members) await member.subscribe(`$share/g/${base}/#`, 1)
      const publisher = await broker.client()
      for (const topic of ['a', 'b']) await publish(publisher, `${base}/${topic}`, numbered(0, 10))
      const got: string[] = []
      for (const member of members) {
        for (const packet of await member.drain()) {
          if (packet.type !== 'publish') continue
          got.push(`${packet.topic} ${packet.payload}`)
          await member.acknowledge(packet)
        }
      }
      const sent = ['a', 'b'].flatMap((topic) => numbered(0, 10).map((payload) => `${base}/${topic} ${payload}`))
      assert.deepEqual(got.sort(), sent.sort())
    })
  })
}

for (const storage of DURABLE) {
  suite(`type ${storage}, model independent, over connections`, { concurrency: true }, () => {
    const name = (): string => `${storage}/${broker.name()}`

    test('MQTT-4.5.0-1 a session that was away when a log came gets all of it, QoS 0 too where it is stored, and nothing twice', async () => {
      const base = name()
      const { client, clientId } = await broker.persistent()
      await client.subscribe(`${base}/+`, 2)
      const publisher = await broker.client()
      await publish(publisher, `${base}/known`, ['seen'])
      await publish(publisher, `${base}/fleeting`, ['seen too'], 0)
      for (const payload of ['seen', 'seen too']) assert.equal((await client.receive()).payload, payload)
      await client.disconnect()
      await publish(publisher, `${base}/known`, ['missed'])
      for (const qos of [0, 1, 2] as const) await publish(publisher, `${base}/later${qos}`, ['a', 'b'], qos)
      const back = (await broker.persistent({ clientId })).client
      const messages: Publish[] = []
      while (messages.length < 7) messages.push(await back.receive())
      for (const qos of [0, 1, 2] as const) {
        const topic = `${base}/later${qos}`
        const expected = [`${topic} a ${qos}`, `${topic} b ${qos}`]
        assert.deepEqual(factsOf(messages.filter((message) => message.topic === topic)), expected)
      }
      assert.deepEqual(payloadsOf(messages.filter(({ topic }) => topic === `${base}/known`)), ['missed'])
      assert.deepEqual(await back.drain(), [])
      await back.disconnect()
      const again = (await broker.persistent({ clientId })).client
      await publish(publisher, `${base}/last`, ['end'])
      assert.deepEqual(payloadsOf(await again.receiveUntil('end')), ['end'])
    })

    test('MQTT-4.4.0-1 MQTT-4.6.0-1 what was in flight from several logs is sent again with its packet ids, in the order of sending', async () => {
      const base = name()
      const { client, clientId } = await broker.persistent()
      await client.subscribe(`${base}/#`, 2)
      const publisher = await broker.client()
      for (let round = 0; round < 3; round++) {
        for (const topic of ['a', 'b', 'c']) await publish(publisher, `${base}/${topic}`, [`${topic}${round}`], round === 1 ? 2 : 1)
      }
      const first: Publish[] = []
      while (first.length < 9) first.push(await client.take('publish'))
      const done = first.filter(({ payload }) => payload === 'a0' || payload === 'b2')
      for (const message of done) await client.acknowledge(message)
      await client.drain()
      client.destroy()
      const back = (await broker.persistent({ clientId })).client
      const owed = first.filter((message) => !done.includes(message))
      const again: Publish[] = []
      while (again.length < owed.length) again.push(await back.receive())
      const idsOf = (messages: readonly Publish[]) => messages.map(({ payload, packetId }) => `${payload} ${packetId}`)
      assert.deepEqual(idsOf(again), idsOf(owed))
      assert.ok(again.every(({ dup }) => dup))
    })

    test('D8 history of several logs comes from the beginning, then what is live, also in logs that come then or while the client is away', async () => {
      const base = name()
      const publisher = await broker.client()
      for (const topic of ['a', 'b']) await publish(publisher, `${base}/${topic}`, numbered(0, 5))
      const { client, clientId } = await broker.persistent()
      await client.subscribe(`${base}/+`, 1, EARLIEST)
      await publish(publisher, `${base}/c`, numbered(0, 5))
      const messages: Publish[] = []
      while (messages.length < 15) messages.push(await client.receive())
      for (const topic of ['a', 'b', 'c'])
        assert.deepEqual(payloadsOf(messages.filter((message) => message.topic === `${base}/${topic}`)), numbered(0, 5))
      await client.disconnect()
      await publish(publisher, `${base}/d`, numbered(0, 5))
      const back = (await broker.persistent({ clientId })).client
      const missed = numbered(0, 5).map((payload) => `${base}/d ${payload} 1`)
      assert.deepEqual(factsOf(await back.receiveUntil('4')), missed)
      assert.deepEqual(await back.drain(), [])
    })

    test('D11 a member with a session that was away when a log came is given it when it is back', async () => {
      const base = name()
      const filter = `$share/g/${base}/#`
      const { client, clientId } = await broker.persistent()
      await client.subscribe(filter, 1)
      await client.disconnect()
      const publisher = await broker.client()
      for (const topic of ['a', 'b']) await publish(publisher, `${base}/${topic}`, ['x'])
      const back = (await broker.persistent({ clientId })).client
      const got = [await back.receive(), await back.receive()].map(({ topic }) => topic)
      assert.deepEqual(got.sort(), [`${base}/a`, `${base}/b`])
    })
  })
}
