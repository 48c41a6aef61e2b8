// SPDX-License-Identifier: Apache-2.0
// CONNECT and CONNACK (MQTT 5 sections 3.1, 3.2, 3.12).
import assert from 'node:assert/strict'
import { suite, test } from 'node:test'
import { Broker } from '../harness/broker.ts'
import { propertyOf } from '../harness/decode.ts'
import {
  type ConnectFields,
  encodeAck,
  encodeAuth,
  encodeConnect,
  encodeDisconnect,
  encodePublish,
  encodeSubscribe,
  encodeUnsubscribe,
  frame,
  PINGREQ,
  text,
} from '../harness/wire.ts'

const broker = new Broker(5)

const FIRST_PACKETS: readonly (readonly [name: string, bytes: Buffer])[] = [
  ['PUBLISH', encodePublish(5, { topic: 'too/early' })],
  ['SUBSCRIBE', encodeSubscribe(5, 1, [{ filter: 'too/early', options: 0 }])],
  ['UNSUBSCRIBE', encodeUnsubscribe(5, 1, ['too/early'])],
  ['PUBACK', encodeAck('puback', 1)],
  ['PUBREL', encodeAck('pubrel', 1)],
  ['PINGREQ', PINGREQ],
  ['DISCONNECT', encodeDisconnect(0)],
  ['AUTH', encodeAuth(0x18, [['authenticationMethod', 'm']])],
  ['a reserved type', frame(0x00)],
]
for (const [name, bytes] of FIRST_PACKETS) {
  test(`MQTT-3.1.0-1 MQTT-3.14.0-1 ${name} before CONNECT ends the connection without a packet`, async () => {
    const client = await broker.open()
    client.send(bytes)
    assert.deepEqual(await client.untilClosed(), [])
  })
}

test('MQTT-3.1.0-2 a second CONNECT is a protocol error', async () => {
  const { client, clientId } = await broker.connect()
  client.send(encodeConnect({ clientId }))
  assert.equal(await client.closeReason(), 0x82)
})

for (const protocolName of ['', 'mqtt', 'MQT', 'MQTTT', 'MQIsdp', 'HTTP']) {
  test(`MQTT-3.1.2-1 the protocol name '${protocolName}' is not accepted at level 5`, async () => {
    const client = await broker.open(protocolName === 'MQIsdp' ? 3 : 5)
    client.send(encodeConnect({ clientId: broker.name('client'), protocolName }))
    const reasonCode = await client.closeReason()
    assert.ok([undefined, 0x84, 1].includes(reasonCode), `it was answered with ${reasonCode}`)
  })
}

test('MQTT-3.1.2-2 level 6 is answered with 0x84', async () => assert.equal(await broker.refusal({ level: 6 }), 0x84))

test('MQTT-3.1.2-3 the reserved flag must be 0', async () => assert.equal(await broker.refusal({ flags: 0x03 }), 0x81))

test('MQTT-3.1.2-4 MQTT-3.2.2-2 clean start ends the session that was there, with its subscriptions and messages', async () => {
  const topic = broker.name()
  const first = await broker.persistent()
  await first.client.subscribe(topic, 1)
  await first.client.disconnect()
  const publisher = await broker.client()
  await publisher.publish(topic, 'for the old session', { qos: 1 })
  const second = await broker.connect({ clientId: first.clientId, cleanStart: true })
  assert.equal(second.connack.sessionPresent, false)
  await publisher.publish(topic, 'nobody is subscribed', { qos: 1 })
  assert.deepEqual(await second.client.drain(), [])
  assert.deepEqual(await second.client.unsubscribe(topic), [0x11], 'the subscription is gone')
})

test('MQTT-3.1.2-5 MQTT-3.2.2-3 without clean start the session goes on', async () => {
  const topic = broker.name()
  const first = await broker.persistent()
  assert.equal(first.connack.sessionPresent, false, 'MQTT-3.1.2-6: there was none')
  await first.client.subscribe(topic, 1)
  await first.client.disconnect()
  const second = await broker.persistent({ clientId: first.clientId })
  assert.equal(second.connack.sessionPresent, true)
  await second.client.publish(topic, 'still subscribed', { qos: 1 })
  assert.equal((await second.client.receive()).payload, 'still subscribed')
})

