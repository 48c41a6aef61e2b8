// SPDX-License-Identifier: Apache-2.0
// CONNECT, by the clauses of MQTT 5 section 3.1 and its forerunners.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EXPIRY_NEVER } from '#contract/record/session'
import { type ConnectPacket, PACKET_SIZE_UNLIMITED } from '../../../../../src/broker/protocol/mqtt/index.ts'
import { bytesOf, packet, Recorder, refusal, section, text } from './recorder.ts'

/** The reader after a CONNECT with this body. */
function connecting(...parts: readonly string[]): Recorder {
  const recorder = new Recorder()
  recorder.reader.push(bytesOf(packet(0x10, ...parts)))
  return recorder
}

function accepted(...parts: readonly string[]): ConnectPacket {
  const [call] = connecting(...parts).calls
  assert.equal(call?.call, 'connect', JSON.stringify(call))
  return (call as { packet: ConnectPacket }).packet
}

const refused = (...parts: readonly string[]): number | undefined => refusal(connecting(...parts).calls[0])

const MQTT4 = `${text('MQTT')}04`
const MQTT5 = `${text('MQTT')}05`

test('CONNECT of 3.1.1 with everything in it', () => {
  const connect = accepted(MQTT4, 'ee 003c', text('client'), text('will/topic'), text('gone'), text('user'), text('secret'))
  assert.deepEqual(connect, {
    version: 4,
    clientId: 'client',
    cleanStart: true,
    keepAliveSeconds: 60,
    userName: 'user',
    password: Buffer.from('secret'),
    will: {
      topic: 'will/topic',
      qos: 1,
      retain: true,
      payload: Buffer.from('gone'),
      headers: Buffer.alloc(0),
      delaySeconds: 0,
      messageExpirySeconds: undefined,
    },
    sessionExpirySeconds: 0,
    receiveMaximum: 65535,
    maximumPacketSize: PACKET_SIZE_UNLIMITED,
    topicAliasMaximum: 0,
    requestResponseInformation: false,
    requestProblemInformation: true,
    userProperties: [],
    authenticationMethod: undefined,
    authenticationData: undefined,
  })
})

test('CONNECT of 5 with all properties', () => {
  const properties = section(
    ...['11 00000e10', '21 0014', '27 00010000', '22 000a', '19 01', '17 00'],
    ...[`26${text('k')}${text('2')}`, `26${text('k')}${text('1')}`, `15${text('SCRAM')}`, `16${text('data')}`],
  )
  const forwarded = ['01 01', `03${text('text/plain')}`, `08${text('reply')}`, `09${text('id')}`, `26${text('a')}${text('b')}`].join('')
  const will = section('18 00000005', forwarded.slice(0, 5), '02 0000003c', forwarded.slice(5))
  const connect = accepted(MQTT5, '34 0000', properties, text('c'), will, text('w'), text(''))
  assert.equal(connect.cleanStart, false)
  assert.equal(connect.sessionExpirySeconds, 3600)
  assert.equal(connect.receiveMaximum, 20)
  assert.equal(connect.maximumPacketSize, 65536)
  assert.equal(connect.topicAliasMaximum, 10)
  assert.equal(connect.requestResponseInformation, true)
  assert.equal(connect.requestProblemInformation, false)
  assert.equal(connect.authenticationMethod, 'SCRAM')
  assert.deepEqual(connect.authenticationData, Buffer.from('data'))
  assert.equal(connect.will?.delaySeconds, 5)
  assert.equal(connect.will?.messageExpirySeconds, 60)
  assert.equal(connect.will?.qos, 2)
  assert.equal(connect.will?.retain, true)
  assert.equal(connect.will?.payload.length, 0)
  assert.deepEqual(connect.will?.headers, bytesOf(forwarded), 'the properties to pass on, and no others, in their order')
  assert.deepEqual(
    connect.userProperties,
    [
      ['k', '2'],
      ['k', '1'],
    ],
    '[MQTT-3.1.3-10] order and repetition are kept',
  )
})

