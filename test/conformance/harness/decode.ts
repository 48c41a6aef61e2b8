// SPDX-License-Identifier: Apache-2.0
// Packets of the server, read strictly: what the specification forbids a server to send fails the test that receives it, whatever the test is about.
import assert from 'node:assert/strict'
import { type AckType, PROPERTIES, type Properties, type PropertyName, type PropertyValue, type Qos, type Version } from './wire.ts'

export interface Connack {
  readonly type: 'connack'
  readonly sessionPresent: boolean
  readonly reasonCode: number
  readonly properties: Properties
}

export interface Publish {
  readonly type: 'publish'
  readonly topic: string
  /** Each byte as the character of the same number. */
  readonly payload: string
  readonly qos: Qos
  readonly dup: boolean
  readonly retain: boolean
  /** 0 at QoS 0. */
  readonly packetId: number
  readonly properties: Properties
}

export interface Ack {
  readonly type: AckType
  readonly packetId: number
  readonly reasonCode: number
  readonly properties: Properties
}

export interface SubscriptionAck {
  readonly type: 'suback' | 'unsuback'
  readonly packetId: number
  readonly reasonCodes: readonly number[]
  readonly properties: Properties
}

export interface Farewell {
  readonly type: 'disconnect' | 'auth'
  readonly reasonCode: number
  readonly properties: Properties
}

export interface Pingresp {
  readonly type: 'pingresp'
}

export type Packet = Connack | Publish | Ack | SubscriptionAck | Farewell | Pingresp
export type PacketType = Packet['type']

/** What a property says; undefined when the packet does not have it. */
export const propertyOf = (packet: { readonly properties: Properties }, name: PropertyName): PropertyValue | undefined =>
  packet.properties.find(([known]) => known === name)?.[1]

/** Bytes of the first whole packet; 0 when it is not there yet. */
export function packetSize(bytes: Buffer): number {
  let length = 0
  for (let at = 1; at < Math.min(bytes.length, 5); at++) {
    const byte = bytes[at] as number
    length += (byte & 0x7f) * 128 ** (at - 1)
    if (byte < 0x80) return at + 1 + length <= bytes.length ? at + 1 + length : 0
    assert.ok(at < 4, 'the remaining length has at most four bytes')
  }
  return 0
}

const HEADERS: ReadonlyMap<number, Exclude<PacketType, 'publish'>> = new Map([
  [0x20, 'connack'],
  [0x40, 'puback'],
  [0x50, 'pubrec'],
  [0x62, 'pubrel'],
  [0x70, 'pubcomp'],
  [0x90, 'suback'],
  [0xb0, 'unsuback'],
  [0xd0, 'pingresp'],
  [0xe0, 'disconnect'],
  [0xf0, 'auth'],
])

/** Decodes one whole packet. */
export function decodePacket(version: Version, bytes: Buffer): Packet {
  const fields = new Fields(bytes)
  const first = fields.uint8()
  fields.varint()
  const packet = decodeBody(version, first, fields)
  assert.ok(fields.isAtEnd, `bytes follow the last field of ${packet.type}`)
  return packet
}

function decodeBody(version: Version, first: number, fields: Fields): Packet {
  if (first >> 4 === 3) return decodePublish(version, first, fields)
  const type = HEADERS.get(first)
  assert.ok(type !== undefined, `a server does not send packets that begin with 0x${first.toString(16)} [MQTT-2.1.3-1]`)
  switch (type) {
    case 'connack':
      return decodeConnack(version, fields)
    case 'pingresp':
      return { type }
    case 'suback':
    case 'unsuback':
      return decodeSubscriptionAck(version, type, fields)
    case 'disconnect':
    case 'auth':
      assert.equal(version, 5, `a 3.x server does not send ${type}`)
      return { type, ...decodeReason(fields, type) }
    default: {
      const packetId = fields.uint16()
      assert.notEqual(packetId, 0, `${type} names a packet id`)
      assert.ok(version === 5 || fields.isAtEnd, `${type} has no reason code in 3.x`)
      return { type, packetId, ...decodeReason(fields, type) }
    }
  }
}

function decodeConnack(version: Version, fields: Fields): Connack {
  const flags = fields.uint8()
  assert.equal(flags & 0xfe, 0, 'the other flags of CONNACK are reserved [MQTT-3.2.2-1]')
  const reasonCode = fields.uint8()
  assert.ok(flags === 0 || reasonCode === 0, 'a refusal has no session present [MQTT-3.2.2-6]')
  return { type: 'connack', sessionPresent: flags === 1, reasonCode, properties: version === 5 ? fields.properties('connack') : [] }
}

