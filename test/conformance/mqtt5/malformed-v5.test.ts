// SPDX-License-Identifier: Apache-2.0
// What must not be sent, packet by packet: the server says why, and closes (MQTT 5 section 4.13).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Broker } from '../harness/broker.ts'
import {
  encodeAck,
  encodeAuth,
  encodeDisconnect,
  encodePublish,
  encodeSubscribe,
  encodeUnsubscribe,
  frame,
  text,
  uint16,
} from '../harness/wire.ts'

const broker = new Broker(5)

const MALFORMED = 0x81
const PROTOCOL_ERROR = 0x82
/** Where the specification forbids without naming a code. */
const EITHER = [MALFORMED, PROTOCOL_ERROR]

const NO_PROPERTIES = Buffer.of(0)
const publishOf = (...parts: readonly Buffer[]): Buffer => frame(0x30, ...parts)
const subscribeOf = (options: number, filter = 'a'): Buffer => encodeSubscribe(5, 1, [{ filter, options }])

type Row = readonly [clause: string, what: string, bytes: Buffer, codes: number | readonly number[]]

const FIXED_HEADER: readonly Row[] = [
  ['2.1.2', 'the reserved packet type 0', frame(0x00), MALFORMED],
  ['MQTT-3.8.1-1', 'SUBSCRIBE with flags 0', frame(0x80, uint16(1), NO_PROPERTIES, text('a'), Buffer.of(0)), MALFORMED],
  ['MQTT-3.10.1-1', 'UNSUBSCRIBE with flags 0', frame(0xa0, uint16(1), NO_PROPERTIES, text('a')), MALFORMED],
  ['MQTT-3.6.1-1', 'PUBREL with flags 0', frame(0x60, uint16(1)), MALFORMED],
  ['MQTT-2.1.3-1', 'PUBACK with flags 2', frame(0x42, uint16(1)), MALFORMED],
  ['MQTT-2.1.3-1', 'PINGREQ with flags 1', frame(0xc1), MALFORMED],
  ['MQTT-3.14.1-1', 'DISCONNECT with flags 1', frame(0xe1), MALFORMED],
  ['MQTT-3.15.1-1', 'AUTH with flags 1', frame(0xf1), MALFORMED],
  ['MQTT-3.3.1-4', 'PUBLISH with both QoS bits', encodePublish(5, { topic: 'a', qos: 3, packetId: 1 }), MALFORMED],
  ['MQTT-3.3.1-2', 'PUBLISH at QoS 0 with DUP', encodePublish(5, { topic: 'a', dup: true }), EITHER],
  ['1.5.5', 'a remaining length of five bytes', Buffer.of(0x30, 0xff, 0xff, 0xff, 0xff, 0x01), MALFORMED],
  ['MQTT-1.5.5-1', 'a remaining length that is longer than need be', Buffer.of(0xc0, 0x80, 0x00), MALFORMED],
  ['2.1.4', 'PINGREQ with a body', frame(0xc0, Buffer.of(0)), MALFORMED],
  ['3.2', 'CONNACK from a client', frame(0x20, Buffer.of(0, 0, 0)), PROTOCOL_ERROR],
  ['3.9', 'SUBACK from a client', frame(0x90, uint16(1), Buffer.of(0, 0)), PROTOCOL_ERROR],
  ['3.11', 'UNSUBACK from a client', frame(0xb0, uint16(1), Buffer.of(0, 0)), PROTOCOL_ERROR],
  ['3.13', 'PINGRESP from a client', frame(0xd0), PROTOCOL_ERROR],
]