test('CONNECT: what a missing session expiry means in each version', () => {
  assert.equal(accepted(text('MQIsdp'), '03 00 0000', text('c')).sessionExpirySeconds, EXPIRY_NEVER)
  assert.equal(accepted(MQTT4, '00 0000', text('c')).sessionExpirySeconds, EXPIRY_NEVER)
  assert.equal(accepted(MQTT4, '02 0000', text('c')).sessionExpirySeconds, 0)
  assert.equal(accepted(MQTT5, '00 0000 00', text('c')).sessionExpirySeconds, 0)
})

test('[MQTT-3.1.2-1] [MQTT-3.1.2-2] name and level go together, and the dialect of the answer is known', () => {
  const table: readonly (readonly [body: string, code: number, dialect: number])[] = [
    [`${text('MQTT')}06 02 0000 00${text('c')}`, 0x84, 5],
    [`${text('MQTT')}06 02 0000 00${text('')}`, 0x84, 5],
    [`${text('MQTT')}06 02 0000${text('c')}`, 0x84, 4],
    [`${text('MQTT')}06 c6 0000${text('c')}${text('w')}${text('x')}${text('u')}${text('p')}`, 0x84, 4],
    [`${text('MQTT')}06 c6 0000${text('c')}${text('w')}${text('x')}${text('u')}`, 0x84, 5],
    [`${text('MQTT')}03 02 0000${text('c')}`, 0x84, 4],
    [`${text('MQTT')}84 02 0000${text('c')}`, 0x84, 4],
    [`${text('MQIsdp')}04 02 0000${text('c')}`, 0x84, 3],
    [`${text('HTTP')}04 02 0000${text('c')}`, 0x84, 0],
    [`${text('mqtt')}04 02 0000${text('c')}`, 0x84, 0],
    ['ffff 4d', 0x81, 0],
    ['00', 0x81, 0],
    ['', 0x81, 0],
    [text('MQTT'), 0x81, 0],
    [`${text('MQTT')}05`, 0x81, 5],
    [`${text('MQTT')}04 02 00`, 0x81, 4],
  ]
  for (const [body, code, dialect] of table) {
    const recorder = connecting(body)
    assert.equal(refusal(recorder.calls[0]), code, body)
    assert.equal(recorder.reader.version, dialect, body)
  }
})

test('[MQTT-3.1.2-3] the reserved connect flag is zero', () => {
  assert.equal(refused(MQTT4, '03 0000', text('c')), 0x81)
  assert.equal(refused(MQTT5, '03 0000 00', text('c')), 0x81)
})

test('[MQTT-3.1.2-11] [MQTT-3.1.2-12] [MQTT-3.1.2-13] will flags agree with each other', () => {
  assert.equal(refused(MQTT5, '0a 0000 00', text('c')), 0x81, 'QoS without a will')
  assert.equal(refused(MQTT5, '22 0000 00', text('c')), 0x81, 'retain without a will')
  assert.equal(refused(MQTT5, '1e 0000 00', text('c'), '00', text('w'), text('')), 0x81, 'QoS 3')
})

test('[MQTT-3.1.2-9] [MQTT-3.1.2-17] [MQTT-3.1.2-19] what the flags announce is there, and nothing else', () => {
  assert.equal(refused(MQTT4, '06 0000', text('c')), 0x81, 'no will')
  assert.equal(refused(MQTT4, '06 0000', text('c'), text('w')), 0x81, 'no will payload')
  assert.equal(refused(MQTT4, '82 0000', text('c')), 0x81, 'no user name')
  assert.equal(refused(MQTT4, 'c2 0000', text('c'), text('u')), 0x81, 'no password')
  assert.equal(refused(MQTT4, '02 0000', text('c'), text('u')), 0x81, '[MQTT-3.1.2-16] a user name without its flag')
  assert.equal(refused(MQTT5, '82 0000 00', text('c'), text('u'), text('p')), 0x81, '[MQTT-3.1.2-18] a password without its flag')
  assert.equal(refused(MQTT4, '02 0000'), 0x81, '[MQTT-3.1.3-3] no client id')
})

