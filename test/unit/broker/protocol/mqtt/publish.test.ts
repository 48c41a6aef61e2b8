// SPDX-License-Identifier: Apache-2.0
// PUBLISH as it comes in, by the clauses of MQTT 5 sections 3.3 and 4.7.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bytesOf, connected, packet, type Recorded, type RecordedPublish, received, refusal, section, text } from './recorder.ts'

function published(call: Recorded | undefined): RecordedPublish {
  assert.equal(call?.call, 'publish', JSON.stringify(call))
  return call as RecordedPublish
}

test('PUBLISH in 3.1, 3.1.1 and 5', () => {
  const qos1 = packet(0x3b, text('a/b'), '1234', '70')
  const expected = { call: 'publish', dup: true, qos: 1, retain: true, topic: 'a/b', packetId: 0x1234, payload: '70' }
  const none = { topicAlias: 0, messageExpirySeconds: -1, headers: '' }
  assert.deepEqual(received(3, qos1), { ...expected, ...none })
  assert.deepEqual(received(4, qos1), { ...expected, ...none })
  assert.deepEqual(received(5, packet(0x3b, text('a/b'), '1234', '00', '70')), { ...expected, ...none })
  assert.deepEqual(received(4, packet(0x30, text('a'))), {
    ...expected,
    ...none,
    dup: false,
    qos: 0,
    retain: false,
    topic: 'a',
    packetId: 0,
    payload: '',
  })
})

test('[MQTT-3.3.2-17] [MQTT-3.3.2-18] properties to pass on are taken out unaltered and in order, the others are not', () => {
  const kept = [
    `26${text('b')}${text('1')}`,
    '01 01',
    `26${text('a')}${text('2')}`,
    `03${text('t')}`,
    `08${text('r')}`,
    `09${text('c')}`,
    `26${text('b')}${text('')}`,
  ]
  const forwarded = kept.join('').replaceAll(' ', '')
  const alias = '23 0007'
  const expiry = '02 00000064'
  for (let first = 0; first <= kept.length; first++) {
    for (let second = 0; second <= kept.length; second++) {
      const properties = [...kept]
      properties.splice(Math.max(first, second), 0, first < second ? expiry : alias)
      properties.splice(Math.min(first, second), 0, first < second ? alias : expiry)
      const publish = published(received(5, packet(0x30, text('t'), section(...properties), 'ff')))
      assert.equal(publish.headers, forwarded, `alias before ${first}, expiry before ${second}`)
      assert.equal(publish.topicAlias, 7)
      assert.equal(publish.messageExpirySeconds, 100)
      assert.equal(publish.payload, 'ff')
    }
  }
  assert.equal(published(received(5, packet(0x30, text('t'), section(alias, expiry)))).headers, '')
})

test('[MQTT-3.3.1-2] DUP is not set at QoS 0', () => {
  for (const version of [3, 4, 5] as const) assert.equal(refusal(received(version, packet(0x38, text('t'), '00'))), 0x81)
})

test('[MQTT-3.3.1-4] both QoS bits are not set', () => {
  for (const first of [0x36, 0x37, 0x3e, 0x3f]) assert.equal(refusal(received(5, packet(first, text('t'), '0001 00'))), 0x81)
})

test('[MQTT-2.2.1-3] the packet identifier is not zero', () => {
  assert.equal(refusal(received(4, packet(0x32, text('t'), '0000'))), 0x82)
  assert.equal(refusal(received(5, packet(0x34, text('t'), '0000 00'))), 0x82)
})