const PUBLISH: readonly Row[] = [
  ['MQTT-2.2.1-3', 'PUBLISH with packet id 0', encodePublish(5, { topic: 'a', qos: 1, packetId: 0 }), EITHER],
  ['3.3.2', 'PUBLISH that ends before its topic does', publishOf(uint16(5), Buffer.from('abc')), MALFORMED],
  ['3.3.2', 'PUBLISH that ends before its packet id', frame(0x32, text('a')), MALFORMED],
  ['MQTT-2.2.2-1', 'PUBLISH without a property length', publishOf(text('a')), MALFORMED],
  ['MQTT-1.5.5-1', 'PUBLISH with a padded property length', publishOf(text('a'), Buffer.of(0x80, 0x00)), MALFORMED],
  ['2.2.2.1', 'PUBLISH with properties longer than itself', publishOf(text('a'), Buffer.of(9, 1, 0)), MALFORMED],
  ['MQTT-3.3.2-1', 'a topic name that is not UTF-8', encodePublish(5, { topic: Buffer.of(0x61, 0xff) }), [MALFORMED, 0x90]],
  ['MQTT-1.5.4-1', 'a topic name with a surrogate', encodePublish(5, { topic: Buffer.of(0xed, 0xa0, 0x80) }), [MALFORMED, 0x90]],
  ['MQTT-1.5.4-1', 'a topic name with an overlong slash', encodePublish(5, { topic: Buffer.of(0xc0, 0xaf) }), [MALFORMED, 0x90]],
  ['MQTT-1.5.4-2', 'a topic name with a null character', encodePublish(5, { topic: 'a\0' }), [MALFORMED, 0x90]],
  ['MQTT-3.3.2-2', 'a topic name with a +', encodePublish(5, { topic: 'a/+/b' }), [...EITHER, 0x90]],
  ['MQTT-3.3.2-2', 'a topic name with a #', encodePublish(5, { topic: 'a/#' }), [...EITHER, 0x90]],
  ['3.3.2.1', 'an empty topic name without an alias', encodePublish(5, { topic: '' }), PROTOCOL_ERROR],
  ['MQTT-3.3.2-8', 'topic alias 0', encodePublish(5, { topic: 'a', properties: [['topicAlias', 0]] }), [PROTOCOL_ERROR, 0x94]],
  ['MQTT-3.3.2-9', 'a topic alias over the maximum', encodePublish(5, { topic: 'a', properties: [['topicAlias', 0xffff]] }), 0x94],
  ['3.3.2.3.4', 'a topic alias that was never set', encodePublish(5, { topic: '', properties: [['topicAlias', 3]] }), PROTOCOL_ERROR],
  ['MQTT-3.3.4-6', 'a subscription identifier', encodePublish(5, { topic: 'a', properties: [['subscriptionIdentifier', 1]] }), EITHER],
  ['3.3.2.3.2', 'a Payload Format Indicator of 2', encodePublish(5, { topic: 'a', properties: [['payloadFormat', 2]] }), [...EITHER, 0x99]],
  ['MQTT-3.3.2-14', 'a Response Topic with a wildcard', encodePublish(5, { topic: 'a', properties: [['responseTopic', 'r/#']] }), EITHER],
  ['MQTT-3.3.2-13', 'a Response Topic that is not UTF-8', publishOf(text('a'), Buffer.of(4, 8, 0, 1, 0xff)), MALFORMED],
  ['MQTT-3.3.2-19', 'a Content Type that is not UTF-8', publishOf(text('a'), Buffer.of(4, 3, 0, 1, 0xff)), MALFORMED],
  ['MQTT-1.5.7-1', 'a user property that is not UTF-8', publishOf(text('a'), Buffer.of(7, 38, 0, 1, 0x61, 0, 1, 0xfe)), MALFORMED],
  ['2.2.2.2', 'a property that there is not', publishOf(text('a'), Buffer.of(2, 0x7e, 0)), MALFORMED],
  ['2.2.2.2', 'a property identifier of two bytes', publishOf(text('a'), Buffer.of(3, 0x81, 0x01, 0)), MALFORMED],
  ['2.2.2.2', 'a property of CONNECT', encodePublish(5, { topic: 'a', properties: [['sessionExpiry', 1]] }), MALFORMED],
  ['2.2.2.2', 'a property that is cut short', publishOf(text('a'), Buffer.of(3, 2, 0, 0)), MALFORMED],
  ...(['payloadFormat', 'messageExpiry', 'contentType', 'responseTopic', 'correlationData', 'topicAlias'] as const).map((name): Row => {
    const value = name === 'payloadFormat' || name === 'messageExpiry' || name === 'topicAlias' ? 1 : 'x'
    const twice = encodePublish(5, {
      topic: 'a',
      properties: [
        [name, value],
        [name, value],
      ],
    })
    return ['3.3.2.3', `${name} twice in PUBLISH`, twice, PROTOCOL_ERROR]
  }),
]

