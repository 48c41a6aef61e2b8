// SPDX-License-Identifier: Apache-2.0
// CONNECT and CONNACK of MQTT 3.1.1 (sections 3.1, 3.2, 3.12, 3.14), and what MQTT 3.1 does in another way. Clause ids are those of the 3.1.1 specification.
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { Broker } from '../harness/broker.ts'
import {
  type ConnectFields,
  encodeAck,
  encodeConnect,
  encodeDisconnect,
  encodePublish,
  encodeSubscribe,
  frame,
  PINGREQ,
  text,
  uint16,
} from '../harness/wire.ts'

const broker = new Broker(4)

const FIRST_PACKETS: readonly (readonly [name: string, bytes: Buffer])[] = [
  ['PUBLISH', encodePublish(4, { topic: 'too/early' })],
  ['SUBSCRIBE', encodeSubscribe(4, 1, [{ filter: 'too/early', options: 0 }])],
  ['PUBREL', encodeAck('pubrel', 1)],
  ['PINGREQ', PINGREQ],
  ['DISCONNECT', encodeDisconnect()],
]
for (const [name, bytes] of FIRST_PACKETS) {
  test(`MQTT-3.1.0-1 ${name} before CONNECT ends the connection without a packet`, async () => {
    const client = await broker.open()
    client.send(bytes)
    assert.deepEqual(await client.untilClosed(), [])
  })
}

test('MQTT-3.1.0-2 a second CONNECT ends the connection', async () => {
  const { client, clientId } = await broker.connect()
  client.send(encodeConnect({ version: 4, clientId }))
  assert.deepEqual(await client.untilClosed(), [])
})

for (const protocolName of ['', 'mqtt', 'MQT', 'MQIsdp', 'AMQP']) {
  test(`MQTT-3.1.2-1 the protocol name '${protocolName}' is not accepted at level 4`, async () => {
    assert.ok([undefined, 1].includes(await broker.refusal({ protocolName })))
  })
}

for (const level of [0, 1, 2, 3, 6, 0x7f]) {
  test(`MQTT-3.1.2-2 MQTT-3.2.2-4 level ${level} is refused with return code 1`, async () => {
    const client = await broker.open(4)
    client.send(encodeConnect({ version: 4, clientId: broker.name('client'), level }))
    assert.equal(await client.closeReason(), 1)
  })
}

test('MQTT-3.1.2-3 the reserved flag must be 0', async () => assert.equal(await broker.refusal({ flags: 0x03 }), undefined))

test('MQTT-3.1.2-6 MQTT-3.1.4-3 MQTT-3.2.2-1 clean session ends the session that was there', async () => {
  const topic = broker.name()
  const first = await broker.persistent()
  await first.client.subscribe(topic, 1)
  await first.client.disconnect()
  const publisher = await broker.client()
  await publisher.publish(topic, 'for the old session', { qos: 1 })
  const second = await broker.connect({ clientId: first.clientId })
  assert.equal(second.connack.sessionPresent, false)
  assert.deepEqual(await second.client.drain(), [])
})

test('MQTT-3.1.2-6 what a clean session leaves is not there for the next one', async () => {
  const { client, clientId } = await broker.connect()
  await client.subscribe(clientId, 1)
  await client.disconnect()
  const { connack } = await broker.persistent({ clientId })
  assert.equal(connack.sessionPresent, false)
})

test('MQTT-3.1.2-4 MQTT-3.2.2-2 MQTT-3.2.2-3 MQTT-4.1.0-1 without clean session the session goes on, and CONNACK says whether there was one', async () => {
  const topic = broker.name()
  const first = await broker.persistent()
  assert.equal(first.connack.sessionPresent, false)
  await first.client.subscribe(topic, 1)
  first.client.destroy()
  const second = await broker.persistent({ clientId: first.clientId })
  assert.equal(second.connack.sessionPresent, true)
  await second.client.publish(topic, 'still subscribed', { qos: 1 })
  assert.equal((await second.client.receive()).payload, 'still subscribed')
})

