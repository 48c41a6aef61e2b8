// SPDX-License-Identifier: Apache-2.0
// PUBACK, PUBREC, PUBREL and PUBCOMP as they come in (MQTT 5 sections 3.4 to 3.7).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { packet, received, refusal, section, text } from './recorder.ts'

const FIRST = { 4: 0x40, 5: 0x50, 6: 0x62, 7: 0x70 } as const
const TYPES = [4, 5, 6, 7] as const

test('Acknowledgements of two bytes mean success in every version', () => {
  for (const version of [3, 4, 5] as const)
    for (const type of TYPES)
      assert.deepEqual(received(version, packet(FIRST[type], '0102')), { call: 'ack', type, packetId: 0x0102, reasonCode: 0 })
})

test('A reason code may come alone, with an empty section, or with properties', () => {
  for (const type of TYPES) {
    const reasonCode = type < 6 ? 0x97 : 0x92
    const reason = reasonCode.toString(16)
    const expected = { call: 'ack', type, packetId: 1, reasonCode }
    assert.deepEqual(received(5, packet(FIRST[type], '0001', reason)), expected)
    assert.deepEqual(received(5, packet(FIRST[type], '0001', reason, '00')), expected)
    const properties = section(`1f${text('why')}`, `26${text('k')}${text('v')}`, `26${text('k')}${text('v')}`)
    assert.deepEqual(received(5, packet(FIRST[type], '0001', reason, properties)), expected)
  }
})

test('[MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] only the reason codes of the packet', () => {
  const allowed = {
    4: [0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
    5: [0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
    6: [0, 0x92],
    7: [0, 0x92],
  }
  for (const type of TYPES) {
    for (let code = 0; code < 256; code++) {
      const call = received(5, packet(FIRST[type], '0001', code.toString(16).padStart(2, '0')))
      assert.equal(refusal(call), allowed[type].includes(code) ? undefined : 0x82, `type ${type} code ${code}`)
    }
  }
})

test('[MQTT-3.6.1-1] [MQTT-2.1.3-1] flags of the fixed header', () => {
  for (const type of TYPES) {
    for (let flags = 0; flags < 16; flags++) {
      const first = (type << 4) | flags
      assert.equal(refusal(received(4, packet(first, '0001'))), first === FIRST[type] ? undefined : 0x81, first.toString(16))
    }
  }
})

test('Lengths and properties of acknowledgements', () => {
  assert.equal(refusal(received(5, packet(0x40))), 0x81, 'empty')
  assert.equal(refusal(received(5, packet(0x40, '00'))), 0x81, 'half a packet id')
  assert.equal(refusal(received(5, packet(0x40, '0000'))), 0x82, 'packet id 0')
  assert.equal(refusal(received(4, packet(0x40, '0001 00'))), 0x81, 'a reason code in 3.1.1')
  assert.equal(refusal(received(5, packet(0x40, '0001 00 01'))), 0x81, 'properties missing')
  assert.equal(refusal(received(5, packet(0x40, '0001 00 00 00'))), 0x81, 'a byte too many')
  assert.equal(refusal(received(5, packet(0x40, '0001 00', section('23 0001')))), 0x81, 'a topic alias')
  assert.equal(refusal(received(5, packet(0x40, '0001 00', section(`1f${text('a')}`, `1f${text('b')}`)))), 0x82, 'two reason strings')
  assert.equal(refusal(received(5, packet(0x40, '0001 00', section('1f 0001 ff')))), 0x81, 'a reason string that is no text')
})