const SUBSCRIBE: readonly Row[] = [
  ['MQTT-2.2.1-3', 'SUBSCRIBE with packet id 0', encodeSubscribe(5, 0, [{ filter: 'a', options: 0 }]), EITHER],
  ['MQTT-3.8.3-2', 'SUBSCRIBE without a filter', encodeSubscribe(5, 1, []), PROTOCOL_ERROR],
  ['MQTT-3.8.3-5', 'reserved subscription option 0x40', subscribeOf(0x40), MALFORMED],
  ['MQTT-3.8.3-5', 'reserved subscription option 0x80', subscribeOf(0x80), MALFORMED],
  ['3.8.3.1', 'a maximum QoS of 3', subscribeOf(0x03), PROTOCOL_ERROR],
  ['3.8.3.1', 'a retain handling of 3', subscribeOf(0x30), PROTOCOL_ERROR],
  ['MQTT-3.8.3-4', 'no local on a shared subscription', subscribeOf(0x04, '$share/g/a'), PROTOCOL_ERROR],
  ['MQTT-3.8.3-1', 'a filter that is not UTF-8', encodeSubscribe(5, 1, [{ filter: Buffer.of(0xff), options: 0 }]), [MALFORMED, 0x8f]],
  ['3.8.3', 'a filter without options', frame(0x82, uint16(1), NO_PROPERTIES, text('a')), MALFORMED],
  [
    '3.8.2.1.2',
    'a subscription identifier of 0',
    encodeSubscribe(5, 1, [{ filter: 'a', options: 0 }], [['subscriptionIdentifier', 0]]),
    PROTOCOL_ERROR,
  ],
  [
    '3.8.2.1.2',
    'a subscription identifier that comes twice',
    encodeSubscribe(
      5,
      1,
      [{ filter: 'a', options: 0 }],
      [
        ['subscriptionIdentifier', 1],
        ['subscriptionIdentifier', 2],
      ],
    ),
    PROTOCOL_ERROR,
  ],
  ['MQTT-2.2.1-3', 'UNSUBSCRIBE with packet id 0', encodeUnsubscribe(5, 0, ['a']), EITHER],
  ['MQTT-3.10.3-2', 'UNSUBSCRIBE without a filter', encodeUnsubscribe(5, 1, []), PROTOCOL_ERROR],
  ['MQTT-3.10.3-1', 'UNSUBSCRIBE with a filter that is not UTF-8', encodeUnsubscribe(5, 1, [Buffer.of(0xc1)]), [MALFORMED, 0x8f]],
  ['2.2.2.2', 'UNSUBSCRIBE with a subscription identifier', encodeUnsubscribe(5, 1, ['a'], [['subscriptionIdentifier', 1]]), MALFORMED],
  ...['a#', 'a/#/b', '#/a', 'a+', '+a', 'a/b+/c', '##', '++', ''].map(
    (filter): Row => [
      filter === '' ? 'MQTT-4.7.3-1' : filter.includes('#') ? 'MQTT-4.7.1-1' : 'MQTT-4.7.1-2',
      `the filter '${filter}'`,
      subscribeOf(0, filter),
      [...EITHER, 0x8f],
    ],
  ),
]