const CLOSED: readonly (readonly [clause: string, what: string, fields: ConnectFields])[] = [
  ['MQTT-3.1.2-11 MQTT-3.1.2-15', 'a will retain flag without a will', { flags: 0x22 }],
  ['MQTT-3.1.2-13', 'a will QoS without a will', { flags: 0x0a }],
  ['MQTT-3.1.2-14', 'a will QoS of 3', { will: { topic: 'w', qos: 3 } }],
  ['MQTT-3.1.2-9', 'a will that is announced and missing', { flags: 0x06 }],
  ['MQTT-3.1.2-18', 'a user name without its flag', { userName: 'u', flags: 0x02 }],
  ['MQTT-3.1.2-19', 'a user name flag without a user name', { flags: 0x82 }],
  ['MQTT-3.1.2-20', 'a password without its flag', { userName: 'u', password: 'p', flags: 0x82 }],
  ['MQTT-3.1.2-21', 'a password flag without a password', { userName: 'u', flags: 0xc2 }],
  ['MQTT-3.1.2-22', 'a password without a user name', { password: 'p' }],
  ['MQTT-3.1.3-4', 'a client id that is not UTF-8', { clientId: Buffer.of(0xc3, 0x28) }],
  ['MQTT-1.5.3-2', 'a client id with a null character', { clientId: 'a\0b' }],
  ['MQTT-3.1.3-10', 'a will topic that is not UTF-8', { will: { topic: Buffer.of(0xff) } }],
  ['MQTT-3.1.3-11', 'a user name that is not UTF-8', { userName: Buffer.of(0xff) }],
]
for (const [clause, what, fields] of CLOSED) {
  test(`${clause} MQTT-3.1.4-1 ${what} ends the connection without CONNACK`, async () => {
    assert.equal(await broker.refusal(fields), undefined)
  })
}

test('MQTT-3.1.3-5 a client id of 23 letters and digits is allowed', async () => {
  await broker.connect({ clientId: '0123456789ABCDEFGHIJabc' })
})

test('MQTT-3.1.3-6 a client without an id is accepted with clean session', async () => {
  const [first, second] = [await broker.client({ clientId: '' }), await broker.client({ clientId: '' })]
  assert.deepEqual([await first.drain(), await second.drain()], [[], []], 'and two of them do not take each other over')
})

test('MQTT-3.1.3-7 MQTT-3.1.3-8 MQTT-3.2.2-5 without clean session it is refused with return code 2', async () => {
  assert.equal(await broker.refusal({ clientId: '', cleanStart: false }), 2)
})

test('MQTT-3.1.4-2 a second connection of a client ends the first, which is not told why', async () => {
  const { client, clientId } = await broker.persistent()
  const second = await broker.persistent({ clientId })
  assert.equal(second.connack.sessionPresent, true)
  assert.deepEqual(await client.untilClosed(), [])
  assert.deepEqual(await second.client.drain(), [])
})

test('MQTT-3.1.4-2 also when the two are of different versions', async () => {
  const { client, clientId } = await broker.persistent({ version: 5 })
  await client.subscribe(clientId, 1)
  const second = await broker.persistent({ clientId })
  assert.equal(second.connack.sessionPresent, true)
  assert.equal(await client.closeReason(), 0x8e)
  const third = await broker.persistent({ clientId, version: 5 })
  assert.equal(third.connack.sessionPresent, true)
  assert.deepEqual(await second.client.untilClosed(), [])
  await third.client.publish(clientId, 'subscribed', { qos: 1 })
  assert.equal((await third.client.receive()).payload, 'subscribed')
})

test('MQTT-3.1.4-5 what follows a CONNECT that is refused is not processed', async () => {
  const topic = broker.name()
  const watcher = await broker.client()
  await watcher.subscribe(topic, 1)
  const refused = await broker.open()
  refused.send(encodeConnect({ version: 4, clientId: '', cleanStart: false }), encodePublish(4, { topic, payload: 'from a stranger' }))
  assert.equal(await refused.closeReason(), 2)
  await watcher.publish(topic, 'end')
  assert.equal((await watcher.receiveUntil('end')).length, 1)
})

