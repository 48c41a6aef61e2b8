// SPDX-License-Identifier: Apache-2.0
// SUBSCRIBE and UNSUBSCRIBE, by the clauses of MQTT 5 sections 3.8, 3.10 and 4.7.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { packet, received, refusal, section, text } from './recorder.ts'

test('SUBSCRIBE in 3.1.1 and 5', () => {
  const plain = { noLocal: false, retainAsPublished: false, retainHandling: 0 }
  assert.deepEqual(received(4, packet(0x82, '000a', text('a/+'), '01', text('#'), '02')), {
    call: 'subscribe',
    packet: {
      packetId: 10,
      identifier: 0,
      filters: [
        { filter: 'a/+', qos: 1, ...plain },
        { filter: '#', qos: 2, ...plain },
      ],
      userProperties: [],
    },
  })
  const properties = section('0b ffffff7f', `26${text('replay-from')}${text('earliest')}`)
  assert.deepEqual(received(5, packet(0x82, '000a', properties, text('$share/g/a'), '28', text('b'), '16')), {
    call: 'subscribe',
    packet: {
      packetId: 10,
      identifier: 268435455,
      filters: [
        { filter: '$share/g/a', qos: 0, noLocal: false, retainAsPublished: true, retainHandling: 2 },
        { filter: 'b', qos: 2, noLocal: true, retainAsPublished: false, retainHandling: 1 },
      ],
      userProperties: [['replay-from', 'earliest']],
    },
  })
})

test('UNSUBSCRIBE in 3.1.1 and 5', () => {
  assert.deepEqual(received(4, packet(0xa2, '0001', text('a'), text('b/#'))), {
    call: 'unsubscribe',
    packet: { packetId: 1, filters: ['a', 'b/#'], userProperties: [] },
  })
  assert.deepEqual(received(5, packet(0xa2, '0001', section(`26${text('k')}${text('v')}`), text('a'))), {
    call: 'unsubscribe',
    packet: { packetId: 1, filters: ['a'], userProperties: [['k', 'v']] },
  })
})

test('[MQTT-3.8.1-1] [MQTT-3.10.1-1] flags of the fixed header', () => {
  for (let flags = 0; flags < 16; flags++) {
    const expected = flags === 2 ? undefined : 0x81
    assert.equal(refusal(received(4, packet(0x80 | flags, '0001', text('a'), '00'))), expected)
    assert.equal(refusal(received(4, packet(0xa0 | flags, '0001', text('a')))), expected)
  }
})

test('[MQTT-2.2.1-3] the packet identifier is not zero', () => {
  assert.equal(refusal(received(4, packet(0x82, '0000', text('a'), '00'))), 0x82)
  assert.equal(refusal(received(5, packet(0xa2, '0000 00', text('a')))), 0x82)
})

test('[MQTT-3.8.3-2] [MQTT-3.10.3-2] there is at least one filter', () => {
  assert.equal(refusal(received(4, packet(0x82, '0001'))), 0x82)
  assert.equal(refusal(received(5, packet(0x82, '0001 00'))), 0x82)
  assert.equal(refusal(received(4, packet(0xa2, '0001'))), 0x82)
  assert.equal(refusal(received(5, packet(0xa2, '0001 00'))), 0x82)
})

test('[MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1] the syntax of filters', () => {
  for (const filter of ['', 'a#', 'a/#/b', '#/a', 'a+', '+a', 'a/b+/c', '##', '$share/g/a#']) {
    assert.equal(refusal(received(4, packet(0x82, '0001', text(filter), '00'))), 0x81, filter)
    assert.equal(refusal(received(4, packet(0xa2, '0001', text(filter)))), 0x81, filter)
  }
  for (const filter of ['#', '+', '/', '//', 'a/+/#', '+/+', '/+', '$SYS/#', 'é/+'])
    assert.equal(refusal(received(4, packet(0x82, '0001', text(filter), '00'))), undefined, filter)
})

