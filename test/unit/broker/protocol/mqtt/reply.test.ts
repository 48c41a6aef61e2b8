// SPDX-License-Identifier: Apache-2.0
// The packets that a server sends now and then, in each dialect, and within what a client takes.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Packet, parser } from 'mqtt-packet'
import {
  connackReturnCode,
  encodeAuth,
  encodeConnack,
  encodeDisconnect,
  encodePingresp,
  encodeSuback,
  encodeUnsuback,
  isFailure,
  REASON,
} from '../../../../../src/broker/protocol/mqtt/index.ts'

const UNLIMITED = 0xffff_ffff

function parsed5(bytes: Buffer): Packet {
  let found: Packet | undefined
  const oracle = parser({ protocolVersion: 5 })
  oracle.on('packet', (packet) => {
    found = packet
  })
  oracle.on('error', (error) => assert.fail(error))
  assert.equal(oracle.parse(bytes), 0)
  assert.ok(found !== undefined)
  return found
}

test('CONNACK of 3.x has a return code', () => {
  assert.equal(encodeConnack(4, true, REASON.success, {}, UNLIMITED).toString('hex'), '20020100')
  assert.equal(encodeConnack(4, false, REASON.success, { assignedClientId: 'x' }, UNLIMITED).toString('hex'), '20020000')
  assert.equal(encodeConnack(3, true, REASON.success, {}, UNLIMITED).toString('hex'), '20020000', '3.1 has no session present')
  assert.equal(encodeConnack(4, false, REASON.notAuthorized, {}, UNLIMITED).toString('hex'), '20020005')
  assert.equal(encodeConnack(4, false, REASON.unsupportedProtocolVersion, {}, UNLIMITED).toString('hex'), '20020001')
})

test('3.1.1 [MQTT-3.2.2-6] where no return code fits, no CONNACK is sent', () => {
  assert.equal(encodeConnack(4, false, REASON.malformedPacket, {}, UNLIMITED).length, 0)
  for (let code = 0; code < 256; code++) {
    const returnCode = connackReturnCode(code)
    assert.ok(returnCode === undefined || (returnCode !== 0) === isFailure(code), 'success only for success')
  }
})

test('CONNACK of 5 with all properties', () => {
  const bytes = encodeConnack(
    5,
    false,
    REASON.success,
    {
      sessionExpirySeconds: 0xffffffff,
      receiveMaximum: 100,
      maximumQos: 1,
      retainAvailable: true,
      maximumPacketSize: 1024,
      assignedClientId: 'auto-1',
      topicAliasMaximum: 16,
      wildcardAvailable: true,
      identifiersAvailable: false,
      sharedAvailable: true,
      keepAliveSeconds: 30,
      responseInformation: 'r',
      serverReference: 's',
      authenticationMethod: 'm',
      authenticationData: Buffer.from('d'),
      reasonString: 'because',
      userProperties: [
        ['a', '1'],
        ['a', '2'],
        ['__proto__', '3'],
      ],
    },
    UNLIMITED,
  )
  const { properties } = parsed5(bytes) as { properties?: Record<string, unknown> }
  const userProperties = properties?.['userProperties'] as Record<string, unknown>
  assert.deepEqual(Object.entries(userProperties), [
    ['a', ['1', '2']],
    ['__proto__', '3'],
  ])
  assert.deepEqual(
    { ...properties, userProperties: undefined },
    {
      sessionExpiryInterval: 0xffffffff,
      receiveMaximum: 100,
      maximumQoS: 1,
      retainAvailable: true,
      maximumPacketSize: 1024,
      assignedClientIdentifier: 'auto-1',
      topicAliasMaximum: 16,
      wildcardSubscriptionAvailable: true,
      subscriptionIdentifiersAvailable: false,
      sharedSubscriptionAvailable: true,
      serverKeepAlive: 30,
      responseInformation: 'r',
      serverReference: 's',
      authenticationMethod: 'm',
      authenticationData: Buffer.from('d'),
      reasonString: 'because',
      userProperties: undefined,
    },
  )
  assert.equal(encodeConnack(5, true, REASON.success, {}, UNLIMITED).toString('hex'), '2003010000')
})

test('[MQTT-3.2.2-19] [MQTT-3.2.2-20] user properties go first, then the reason string, and a packet that still does not fit is not sent', () => {
  const notes = { reasonString: 'because', userProperties: [['k', 'v'.repeat(50)]] as const }
  const encoders: readonly ((sizeMax: number, some: object) => Buffer)[] = [
    (sizeMax, some) => encodeConnack(5, false, REASON.notAuthorized, some, sizeMax),
    (sizeMax, some) => encodeSuback(5, 1, [0x87], some, sizeMax),
    (sizeMax, some) => encodeUnsuback(5, 1, [0x87], some, sizeMax),
    (sizeMax, some) => encodeDisconnect(5, REASON.notAuthorized, some, sizeMax),
    (sizeMax, some) => encodeAuth(REASON.continueAuthentication, { authenticationMethod: 'm', ...some }, sizeMax),
  ]
  for (const encode of encoders) {
    const all = encode(UNLIMITED, notes)
    const reasonOnly = encode(UNLIMITED, { reasonString: notes.reasonString })
    const bare = encode(UNLIMITED, {})
    assert.ok(all.length > reasonOnly.length && reasonOnly.length > bare.length)
    assert.deepEqual(encode(all.length, notes), all)
    assert.deepEqual(encode(all.length - 1, notes), reasonOnly)
    assert.deepEqual(encode(reasonOnly.length, notes), reasonOnly)
    assert.deepEqual(encode(reasonOnly.length - 1, notes), bare)
    assert.equal(encode(bare.length - 1, notes).length, 0)
  }
})

test('[MQTT-3.9.3-1] SUBACK has a code for each filter, in order; 3.x knows one failure', () => {
  assert.equal(encodeSuback(4, 0x0102, [0, 1, 2, 0x87, 0x8f], {}, UNLIMITED).toString('hex'), '900701020001028080')
  assert.equal(encodeSuback(5, 0x0102, [0, 1, 2, 0x87, 0x8f], {}, UNLIMITED).toString('hex'), '9008010200000102878f')
})

test('[MQTT-3.11.3-1] UNSUBACK has a code for each filter in 5, none in 3.x', () => {
  assert.equal(encodeUnsuback(4, 0x0102, [0, 0x11], {}, UNLIMITED).toString('hex'), 'b0020102')
  assert.equal(encodeUnsuback(5, 0x0102, [0, 0x11], {}, UNLIMITED).toString('hex'), 'b0050102000011')
})

test('3.14.2.2.1 DISCONNECT from a server exists in 5 only, and leaves out an empty property section', () => {
  assert.equal(encodeDisconnect(4, REASON.sessionTakenOver, {}, UNLIMITED).length, 0)
  assert.equal(encodeDisconnect(5, REASON.sessionTakenOver, {}, UNLIMITED).toString('hex'), 'e0018e')
  const { properties } = parsed5(encodeDisconnect(5, REASON.useAnotherServer, { serverReference: 'other' }, UNLIMITED)) as {
    properties?: object
  }
  assert.deepEqual(properties, { serverReference: 'other' })
})

test('AUTH and PINGRESP', () => {
  const auth = parsed5(
    encodeAuth(REASON.continueAuthentication, { authenticationMethod: 'm', authenticationData: Buffer.from('d') }, UNLIMITED),
  )
  assert.deepEqual((auth as { properties?: object }).properties, { authenticationMethod: 'm', authenticationData: Buffer.from('d') })
  assert.equal(encodePingresp().toString('hex'), 'd000')
})