test('3.1.1 [MQTT-3.1.2-22] a password alone needs MQTT 5', () => {
  assert.equal(refused(MQTT4, '42 0000', text('c'), text('p')), 0x81)
  assert.deepEqual(accepted(MQTT5, '42 0000 00', text('c'), text('p')).password, Buffer.from('p'))
})

test('3.1: the length of the packet takes precedence over the user name and password flags', () => {
  const connect = accepted(text('MQIsdp'), '03 c2 0000', text('c'))
  assert.equal(connect.userName, undefined)
  assert.equal(connect.password, undefined)
  assert.equal(accepted(text('MQIsdp'), '03 c2 0000', text('c'), text('u')).userName, 'u')
})

test('[MQTT-3.1.3-4] [MQTT-3.1.3-11] [MQTT-3.1.3-12] strings are UTF-8', () => {
  assert.equal(refused(MQTT4, '02 0000', '0001 ff'), 0x81, 'client id')
  assert.equal(refused(MQTT4, '06 0000', text('c'), '0002 c328', text('')), 0x81, 'will topic')
  assert.equal(refused(MQTT4, '82 0000', text('c'), '0001 00'), 0x81, 'user name with U+0000')
  assert.deepEqual(accepted(MQTT4, 'c2 0000', text('c'), text('u'), '0002 00ff').password, Buffer.from([0, 255]), 'passwords are bytes')
})

test('[MQTT-1.5.4-3] a byte order mark is a character like others', () => {
  assert.equal(accepted(MQTT4, '02 0000', '0004 efbbbf61').clientId, '\ufeffa')
})

test('The will topic is a topic name', () => {
  assert.equal(refused(MQTT4, '06 0000', text('c'), text('a/#'), text('')), 0x81)
  assert.equal(refused(MQTT4, '06 0000', text('c'), text(''), text('')), 0x82)
  assert.equal(refused(MQTT4, '06 0000', text('c'), text('/'.repeat(256)), text('')), 0x90)
})

test('CONNECT properties: values, repetition, place', () => {
  const table: readonly (readonly [properties: string, code: number, why: string])[] = [
    [section('21 0000'), 0x82, 'receive maximum 0'],
    [section('27 00000000'), 0x82, 'maximum packet size 0'],
    [section('19 02'), 0x82, 'request response information 2'],
    [section('17 02'), 0x82, 'request problem information 2'],
    [section('11 00000000', '11 00000000'), 0x82, 'session expiry twice'],
    [section(`16${text('d')}`), 0x82, 'authentication data without a method'],
    [section('23 0001'), 0x81, 'a topic alias'],
    [section(`12${text('c')}`), 0x81, 'assigned client id'],
    [section('7f 00'), 0x81, 'unknown'],
    [section('ff 00'), 0x81, 'unknown, with the high bit'],
    [section('11 0000'), 0x81, 'cut off'],
    ['8000', 0x81, '[MQTT-1.5.5-1] a length of two bytes for zero'],
    ['ffffffff7f', 0x81, 'a length of five bytes'],
    ['7f', 0x81, 'a length past the packet'],
  ]
  for (const [properties, code, why] of table) assert.equal(refused(MQTT5, '02 0000', properties, text('c')), code, why)
  assert.equal(refused(MQTT5, '06 0000 00', text('c'), section('01 02'), text('w'), text('')), 0x82, 'will payload format 2')
  assert.equal(refused(MQTT5, '06 0000 00', text('c'), section('23 0001'), text('w'), text('')), 0x81, 'a topic alias for a will')
  assert.equal(refused(MQTT5, '06 0000 00', text('c'), section(`08${text('+')}`), text('w'), text('')), 0x81, 'a wildcard to reply to')
})

test('An empty client id is passed on: it is for the session to judge', () => {
  assert.equal(accepted(MQTT4, '00 0000', text('')).clientId, '')
})

test('Names of user properties are only names', () => {
  const properties = section(`26${text('__proto__')}${text('x')}`, `26${text('constructor')}${text('y')}`)
  assert.deepEqual(accepted(MQTT5, '02 0000', properties, text('c')).userProperties, [
    ['__proto__', 'x'],
    ['constructor', 'y'],
  ])
})