test('[MQTT-3.8.3-1] [MQTT-3.10.3-1] [MQTT-4.7.3-2] filters are UTF-8 without U+0000', () => {
  for (const filter of ['0001 ff', '0003 610062', '0003 eda080']) {
    assert.equal(refusal(received(5, packet(0x82, '0001 00', filter, '00'))), 0x81)
    assert.equal(refusal(received(5, packet(0xa2, '0001 00', filter))), 0x81)
  }
})

test('[MQTT-3.8.3-5] reserved bits of the options are zero', () => {
  for (let options = 0; options < 256; options++) {
    const byte = options.toString(16).padStart(2, '0')
    const is3 = options < 3
    assert.equal(refusal(received(4, packet(0x82, '0001', text('a'), byte))) === undefined, is3, byte)
    const is5 = options < 0x40 && (options & 0x03) !== 0x03 && (options & 0x30) !== 0x30
    assert.equal(refusal(received(5, packet(0x82, '0001 00', text('a'), byte))) === undefined, is5, byte)
  }
  assert.equal(refusal(received(5, packet(0x82, '0001 00', text('a'), '40'))), 0x81, 'reserved')
  assert.equal(refusal(received(4, packet(0x82, '0001', text('a'), '04'))), 0x81, 'reserved in 3.1.1')
  assert.equal(refusal(received(5, packet(0x82, '0001 00', text('a'), '03'))), 0x82, 'QoS 3')
  assert.equal(refusal(received(5, packet(0x82, '0001 00', text('a'), '30'))), 0x82, 'retain handling 3')
})

test('[MQTT-3.8.3-4] no local does not go with a shared subscription', () => {
  assert.equal(refusal(received(5, packet(0x82, '0001 00', text('$share/g/a'), '04'))), 0x82)
  assert.equal(refusal(received(5, packet(0x82, '0001 00', text('$shared/a'), '04'))), undefined)
})

test('SUBSCRIBE properties: values, repetition, place', () => {
  const table: readonly (readonly [properties: string, code: number])[] = [
    [section('0b 00'), 0x82],
    [section('0b 01 0b 02'), 0x82],
    [section('0b 8100'), 0x81],
    [section('0b ffffffff'), 0x81],
    [section('0b'), 0x81],
    [section('23 0001'), 0x81],
  ]
  for (const [properties, code] of table)
    assert.equal(refusal(received(5, packet(0x82, '0001', properties, text('a'), '00'))), code, properties)
  assert.equal(refusal(received(5, packet(0xa2, '0001', section('0b 01'), text('a')))), 0x81)
})

test('Lengths agree with each other', () => {
  assert.equal(refusal(received(4, packet(0x82, '00'))), 0x81)
  assert.equal(refusal(received(4, packet(0x82, '0001', text('a')))), 0x81, 'options missing')
  assert.equal(refusal(received(4, packet(0x82, '0001', text('a'), '00', '00'))), 0x81, 'half a length')
  assert.equal(refusal(received(4, packet(0x82, '0001', '0005 61', '00'))), 0x81)
  assert.equal(refusal(received(4, packet(0xa2, '0001', text('a'), '0001'))), 0x81)
})

test('Filters over the limits of count, levels and size are refused', () => {
  const limits = { filtersMax: 2, topicLevelsMax: 3, topicSizeMax: 7 }
  const subscription = `${text('a')} 00`
  assert.equal(refusal(received(4, packet(0x82, '0001', subscription, subscription), limits)), undefined)
  assert.equal(refusal(received(4, packet(0x82, '0001', subscription, subscription, subscription), limits)), 0x97)
  assert.equal(refusal(received(4, packet(0xa2, '0001', text('a'), text('b'), text('c')), limits)), 0x97)
  assert.equal(refusal(received(4, packet(0x82, '0001', text('a/b/c/d'), '00'), limits)), 0x8f)
  assert.equal(refusal(received(4, packet(0x82, '0001', text('abcdefgh'), '00'), limits)), 0x8f)
})