test('MQTT-3.1.3-2 sessions of different clients have nothing in common', async () => {
  const topic = broker.name()
  const first = await broker.persistent()
  await first.client.subscribe(topic, 1)
  const other = await broker.persistent()
  assert.equal(other.connack.sessionPresent, false)
  assert.deepEqual(await other.client.unsubscribe(topic), [0x11])
})

const REFUSED: readonly (readonly [clause: string, what: string, fields: ConnectFields, codes: readonly number[]])[] = [
  ['MQTT-3.1.2-11', 'a will QoS without a will', { flags: 0x0a }, [0x81, 0x82]],
  ['MQTT-3.1.2-12', 'a will QoS of 3', { will: { topic: 'w', qos: 3 } }, [0x81]],
  ['MQTT-3.1.2-13', 'a will retain flag without a will', { flags: 0x22 }, [0x81, 0x82]],
  ['MQTT-3.1.2-9', 'a will that is announced and missing', { flags: 0x06 }, [0x81]],
  ['MQTT-3.1.2-16', 'a user name without its flag', { userName: 'u', flags: 0x02 }, [0x81]],
  ['MQTT-3.1.2-17', 'a user name flag without a user name', { flags: 0x82 }, [0x81]],
  ['MQTT-3.1.2-19', 'a password flag without a password', { userName: 'u', flags: 0xc2 }, [0x81]],
  ['MQTT-3.1.3-4', 'a client id that is not UTF-8', { clientId: Buffer.of(0xc3, 0x28) }, [0x81, 0x85]],
  ['MQTT-1.5.4-2', 'a client id with a null character', { clientId: 'a\0b' }, [0x81, 0x85]],
  ['MQTT-3.1.3-11', 'a will topic that is not UTF-8', { will: { topic: Buffer.of(0xed, 0xa0, 0x80) } }, [0x81, 0x90]],
  ['MQTT-4.7.0-1', 'a will topic with a wildcard', { will: { topic: 'a/+' } }, [0x81, 0x82, 0x90]],
  ['MQTT-4.7.3-1', 'an empty will topic', { will: { topic: '' } }, [0x81, 0x82, 0x90]],
  ['MQTT-3.1.3-12', 'a user name that is not UTF-8', { userName: Buffer.of(0xff) }, [0x81, 0x86]],
  ['3.1.2.11.3', 'a Receive Maximum of 0', { properties: [['receiveMaximum', 0]] }, [0x82]],
  ['3.1.2.11.4', 'a Maximum Packet Size of 0', { properties: [['maximumPacketSize', 0]] }, [0x82]],
  ['3.1.2.11.6', 'a Request Response Information of 2', { properties: [['requestResponseInformation', 2]] }, [0x82]],
  ['3.1.2.11.7', 'a Request Problem Information of 2', { properties: [['requestProblemInformation', 2]] }, [0x82]],
  [
    '3.1.2.11.2',
    'a Session Expiry Interval that comes twice',
    {
      properties: [
        ['sessionExpiry', 1],
        ['sessionExpiry', 1],
      ],
    },
    [0x82],
  ],
  ['3.1.2.11.10', 'Authentication Data without a method', { properties: [['authenticationData', 'x']] }, [0x82]],
  ['2.2.2.2', 'a property of another packet', { properties: [['topicAlias', 1]] }, [0x81]],
  ['2.2.2.2', 'a will property among those of CONNECT', { properties: [['willDelay', 1]] }, [0x81]],
  ['2.2.2.2', 'a CONNECT property among those of the will', { will: { topic: 'w', properties: [['receiveMaximum', 1]] } }, [0x81]],
  ['3.1.3.2.3', 'a will Payload Format Indicator of 2', { will: { topic: 'w', properties: [['payloadFormat', 2]] } }, [0x81, 0x82, 0x99]],
  [
    '3.1.3.2.6',
    'a will Response Topic with a wildcard',
    { will: { topic: 'w', properties: [['responseTopic', '#']] } },
    [0x81, 0x82, 0x90],
  ],
  ['MQTT-4.12.0-1', 'an Authentication Method that the server does not have', { properties: [['authenticationMethod', 'SCRAM']] }, [0x8c]],
]
for (const [clause, what, fields, codes] of REFUSED) {
  test(`${clause} MQTT-3.2.2-7 MQTT-3.2.2-8 ${what} is refused with CONNACK and closed`, async () => {
    const reasonCode = await broker.refusal(fields)
    assert.ok(reasonCode !== undefined && codes.includes(reasonCode), `it was answered with 0x${reasonCode?.toString(16)}`)
  })
}