function decodePublish(version: Version, first: number, fields: Fields): Publish {
  const qos = (first >> 1) & 3
  const dup = (first & 0x08) !== 0
  assert.notEqual(qos, 3, 'both QoS bits are set [MQTT-3.3.1-4]')
  assert.ok(qos > 0 || !dup, 'DUP is set at QoS 0 [MQTT-3.3.1-2]')
  const topic = fields.text()
  assert.match(topic, /^[^+#\0]*$/, 'a topic name has no wildcard')
  const packetId = qos === 0 ? 0 : fields.uint16()
  assert.ok(qos === 0 || packetId > 0, 'PUBLISH above QoS 0 has a packet id [MQTT-2.2.1-4]')
  const properties = version === 5 ? fields.properties('publish') : []
  const isAliased = properties.some(([name]) => name === 'topicAlias')
  assert.ok(topic !== '' || isAliased, 'a topic name has characters, unless an alias stands for it [MQTT-3.3.2-8]')
  return { type: 'publish', topic, payload: fields.rest(), qos: qos as Qos, dup, retain: (first & 0x01) !== 0, packetId, properties }
}

function decodeSubscriptionAck(version: Version, type: 'suback' | 'unsuback', fields: Fields): SubscriptionAck {
  const packetId = fields.uint16()
  const properties = version === 5 ? fields.properties(type) : []
  const reasonCodes = [...Buffer.from(fields.rest(), 'latin1')]
  const known = type === 'unsuback' ? UNSUBACK_CODES : version === 5 ? SUBACK_CODES : SUBACK_CODES_3
  for (const code of reasonCodes) assert.ok(known.includes(code), `${type} does not have the code 0x${code.toString(16)}`)
  return { type, packetId, reasonCodes, properties }
}

const SUBACK_CODES_3 = [0x00, 0x01, 0x02, 0x80]
const SUBACK_CODES = [0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e, 0xa1, 0xa2]
const UNSUBACK_CODES = [0x00, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91]

/** Codes that a server sends, for the packets in which it may leave them out. */
const REASON_CODES: Readonly<Record<AckType | 'disconnect' | 'auth', readonly number[]>> = {
  puback: [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
  pubrec: [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
  pubrel: [0x00, 0x92],
  pubcomp: [0x00, 0x92],
  disconnect: [
    ...[0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8b, 0x8d, 0x8e, 0x8f, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98],
    ...[0x99, 0x9a, 0x9b, 0x9c, 0x9d, 0x9e, 0x9f, 0xa0, 0xa1, 0xa2],
  ],
  auth: [0x00, 0x18],
}

/** A reason code and properties, which may both be left out. */
function decodeReason(fields: Fields, type: AckType | 'disconnect' | 'auth'): { reasonCode: number; properties: Properties } {
  const reasonCode = fields.isAtEnd ? 0 : fields.uint8()
  assert.ok(REASON_CODES[type].includes(reasonCode), `${type} does not have the code 0x${reasonCode.toString(16)}`)
  return { reasonCode, properties: fields.isAtEnd ? [] : fields.properties(type) }
}

type PropertyOwner = Exclude<PacketType, 'pingresp'>

const NOTES: readonly PropertyName[] = ['reasonString', 'userProperty']
const ALLOWED: Readonly<Record<PropertyOwner, readonly PropertyName[]>> = {
  connack: [
    ...NOTES,
    ...(['sessionExpiry', 'receiveMaximum', 'maximumQos', 'retainAvailable', 'maximumPacketSize', 'assignedClientId'] as const),
    ...(['topicAliasMaximum', 'wildcardAvailable', 'identifiersAvailable', 'sharedAvailable', 'serverKeepAlive'] as const),
    ...(['responseInformation', 'serverReference', 'authenticationMethod', 'authenticationData'] as const),
  ],
  publish: [
    ...(['payloadFormat', 'messageExpiry', 'contentType', 'responseTopic', 'correlationData'] as const),
    ...(['subscriptionIdentifier', 'topicAlias', 'userProperty'] as const),
  ],
  puback: NOTES,
  pubrec: NOTES,
  pubrel: NOTES,
  pubcomp: NOTES,
  suback: NOTES,
  unsuback: NOTES,
  // No session expiry: a server must not send it [MQTT-3.14.2-2].
  disconnect: [...NOTES, 'serverReference'],
  auth: [...NOTES, 'authenticationMethod', 'authenticationData'],
}
const REPEATABLE: readonly PropertyName[] = ['userProperty', 'subscriptionIdentifier']
const NAMES: ReadonlyMap<number, PropertyName> = new Map(Object.entries(PROPERTIES).map(([name, [id]]) => [id, name as PropertyName]))

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

class Fields {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  uint8(): number {
    return this.#take(1)[0] as number
  }

  uint16(): number {
    return this.#take(2).readUInt16BE()
  }

  varint(): number {
    let value = 0
    for (let size = 0; size < 4; size++) {
      const byte = this.uint8()
      value += (byte & 0x7f) * 128 ** size
      assert.ok(size === 0 || byte !== 0, 'an integer has as few bytes as can be [MQTT-1.5.5-1]')
      if (byte < 0x80) return value
    }
    return assert.fail('an integer has at most four bytes')
  }

  text(): string {
    return UTF8.decode(this.binary())
  }

  binary(): Buffer {
    return Buffer.from(this.#take(this.uint16()))
  }

  rest(): string {
    return this.#take(this.#bytes.length - this.#at).toString('latin1')
  }

  properties(owner: PropertyOwner): Properties {
    const size = this.varint()
    const end = this.#at + size
    const found: (readonly [PropertyName, PropertyValue])[] = []
    while (this.#at < end) {
      const id = this.uint8()
      const name = NAMES.get(id)
      assert.ok(name !== undefined && ALLOWED[owner].includes(name), `${owner} does not have the property ${name ?? id}`)
      assert.ok(REPEATABLE.includes(name) || !found.some(([other]) => other === name), `${name} is there twice`)
      found.push([name, this.#value(name)])
    }
    assert.equal(this.#at, end, 'the properties end where their length says')
    return found
  }

  #value(name: PropertyName): PropertyValue {
    switch (PROPERTIES[name][1]) {
      case 'uint8':
        return this.uint8()
      case 'uint16':
        return this.uint16()
      case 'uint32':
        return this.#take(4).readUInt32BE()
      case 'varint':
        return this.varint()
      case 'text':
        return this.text()
      case 'binary':
        return this.binary()
      case 'pair':
        return [this.text(), this.text()]
    }
  }

  #take(size: number): Buffer {
    assert.ok(this.#at + size <= this.#bytes.length, 'a field ends before the packet does')
    this.#at += size
    return this.#bytes.subarray(this.#at - size, this.#at)
  }
}
