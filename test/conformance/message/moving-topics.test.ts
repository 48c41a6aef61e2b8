// SPDX-License-Identifier: Apache-2.0
// Topics whose storage or model is changed while the node runs (SIGHUP): new messages go to another log, old ones stay for those who are owed them. Against a real node.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Broker } from '../harness/broker.ts'
import type { Client } from '../harness/client.ts'
import type { Publish } from '../harness/decode.ts'
import { encodePublish, type Properties } from '../harness/wire.ts'

/** In this order; the last is the first again. */
const PLACES = [
  ['rocksdb', 'shared'],
  ['rocksdb', 'independent'],
  ['segment', 'independent'],
  ['segment', 'shared'],
  ['rocksdb', 'independent'],
  ['rocksdb', 'shared'],
] as const
const EACH = 10

const configOf = (place: number): string => {
  const [storage, model] = PLACES[place] as (typeof PLACES)[number]
  return `[[topic]]\nfilter = "moving/#"\nstorage = "${storage}"\nmodel = "${model}"\n`
}

const broker = new Broker(5, [], configOf(0))

const EARLIEST: Properties = [['userProperty', ['replay-from', 'earliest']]]
const textOf = (place: number, at: number): string => `${place}:${at}`
const ALL = PLACES.flatMap((_, place) => Array.from({ length: EACH }, (_, at) => textOf(place, at)))

/** Publishes some messages in each place, and moves on with the last of them on their way. */
async function publishWhileMoving(topic: string, qos: 1 | 2): Promise<void> {
  const publisher = await broker.client()
  for (const place of PLACES.keys()) {
    if (place > 0) await broker.server.reload(configOf(place))
    for (let at = 0; at < EACH - 1; at++) assert.equal(await publisher.publish(topic, textOf(place, at), { qos }), 0)
    const packetId = publisher.packetId()
    publisher.send(encodePublish(5, { topic, payload: textOf(place, EACH - 1), qos, packetId }))
    if (place + 1 < PLACES.length) await broker.server.reload(configOf(place + 1))
    if (qos === 1) await publisher.take('puback')
    else {
      await publisher.take('pubrec')
      assert.equal(await publisher.release(packetId), 0)
    }
  }
}

async function receiveAll(client: Client): Promise<readonly Publish[]> {
  const messages: Publish[] = []
  while (messages.length < ALL.length) messages.push(await client.receive())
  assert.deepEqual(await client.drain(), [])
  return messages
}

/** Each once, and what was published in one place in its order. */
function assertComplete(messages: readonly Publish[]): void {
  const payloads = messages.map(({ payload }) => payload)
  assert.deepEqual([...payloads].sort(), [...ALL].sort())
  for (const place of PLACES.keys()) {
    const ofPlace = payloads.filter((payload) => payload.startsWith(`${place}:`)).map((payload) => Number(payload.split(':')[1]))
    assert.deepEqual(
      ofPlace,
      Array.from({ length: EACH }, (_, at) => at),
    )
  }
}

for (const qos of [1, 2] as const) {
  test(`D2 a topic that moves from log to log loses nothing at QoS ${qos}: live, for a session that is away, and for a replay`, async () => {
    const topic = `moving/${broker.name()}`
    const live = await broker.client()
    await live.subscribe('moving/+', qos)
    const away = await broker.persistent()
    await away.client.subscribe(topic, qos)
    const wide = await broker.persistent()
    await wide.client.subscribe('moving/#', qos)
    await wide.client.disconnect()
    await away.client.disconnect()
    await publishWhileMoving(topic, qos)
    assertComplete(await receiveAll(live))
    for (const { clientId } of [away, wide]) {
      const { client } = await broker.persistent({ clientId })
      assertComplete(await receiveAll(client))
      await client.disconnect()
    }
    const replaying = await broker.client()
    await replaying.subscribe(topic, qos, EARLIEST)
    assertComplete(await receiveAll(replaying))
    await broker.server.reload(configOf(0))
  })
}

test('D10 the retained message of a topic that has moved is the last one, for all who come', async () => {
  const topic = `moving/${broker.name()}`
  const publisher = await broker.client()
  for (const place of PLACES.keys()) {
    await broker.server.reload(configOf(place))
    await publisher.publish(topic, textOf(place, 0), { qos: 1, retain: true })
    const subscriber = await broker.client()
    await subscriber.subscribe(topic, 1)
    const { payload, retain } = await subscriber.receive()
    assert.deepEqual([payload, retain], [textOf(place, 0), true])
    subscriber.destroy()
  }
  await broker.server.reload(configOf(0))
})