test('MQTT-3.1.4-1 bytes behind the last field of CONNECT are malformed', async () => {
  const client = await broker.open()
  const valid = encodeConnect({ clientId: broker.name('client') })
  client.send(frame(0x10, valid.subarray(2), Buffer.from('more')))
  assert.equal(await client.closeReason(), 0x81)
})

test('MQTT-3.1.4-1 a CONNECT that ends in the middle of a field is malformed', async () => {
  const client = await broker.open()
  client.send(frame(0x10, encodeConnect({ clientId: 'cut-short' }).subarray(2, -4)))
  assert.equal(await client.closeReason(), 0x81)
})

const ACCEPTED: readonly (readonly [what: string, fields: ConnectFields])[] = [
  ['a user name and a password', { userName: 'somebody', password: 'secret' }],
  ['a user name alone', { userName: 'somebody' }],
  ['a password alone', { password: 'secret' }],
  ['an empty user name and an empty password', { userName: '', password: '' }],
  ['a will without a payload', { will: { topic: 'somewhere' } }],
  [
    'all properties',
    {
      properties: [
        ['sessionExpiry', 1],
        ['receiveMaximum', 10],
        ['maximumPacketSize', 10_000],
        ['topicAliasMaximum', 10],
        ['requestResponseInformation', 1],
        ['requestProblemInformation', 0],
        ['userProperty', ['a', 'b']],
        ['userProperty', ['a', 'b']],
      ],
    },
  ],
]
for (const [what, fields] of ACCEPTED) {
  test(`MQTT-3.1.4-5 CONNECT with ${what} is accepted`, async () => {
    const client = await broker.client(fields)
    assert.deepEqual(await client.drain(), [])
  })
}

for (const clientId of ['a', 'ABCDEFGHIJKLMNOPQRSTUVW', 'XYZabcdefghijklmnopqrst', 'uvwxyz0123456789']) {
  test(`MQTT-3.1.3-5 the client id ${clientId} is allowed`, async () => {
    assert.equal((await broker.connect({ clientId })).connack.sessionPresent, false)
  })
}

test('MQTT-3.1.3-6 MQTT-3.1.3-7 MQTT-3.2.2-16 clients without an id get one each', async () => {
  const ids = new Set<unknown>()
  for (const cleanStart of [true, false, true]) {
    const { connack } = await broker.connect({ clientId: '', cleanStart })
    assert.equal(connack.sessionPresent, false)
    ids.add(propertyOf(connack, 'assignedClientId'))
  }
  assert.equal(ids.size, 3)
  assert.ok(!ids.has(undefined) && !ids.has(''))
})

test('MQTT-3.1.3-7 an assigned client id finds its session again', async () => {
  const { client, connack } = await broker.persistent({ clientId: '' })
  const clientId = propertyOf(connack, 'assignedClientId') as string
  await client.disconnect()
  const again = await broker.persistent({ clientId })
  assert.equal(again.connack.sessionPresent, true)
  assert.equal(propertyOf(again.connack, 'assignedClientId'), undefined, 'a client with an id of its own is not assigned one')
})