test('MQTT-3.2.0-1 a client need not wait for CONNACK, which comes first', async () => {
  const client = await broker.open()
  client.send(
    encodeConnect({ version: 4, clientId: broker.name('client') }),
    encodeSubscribe(4, 1, [{ filter: broker.name(), options: 2 }]),
    PINGREQ,
  )
  assert.deepEqual(await client.next('connack'), { type: 'connack', sessionPresent: false, reasonCode: 0, properties: [] })
  assert.deepEqual((await client.take('suback')).reasonCodes, [2])
  await client.take('pingresp')
})

test('3.1.3.5 a user name and a password are accepted, empty ones too', async () => {
  await broker.connect({ userName: 'somebody', password: Buffer.of(0, 255) })
  await broker.connect({ userName: '', password: '' })
  await broker.connect({ userName: 'somebody' })
})

test('MQTT-3.12.4-1 PINGREQ is answered', async () => {
  const client = await broker.client()
  client.send(PINGREQ)
  await client.next('pingresp')
})

test('MQTT-3.14.4-1 DISCONNECT ends the connection, and what follows it is not processed', async () => {
  const topic = broker.name()
  const watcher = await broker.client()
  await watcher.subscribe(topic, 1)
  const client = await broker.client()
  client.send(encodePublish(4, { topic, payload: 'before' }), encodeDisconnect(), encodePublish(4, { topic, payload: 'after' }))
  assert.deepEqual(await client.untilClosed(), [])
  await watcher.publish(topic, 'end')
  assert.deepEqual(
    (await watcher.receiveUntil('end')).map(({ payload }) => payload),
    ['before', 'end'],
  )
})

suite('MQTT 3.1', () => {
  test('3.1 a client of MQTT 3.1 connects, subscribes, publishes and leaves', async () => {
    const topic = broker.name()
    const { client, connack } = await broker.connect({ version: 3 })
    assert.deepEqual(connack, { type: 'connack', sessionPresent: false, reasonCode: 0, properties: [] })
    assert.deepEqual(await client.subscribe(topic, 2), [2])
    for (const qos of [0, 1, 2] as const) {
      await client.publish(topic, `at QoS ${qos}`, { qos })
      assert.equal((await client.receive()).qos, qos)
    }
    assert.deepEqual(await client.unsubscribe(topic), [])
    assert.deepEqual(await client.disconnect(), [])
  })

  test('3.1 a session goes on, and CONNACK has no flag to tell of it', async () => {
    const topic = broker.name()
    const first = await broker.persistent({ version: 3 })
    await first.client.subscribe(topic, 1)
    await first.client.disconnect()
    const publisher = await broker.client()
    await publisher.publish(topic, 'waited', { qos: 1 })
    const second = await broker.persistent({ version: 3, clientId: first.clientId })
    assert.equal(second.connack.sessionPresent, false)
    assert.equal((await second.client.receive()).payload, 'waited')
  })

  test('3.1 the length of the packet takes precedence over the flags: a user name may be announced and missing', async () => {
    const client = await broker.open(3)
    client.send(frame(0x10, text('MQIsdp'), Buffer.of(3, 0xc2), uint16(0), text(broker.name('client'))))
    assert.equal((await client.next('connack')).reasonCode, 0)
  })

  test('3.1 a client id has at least one character: an empty one is refused with return code 2', async () => {
    assert.equal(await broker.refusal({ version: 3, clientId: '' }), 2)
  })
})

suite('keep alive', { concurrency: true }, () => {
  for (const version of [3, 4] as const) {
    test(`MQTT-3.1.2-24 a silent client of level ${version} is disconnected after one and a half times the keep alive`, async () => {
      const client = await broker.client({ version, keepAliveSeconds: 1 })
      const start = performance.now()
      assert.deepEqual(await client.untilClosed(), [])
      assert.ok(performance.now() - start > 1400, `it took ${performance.now() - start} ms`)
    })
  }
})