test('[MQTT-3.3.2-1] [MQTT-1.5.4-1] [MQTT-1.5.4-2] the topic is well-formed UTF-8 without U+0000', () => {
  const wrong = [
    'ff',
    'c0af',
    'c3',
    'c328',
    'e0808f',
    'eda080',
    'edbfbf',
    'f08080af',
    'f4908080',
    'f5808080',
    '80',
    'e282',
    'f09f98',
    '00',
    '610062',
    'c3a900',
  ]
  for (const hex of wrong) {
    const topic = (hex.length / 2).toString(16).padStart(4, '0') + hex
    assert.equal(refusal(received(4, packet(0x30, topic, '61'))), 0x81, hex)
    assert.equal(refusal(received(5, packet(0x30, topic, '00'))), 0x81, hex)
  }
  for (const topic of ['é', '\u07ff', '\u0800', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{10ffff}', 'a/\ufeff/日本語/🙂']) {
    assert.equal(published(received(4, packet(0x30, text(topic)))).topic, topic)
  }
})

test('[MQTT-3.3.2-2] [MQTT-4.7.0-1] the topic has no wildcard', () => {
  for (const topic of ['#', 'a/#', '+', 'a/+/b', 'a+', 'é/+']) assert.equal(refusal(received(4, packet(0x30, text(topic)))), 0x81, topic)
})

test('[MQTT-4.7.3-1] the topic is empty only with an alias', () => {
  assert.equal(refusal(received(4, packet(0x30, text('')))), 0x82)
  assert.equal(refusal(received(5, packet(0x30, text(''), '00'))), 0x82)
  assert.equal(refusal(received(5, packet(0x30, text(''), section('02 00000001')))), 0x82)
  const publish = published(received(5, packet(0x30, text(''), section('23 0001'), '70')))
  assert.deepEqual([publish.topic, publish.topicAlias, publish.payload], ['', 1, '70'])
})

test('Topics over the limits of levels and size are refused', () => {
  const limits = { topicLevelsMax: 3, topicSizeMax: 9 }
  assert.equal(published(received(4, packet(0x30, text('a/b/c')), limits)).topic, 'a/b/c')
  assert.equal(refusal(received(4, packet(0x30, text('a/b/c/')), limits)), 0x90)
  assert.equal(refusal(received(4, packet(0x30, text('é/b/c/')), limits)), 0x90)
  assert.equal(published(received(4, packet(0x30, text('a23456789')), limits)).topic, 'a23456789')
  assert.equal(refusal(received(4, packet(0x30, text('a234567890')), limits)), 0x90)
})

test('Lengths agree with each other', () => {
  const wrong: readonly (readonly [version: 4 | 5, hex: string])[] = [
    [4, packet(0x30)],
    [4, packet(0x30, '00')],
    [4, packet(0x30, '0002 61')],
    [4, packet(0x30, 'ffff 61')],
    [4, packet(0x32, text('a'))],
    [4, packet(0x32, text('a'), '00')],
    [5, packet(0x30, text('a'))],
    [5, packet(0x30, text('a'), '01')],
    [5, packet(0x30, text('a'), '8001')],
    [5, packet(0x30, text('a'), section(`26${text('k')}`))],
    [5, packet(0x30, text('a'), section(`26${text('k')}0005 61`))],
    [5, packet(0x30, text('a'), section('09 0002 61'), '61')],
    [5, packet(0x30, text('a'), section('02 000000'), '01')],
    [5, packet(0x30, text('a'), section('23 00'), '01')],
    [5, packet(0x30, text('a'), section('01'), '01')],
    [5, packet(0x30, text('a'), section('03 00'), '01')],
  ]
  for (const [version, hex] of wrong) assert.equal(refusal(received(version, hex)), 0x81, hex)
})

test('PUBLISH properties: values, repetition, place', () => {
  const table: readonly (readonly [property: string, code: number, why: string])[] = [
    ['01 02', 0x82, 'payload format 2'],
    ['01 00 01 00', 0x82, 'payload format twice'],
    ['02 00000001 02 00000001', 0x82, 'expiry twice'],
    [`03${text('a')}03${text('a')}`, 0x82, 'content type twice'],
    [`09${text('a')}09${text('a')}`, 0x82, 'correlation data twice'],
    ['23 0001 23 0001', 0x82, 'alias twice'],
    ['23 0000', 0x94, '[MQTT-3.3.2-8] alias 0'],
    ['0b 01', 0x82, '[MQTT-3.3.4-6] a subscription identifier from a client'],
    ['0b 00', 0x82, 'subscription identifier 0'],
    ['0b 8000', 0x81, '[MQTT-1.5.5-1] in a value'],
    [`08${text('a/+')}`, 0x81, '[MQTT-3.3.2-14] a wildcard in the response topic'],
    [`08${text('')}`, 0x81, '[MQTT-4.7.3-1] an empty response topic'],
    ['08 0001 ff', 0x81, '[MQTT-3.3.2-13] the response topic is UTF-8'],
    ['03 0001 ff', 0x81, '[MQTT-3.3.2-19] the content type is UTF-8'],
    [`26 0001 ff${text('v')}`, 0x81, '[MQTT-1.5.7-1] the name of a user property is UTF-8'],
    [`26${text('n')}0001 ff`, 0x81, '[MQTT-1.5.7-1] and so is its value'],
    ['11 00000001', 0x81, 'session expiry'],
    [`1f${text('r')}`, 0x81, 'reason string'],
    ['00', 0x81, 'identifier 0'],
    ['2b 00', 0x81, 'an identifier that does not exist'],
  ]
  for (const [property, code, why] of table) assert.equal(refusal(received(5, packet(0x30, text('t'), section(property)))), code, why)
})

test('User properties over the limit are refused', () => {
  const one = `26${text('k')}${text('v')}`
  const limits = { userPropertiesMax: 3 }
  assert.equal(received(5, packet(0x30, text('t'), section(one, one, one)), limits)?.call, 'publish')
  assert.equal(refusal(received(5, packet(0x30, text('t'), section(one, one, one, one)), limits)), 0x97)
})

test('A topic that was accepted does not vouch for another one', () => {
  const recorder = connected(4)
  const topics = [
    'sensor/1',
    'sensor/1',
    'sensor/2',
    'tensor/2',
    'sensor',
    'é',
    'x'.repeat(300),
    'x'.repeat(300),
    'y'.repeat(300),
    'sensor/1',
    'sensor/1/more',
    'sensor/1',
    'sensor',
  ]
  // The payload goes on like the topic before: what lies behind a topic must not be taken for a part of it.
  for (const topic of topics) recorder.reader.push(bytesOf(packet(0x30, text(topic), Buffer.from('/1').toString('hex'))))
  assert.deepEqual(
    recorder.calls.map((call) => published(call).topic),
    topics,
  )
  recorder.reader.push(bytesOf(packet(0x30, text('sensor/+'))))
  assert.equal(refusal(recorder.calls.at(-1)), 0x81)
})

test('An alias between two publishes of one topic leaves the topic as it was', () => {
  const recorder = connected(5)
  for (const hex of [packet(0x30, text('a'), '00'), packet(0x30, text(''), section('23 0001')), packet(0x30, text('a'), '00')])
    recorder.reader.push(bytesOf(hex))
  assert.deepEqual(
    recorder.calls.map((call) => published(call).topic),
    ['a', '', 'a'],
  )
  assert.deepEqual(
    recorder.calls.map((call) => published(call).topicAlias),
    [0, 1, 0],
  )
})
