// SPDX-License-Identifier: Apache-2.0
// PINGREQ, DISCONNECT and AUTH, by the clauses of MQTT 5 sections 3.12, 3.14 and 3.15.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { packet, received, refusal, section, text } from './recorder.ts'

test('PINGREQ has no body', () => {
  assert.deepEqual(received(4, 'c000'), { call: 'pingreq' })
  assert.equal(refusal(received(4, 'c00100')), 0x81)
  assert.equal(refusal(received(4, 'c100')), 0x81)
})

const NORMAL = { reasonCode: 0, sessionExpirySeconds: undefined, reasonString: undefined, userProperties: [] }

test('DISCONNECT may be cut short', () => {
  for (const version of [3, 4, 5] as const) assert.deepEqual(received(version, 'e000'), { call: 'disconnect', packet: NORMAL })
  assert.deepEqual(received(5, 'e00104'), { call: 'disconnect', packet: { ...NORMAL, reasonCode: 4 } })
  assert.deepEqual(received(5, 'e0020400'), { call: 'disconnect', packet: { ...NORMAL, reasonCode: 4 } })
})

test('DISCONNECT with properties', () => {
  const properties = section('11 00000001', `1f${text('bye')}`, `26${text('k')}${text('v')}`)
  assert.deepEqual(received(5, packet(0xe0, '00', properties)), {
    call: 'disconnect',
    packet: { reasonCode: 0, sessionExpirySeconds: 1, reasonString: 'bye', userProperties: [['k', 'v']] },
  })
})

test('[MQTT-3.14.1-1] flags of DISCONNECT are zero', () => {
  for (let flags = 1; flags < 16; flags++) assert.equal(refusal(received(4, packet(0xe0 | flags))), 0x81)
})

test('[MQTT-3.14.2-1] only the reason codes that a client may give', () => {
  const allowed = [0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99]
  for (let code = 0; code < 256; code++) {
    const call = received(5, packet(0xe0, code.toString(16).padStart(2, '0')))
    assert.equal(refusal(call), allowed.includes(code) ? undefined : 0x82, code.toString(16))
  }
})

test('DISCONNECT: lengths, and properties out of place', () => {
  assert.equal(refusal(received(4, 'e00100')), 0x81, '3.1.1 has no reason code')
  assert.equal(refusal(received(5, 'e003000000')), 0x81, 'a byte too many')
  assert.equal(refusal(received(5, packet(0xe0, '00', section(`1c${text('other')}`)))), 0x82, 'a server reference from a client')
  assert.equal(refusal(received(5, packet(0xe0, '00', section('21 0001')))), 0x81, 'a receive maximum')
  assert.equal(refusal(received(5, packet(0xe0, '00', section('11 00000001', '11 00000001')))), 0x82, 'twice')
})

test('AUTH with everything in it', () => {
  const properties = section(`15${text('SCRAM')}`, `16${text('data')}`, `1f${text('why')}`, `26${text('k')}${text('v')}`)
  assert.deepEqual(received(5, packet(0xf0, '19', properties)), {
    call: 'auth',
    packet: {
      reasonCode: 0x19,
      authenticationMethod: 'SCRAM',
      authenticationData: Buffer.from('data'),
      reasonString: 'why',
      userProperties: [['k', 'v']],
    },
  })
})

test('[MQTT-3.15.1-1] [MQTT-3.15.2-1] AUTH: flags, version, reason codes, method', () => {
  const method = section(`15${text('SCRAM')}`)
  assert.equal(refusal(received(5, packet(0xf1, '18', method))), 0x81, 'flags')
  assert.equal(refusal(received(4, packet(0xf0, '18', method))), 0x81, '3.1.1')
  assert.equal(refusal(received(5, packet(0xf0, '00', method))), 0x82, 'success is for the server to say')
  assert.equal(refusal(received(5, packet(0xf0, '17', method))), 0x82, 'no such reason')
  assert.equal(refusal(received(5, packet(0xf0))), 0x82, 'short for success')
  assert.equal(refusal(received(5, packet(0xf0, '18'))), 0x82, 'no method')
  assert.equal(refusal(received(5, packet(0xf0, '18', method, '00'))), 0x81, 'a byte too many')
})