const OTHERS: readonly Row[] = [
  ['3.4.2', 'PUBACK of one byte', frame(0x40, Buffer.of(1)), MALFORMED],
  ['MQTT-2.2.1-5', 'PUBACK with packet id 0', encodeAck('puback', 0), EITHER],
  ['MQTT-3.4.2-1', 'PUBACK with a reason code of another packet', encodeAck('puback', 1, 0x8e), EITHER],
  ['MQTT-3.5.2-1', 'PUBREC with a reason code that there is not', encodeAck('pubrec', 1, 0x42), EITHER],
  ['MQTT-3.6.2-1', 'PUBREL with a reason code of PUBACK', encodeAck('pubrel', 1, 0x80), EITHER],
  ['MQTT-3.7.2-1', 'PUBCOMP with a reason code of PUBACK', encodeAck('pubcomp', 1, 0x10), EITHER],
  ['2.2.2.2', 'PUBACK with a property of PUBLISH', encodeAck('puback', 1, 0, [['contentType', 'x']]), MALFORMED],
  ['2.1.4', 'PUBACK with bytes behind its properties', frame(0x40, uint16(1), Buffer.of(0, 0, 0)), MALFORMED],
  ['MQTT-3.14.2-1', 'DISCONNECT with a reason code of servers', encodeDisconnect(0x8e), EITHER],
  ['3.14.2.2.2', 'DISCONNECT that gives a session without expiry a life', encodeDisconnect(0, [['sessionExpiry', 5]]), PROTOCOL_ERROR],
  ['3.14.2.2.5', 'DISCONNECT with a Server Reference', encodeDisconnect(0, [['serverReference', 'x']]), EITHER],
  ['2.1.4', 'DISCONNECT with bytes behind its properties', frame(0xe0, Buffer.of(0, 0, 0)), MALFORMED],
  ['MQTT-4.12.0-7', 'AUTH without a method in CONNECT', encodeAuth(0x18, [['authenticationMethod', 'm']]), PROTOCOL_ERROR],
  ['MQTT-4.12.0-7', 'AUTH to authenticate again', encodeAuth(0x19, [['authenticationMethod', 'm']]), PROTOCOL_ERROR],
  ['MQTT-3.15.2-1', 'AUTH with a reason code of another packet', encodeAuth(0x80, [['authenticationMethod', 'm']]), EITHER],
]

for (const [clause, what, bytes, codes] of [...FIXED_HEADER, ...PUBLISH, ...SUBSCRIBE, ...OTHERS]) {
  test(`${clause} ${what} ends the connection, and DISCONNECT says why`, async () => {
    const client = await broker.client()
    client.send(bytes)
    const reasonCode = await client.closeReason()
    const expected = typeof codes === 'number' ? [codes] : codes
    assert.ok(reasonCode !== undefined && expected.includes(reasonCode), `it was 0x${reasonCode?.toString(16)}`)
  })
}

test('MQTT-4.13.1-1 MQTT-4.13.2-1 nothing is processed after a packet that is malformed, and nothing but its answer is sent', async () => {
  const topic = broker.name()
  const watcher = await broker.client()
  await watcher.subscribe(topic, 1)
  const client = await broker.client()
  client.send(
    encodePublish(5, { topic, payload: 'before' }),
    frame(0xc1),
    encodePublish(5, { topic, payload: 'after' }),
    encodeSubscribe(5, 1, [{ filter: topic, options: 0 }]),
  )
  assert.equal(await client.closeReason(), 0x81)
  await watcher.publish(topic, 'end')
  assert.deepEqual(
    (await watcher.receiveUntil('end')).map(({ payload }) => payload),
    ['before', 'end'],
  )
})

test('MQTT-4.13.1-1 a malformed packet of one client does not touch another, or the session of its own', async () => {
  const { client, clientId } = await broker.persistent()
  const other = await broker.client()
  client.send(frame(0x00))
  assert.equal(await client.closeReason(), 0x81)
  assert.deepEqual(await other.drain(), [])
  assert.equal((await broker.persistent({ clientId })).connack.sessionPresent, true)
})