test('MQTT-3.1.4-6 what follows a CONNECT that is refused is not processed', async () => {
  const topic = broker.name()
  const watcher = await broker.client()
  await watcher.subscribe(topic, 1)
  const refused = await broker.open()
  refused.send(
    encodeConnect({ clientId: broker.name('client'), properties: [['authenticationMethod', 'none']] }),
    encodePublish(5, { topic, payload: 'from a stranger' }),
  )
  assert.equal(await refused.closeReason(), 0x8c)
  await watcher.publish(topic, 'end')
  assert.deepEqual((await watcher.receiveUntil('end')).length, 1)
})

test('MQTT-3.1.4-5 a client need not wait for CONNACK before it goes on', async () => {
  const topic = broker.name()
  const client = await broker.open()
  client.send(
    encodeConnect({ clientId: broker.name('client') }),
    encodeSubscribe(5, 1, [{ filter: topic, options: 1 }]),
    encodePublish(5, { topic, payload: 'at once', qos: 1, packetId: 2 }),
    PINGREQ,
  )
  assert.equal((await client.next('connack')).reasonCode, 0, 'MQTT-3.2.0-1: CONNACK is first')
  assert.deepEqual((await client.take('suback')).reasonCodes, [1])
  assert.equal((await client.take('puback')).packetId, 2)
  await client.take('pingresp')
})

test('MQTT-3.1.2-10 a client that says hello and goodbye in one breath is accepted, and has no will', async () => {
  const topic = broker.name()
  const watcher = await broker.client()
  await watcher.subscribe(topic, 1)
  const client = await broker.open()
  client.send(encodeConnect({ clientId: broker.name('client'), will: { topic, qos: 1 } }), encodeDisconnect())
  const [connack, ...others] = await client.untilClosed()
  assert.deepEqual([connack?.type, others], ['connack', []])
  await watcher.publish(topic, 'end', { qos: 1 })
  assert.equal((await watcher.receiveUntil('end')).length, 1)
})

test('MQTT-3.1.4-5 clients that leave before CONNACK leave nothing behind that is in the way', async () => {
  const clientId = broker.name('client')
  for (let count = 0; count < 10; count++) {
    const client = await broker.open()
    client.send(encodeConnect({ clientId, cleanStart: false, properties: [['sessionExpiry', 600]] }))
    client.destroy()
  }
  const { client } = await broker.persistent({ clientId })
  assert.deepEqual(await client.subscribe(clientId, 1), [1])
  await client.publish(clientId, 'here', { qos: 1 })
  assert.equal((await client.receive()).payload, 'here')
})

test('MQTT-4.2-1 packets may come one byte at a time', async () => {
  const client = await broker.open()
  const bytes = Buffer.concat([encodeConnect({ clientId: broker.name('client') }), PINGREQ])
  for (const byte of bytes) client.send(Buffer.of(byte))
  await client.next('connack')
  await client.next('pingresp')
})

test('MQTT-3.2.0-1 MQTT-3.2.0-2 CONNACK is first and comes once, also when messages wait', async () => {
  const topic = broker.name()
  const { client, clientId } = await broker.persistent()
  await client.subscribe(topic, 1)
  await client.disconnect()
  const publisher = await broker.client()
  for (const payload of ['1', '2', '3']) await publisher.publish(topic, payload, { qos: 1 })
  const back = await broker.open()
  back.send(encodeConnect({ clientId, cleanStart: false }))
  assert.equal((await back.next('connack')).sessionPresent, true)
  for (const payload of ['1', '2', '3']) assert.equal((await back.next('publish')).payload, payload)
  assert.deepEqual(await back.drain(), [])
})

