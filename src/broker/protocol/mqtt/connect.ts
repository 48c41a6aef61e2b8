// SPDX-License-Identifier: Apache-2.0
// CONNECT (MQTT 5 section 3.1).
//
//   CONNECT := name text | level u8 | flags u8 | keep alive u16 | [properties] | client id text
//              [[will properties] will topic text, will payload binary] [user name text] [password binary]
//   flags   := user name 0x80 | password 0x40 | will retain 0x20 | will QoS 0x18 | will 0x04 | clean start 0x02 | reserved 0x01
//
// Sections in inner brackets are in MQTT 5 only.
import { EXPIRY_NEVER, type Will } from '#contract/record/session'
import { FieldReader, PropertyValues } from './field-reader.ts'
import { type ConnectPacket, PACKET_SIZE_UNLIMITED, type ProtocolVersion } from './packet.ts'
import { PROBLEM, type ProtocolProblem } from './problem.ts'
import { ALLOWED, PROPERTY, type PropertyCursor } from './property.ts'
import type { TopicLimits } from './text.ts'

const FLAG = Object.freeze({
  reserved: 0x01,
  cleanStart: 0x02,
  will: 0x04,
  willQos: 0x18,
  willRetain: 0x20,
  password: 0x40,
  userName: 0x80,
})

/** Mosquitto's bridges set it in the level, and come again without it when they are told that the version is not supported. */
const BRIDGE_FLAG = 0x80

const RECEIVE_MAXIMUM_DEFAULT = 0xffff

const EMPTY = Buffer.alloc(0)
const NAMES: ReadonlyMap<string, readonly ProtocolVersion[]> = new Map([
  ['MQTT', [4, 5]],
  ['MQIsdp', [3]],
])

/**
 * The dialect in which a CONNECT can be answered, whatever else is wrong with it; 0 when it is not MQTT. A level that does not exist yet is answered in
 * the dialect whose fields the packet has, one that never did in the one which every client knows.
 */
export function connectDialect(bytes: Buffer, start: number, end: number): ProtocolVersion | 0 {
  if (end - start < 3) return 0
  const levelAt = start + 2 + bytes.readUInt16BE(start)
  // The shortest name and a level: four letters, one byte.
  if (levelAt >= end || levelAt > start + 2 + 'MQIsdp'.length) return 0
  const name = bytes.toString('latin1', start + 2, levelAt)
  if (name === 'MQIsdp') return 3
  if (name !== 'MQTT') return 0
  const level = bytes[levelAt] as number
  if (level < 5 || level >= BRIDGE_FLAG) return 4
  return level > 5 && hasFieldsOf4(bytes, levelAt + 1, end) ? 4 : 5
}

/** Whether what follows the level, `bytes[start, end)`, is complete without the properties of MQTT 5. */
function hasFieldsOf4(bytes: Buffer, start: number, end: number): boolean {
  const flags = bytes[start] as number
  let left = 1 + ((flags & FLAG.will) === 0 ? 0 : 2) + ((flags & FLAG.userName) === 0 ? 0 : 1) + ((flags & FLAG.password) === 0 ? 0 : 1)
  let at = start + 3
  for (; left > 0 && at + 2 <= end; left--) at += 2 + bytes.readUInt16BE(at)
  return left === 0 && at === end
}

/** Decodes the body of a CONNECT, which is `bytes[start, end)`. */
export function decodeConnect(
  bytes: Buffer,
  start: number,
  end: number,
  cursor: PropertyCursor,
  limits: TopicLimits,
): ConnectPacket | ProtocolProblem {
  const fields = new FieldReader(bytes, start, end, cursor, limits)
  const version = readVersion(fields)
  const flags = fields.uint8()
  const problem = flagsProblem(flags, version)
  if (problem !== undefined) fields.fail(problem)
  const keepAliveSeconds = fields.uint16()
  const properties = version === 5 ? fields.properties(ALLOWED.connect) : new PropertyValues()
  const clientId = fields.text()
  const will = (flags & FLAG.will) === 0 ? undefined : readWill(fields, flags, version)
  const userName = isPresent(fields, flags & FLAG.userName, version) ? fields.text() : undefined
  const password = isPresent(fields, flags & FLAG.password, version) ? fields.binary() : undefined
  fields.finish()
  const cleanStart = (flags & FLAG.cleanStart) !== 0
  const authenticationMethod = properties.text(PROPERTY.authenticationMethod)
  const authenticationData = properties.binary(PROPERTY.authenticationData)
  if (authenticationData !== undefined && authenticationMethod === undefined) fields.fail(PROBLEM.authenticationMethod)
  if (fields.problem !== undefined) return fields.problem
  return {
    version,
    clientId,
    cleanStart,
    keepAliveSeconds,
    userName,
    password,
    will,
    sessionExpirySeconds: properties.number(PROPERTY.sessionExpiryInterval) ?? (version === 5 || cleanStart ? 0 : EXPIRY_NEVER),
    receiveMaximum: properties.number(PROPERTY.receiveMaximum) ?? RECEIVE_MAXIMUM_DEFAULT,
    maximumPacketSize: properties.number(PROPERTY.maximumPacketSize) ?? PACKET_SIZE_UNLIMITED,
    topicAliasMaximum: properties.number(PROPERTY.topicAliasMaximum) ?? 0,
    requestResponseInformation: properties.number(PROPERTY.requestResponseInformation) === 1,
    requestProblemInformation: properties.number(PROPERTY.requestProblemInformation) !== 0,
    userProperties: properties.userProperties,
    authenticationMethod,
    authenticationData,
  }
}

/** Reads the protocol name and level. What it returns after a problem does not matter. */
function readVersion(fields: FieldReader): ProtocolVersion {
  const versions = NAMES.get(fields.text())
  if (versions === undefined) fields.fail(PROBLEM.protocolName)
  const level = fields.uint8()
  const version = versions?.find((known) => known === level)
  if (version === undefined) fields.fail(PROBLEM.protocolVersion)
  return version ?? 4
}

function flagsProblem(flags: number, version: ProtocolVersion): ProtocolProblem | undefined {
  if ((flags & FLAG.reserved) !== 0) return PROBLEM.connectReserved
  const hasWill = (flags & FLAG.will) !== 0
  if (hasWill ? (flags & FLAG.willQos) === FLAG.willQos : (flags & (FLAG.willQos | FLAG.willRetain)) !== 0) return PROBLEM.willFlags
  if (version !== 5 && (flags & (FLAG.userName | FLAG.password)) === FLAG.password) return PROBLEM.passwordAlone
  return undefined
}

/** In MQTT 3.1 the length of the packet takes precedence over the flags: a field may be announced and missing. */
const isPresent = (fields: FieldReader, flag: number, version: ProtocolVersion): boolean => flag !== 0 && !(version === 3 && fields.isAtEnd)

function readWill(fields: FieldReader, flags: number, version: ProtocolVersion): Will {
  const properties = version === 5 ? fields.properties(ALLOWED.will) : new PropertyValues()
  const headers = version === 5 ? fields.forwarded() : EMPTY
  return {
    topic: fields.topic(),
    qos: (flags & FLAG.willQos) >> 3,
    retain: (flags & FLAG.willRetain) !== 0,
    payload: fields.binary(),
    headers,
    delaySeconds: properties.number(PROPERTY.willDelayInterval) ?? 0,
    messageExpirySeconds: properties.number(PROPERTY.messageExpiryInterval),
  }
}