test('3.2.2.3 CONNACK tells the limits that are not those of the specification, and no others', async () => {
  const { connack } = await broker.connect({ keepAliveSeconds: 60 })
  const limits: readonly string[] = connack.properties.map(([name]) => name)
  assert.equal(typeof propertyOf(connack, 'maximumPacketSize'), 'number')
  assert.equal(typeof propertyOf(connack, 'receiveMaximum'), 'number')
  assert.equal(typeof propertyOf(connack, 'topicAliasMaximum'), 'number')
  for (const absent of ['maximumQos', 'serverKeepAlive', 'sessionExpiry', 'assignedClientId', 'authenticationMethod'])
    assert.ok(!limits.includes(absent), `${absent} has nothing to say`)
  for (const available of ['retainAvailable', 'wildcardAvailable', 'identifiersAvailable', 'sharedAvailable'] as const)
    assert.ok(propertyOf(connack, available) !== 0, available)
})

test('MQTT-3.1.2-28 Response Information is not returned unless it is asked for', async () => {
  const { connack } = await broker.connect({ properties: [['requestResponseInformation', 0]] })
  assert.equal(propertyOf(connack, 'responseInformation'), undefined)
})

test('MQTT-3.1.2-29 without Request Problem Information nothing but CONNACK and DISCONNECT explains itself', async () => {
  const client = await broker.client({ properties: [['requestProblemInformation', 0]] })
  client.send(encodeSubscribe(5, 1, [{ filter: '$share//t', options: 0 }]), encodeUnsubscribe(5, 2, ['never/subscribed']))
  client.send(encodeAck('pubrel', 3), encodeAck('pubrec', 4))
  for (const packet of await client.drain()) assert.deepEqual('properties' in packet ? packet.properties : [], [])
})

test('MQTT-3.12.4-1 each PINGREQ is answered', async () => {
  const client = await broker.client()
  client.send(PINGREQ, PINGREQ, PINGREQ)
  for (let count = 0; count < 3; count++) await client.next('pingresp')
})

test('1.5.4 a client id may have any character, and is told from others byte by byte', async () => {
  const composed = await broker.persistent({ clientId: 'caf\u00e9 \u{1f680}' })
  await composed.client.disconnect()
  assert.equal((await broker.persistent({ clientId: 'cafe\u0301 \u{1f680}' })).connack.sessionPresent, false)
  assert.equal((await broker.persistent({ clientId: 'caf\u00e9 \u{1f680}' })).connack.sessionPresent, true)
})

test('3.1.2.11.1 a CONNECT whose property section is longer than the packet is malformed', async () => {
  const client = await broker.open()
  client.send(frame(0x10, text('MQTT'), Buffer.of(5, 2, 0, 0, 0x7f), text('c')))
  assert.equal(await client.closeReason(), 0x81)
})

suite('keep alive', { concurrency: true }, () => {
  test('MQTT-3.1.2-22 a silent client is disconnected after one and a half times the keep alive, and not before', async () => {
    const { client } = await broker.connect({ keepAliveSeconds: 1 })
    const start = performance.now()
    assert.equal(await client.closeReason(), 0x8d)
    assert.ok(performance.now() - start > 1400, `it took ${performance.now() - start} ms`)
  })

  test('MQTT-3.1.2-22 any packet keeps a connection alive', async () => {
    const kept = await broker.client({ keepAliveSeconds: 3 })
    for (const packet of [PINGREQ, encodePublish(5, { topic: broker.name() }), encodeAck('puback', 9), PINGREQ]) {
      const silent = await broker.client({ keepAliveSeconds: 1 })
      await silent.untilClosed()
      assert.equal(kept.closed, false)
      kept.send(packet)
    }
    await kept.drain()
  })

  test('MQTT-3.1.2-22 bytes that make no packet do not keep a connection alive', async () => {
    const client = await broker.client({ keepAliveSeconds: 1 })
    const packet = encodePublish(5, { topic: broker.name(), payload: 'comes byte by byte' })
    for (const byte of packet.subarray(0, 5)) {
      client.send(Buffer.of(byte))
      await broker.secondsPass(1)
    }
    assert.equal(client.closed, true)
    assert.equal(await client.closeReason(), 0x8d)
  })

  test('3.1.2.10 a keep alive of 0 is off', async () => {
    const client = await broker.client({ keepAliveSeconds: 0 })
    await broker.secondsPass(3)
    assert.deepEqual(await client.drain(), [])
  })
})
