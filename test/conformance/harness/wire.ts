// SPDX-License-Identifier: Apache-2.0
// Packets of a client as bytes, written from the specification alone: it shares nothing with the server, and writes what is wrong as readily as what is right.

/** Protocol level: MQTT 3.1, 3.1.1, 5.0. */
export type Version = 3 | 4 | 5
export type Qos = 0 | 1 | 2

export type PropertyKind = 'uint8' | 'uint16' | 'uint32' | 'varint' | 'text' | 'binary' | 'pair'

/** MQTT 5 section 2.2.2.2. */
export const PROPERTIES = Object.freeze({
  payloadFormat: [1, 'uint8'],
  messageExpiry: [2, 'uint32'],
  contentType: [3, 'text'],
  responseTopic: [8, 'text'],
  correlationData: [9, 'binary'],
  subscriptionIdentifier: [11, 'varint'],
  sessionExpiry: [17, 'uint32'],
  assignedClientId: [18, 'text'],
  serverKeepAlive: [19, 'uint16'],
  authenticationMethod: [21, 'text'],
  authenticationData: [22, 'binary'],
  requestProblemInformation: [23, 'uint8'],
  willDelay: [24, 'uint32'],
  requestResponseInformation: [25, 'uint8'],
  responseInformation: [26, 'text'],
  serverReference: [28, 'text'],
  reasonString: [31, 'text'],
  receiveMaximum: [33, 'uint16'],
  topicAliasMaximum: [34, 'uint16'],
  topicAlias: [35, 'uint16'],
  maximumQos: [36, 'uint8'],
  retainAvailable: [37, 'uint8'],
  userProperty: [38, 'pair'],
  maximumPacketSize: [39, 'uint32'],
  wildcardAvailable: [40, 'uint8'],
  identifiersAvailable: [41, 'uint8'],
  sharedAvailable: [42, 'uint8'],
} as const satisfies Record<string, readonly [id: number, kind: PropertyKind]>)

export type PropertyName = keyof typeof PROPERTIES
export type PropertyValue = number | string | Buffer | readonly [name: string, value: string]
/** In the order in which they stand in the packet. */
export type Properties = readonly (readonly [name: PropertyName, value: PropertyValue])[]

export const uint16 = (value: number): Buffer => Buffer.of(value >> 8, value & 0xff)

const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

export const varint = (value: number): Buffer => {
  const bytes: number[] = []
  let rest = value
  do {
    const digit = rest % 128
    rest = Math.floor(rest / 128)
    bytes.push(rest > 0 ? digit | 0x80 : digit)
  } while (rest > 0)
  return Buffer.from(bytes)
}

/** Length-prefixed bytes; text as UTF-8. */
export const text = (content: string | Buffer): Buffer => {
  const bytes = Buffer.from(content)
  return Buffer.concat([uint16(bytes.length), bytes])
}

/** A packet: its first byte, and its body behind the length of it. */
export const frame = (first: number, ...body: readonly Buffer[]): Buffer => {
  const bytes = Buffer.concat(body)
  return Buffer.concat([Buffer.of(first), varint(bytes.length), bytes])
}

/** A section of properties with its length. */
export const section = (properties: Properties): Buffer => {
  const bytes = Buffer.concat(properties.map(([name, value]) => encodeProperty(name, value)))
  return Buffer.concat([varint(bytes.length), bytes])
}

function encodeProperty(name: PropertyName, value: PropertyValue): Buffer {
  const [id, kind] = PROPERTIES[name]
  if (kind === 'pair') return Buffer.concat([Buffer.of(id), ...(value as readonly string[]).map((part) => text(part))])
  return Buffer.concat([Buffer.of(id), ENCODERS[kind](value as never)])
}

const ENCODERS = {
  uint8: (value: number) => Buffer.of(value),
  uint16,
  uint32,
  varint,
  text,
  binary: text,
} as const

/** The section in MQTT 5, nothing in 3.x. */
const sectionIn = (version: Version, properties: Properties = []): Buffer => (version === 5 ? section(properties) : Buffer.alloc(0))

export interface WillFields {
  readonly topic: string | Buffer
  readonly payload?: string | Buffer
  readonly qos?: number
  readonly retain?: boolean
  readonly properties?: Properties
}

export interface ConnectFields {
  readonly version?: Version
  readonly clientId?: string | Buffer
  readonly cleanStart?: boolean
  readonly keepAliveSeconds?: number
  readonly properties?: Properties
  readonly will?: WillFields
  readonly userName?: string | Buffer
  readonly password?: string | Buffer
  /** In place of what follows from the fields above. */
  readonly protocolName?: string
  readonly level?: number
  readonly flags?: number
}

export function encodeConnect(fields: ConnectFields): Buffer {
  const { version = 5, clientId = '', will, userName, password } = fields
  const payload: Buffer[] = [text(clientId)]
  if (will !== undefined) payload.push(sectionIn(version, will.properties), text(will.topic), text(will.payload ?? ''))
  if (userName !== undefined) payload.push(text(userName))
  if (password !== undefined) payload.push(text(password))
  return frame(
    0x10,
    text(fields.protocolName ?? (version === 3 ? 'MQIsdp' : 'MQTT')),
    Buffer.of(fields.level ?? version, fields.flags ?? connectFlags(fields)),
    uint16(fields.keepAliveSeconds ?? 0),
    sectionIn(version, fields.properties),
    ...payload,
  )
}

function connectFlags({ cleanStart = true, will, userName, password }: ConnectFields): number {
  let flags = cleanStart ? 0x02 : 0
  if (will !== undefined) flags |= 0x04 | ((will.qos ?? 0) << 3) | (will.retain ? 0x20 : 0)
  if (password !== undefined) flags |= 0x40
  if (userName !== undefined) flags |= 0x80
  return flags
}

export interface PublishFields {
  readonly topic: string | Buffer
  readonly payload?: string | Buffer
  readonly qos?: number
  readonly packetId?: number
  readonly retain?: boolean
  readonly dup?: boolean
  readonly properties?: Properties
}

export function encodePublish(version: Version, fields: PublishFields): Buffer {
  const { topic, payload = '', qos = 0, packetId = 0, retain = false, dup = false } = fields
  const first = 0x30 | (dup ? 0x08 : 0) | (qos << 1) | (retain ? 0x01 : 0)
  const packetIdBytes = qos === 0 ? Buffer.alloc(0) : uint16(packetId)
  return frame(first, text(topic), packetIdBytes, sectionIn(version, fields.properties), Buffer.from(payload))
}

const ACK_FIRST = Object.freeze({ puback: 0x40, pubrec: 0x50, pubrel: 0x62, pubcomp: 0x70 })
export type AckType = keyof typeof ACK_FIRST

/** A reason code is written when it is given, in MQTT 5. */
export const encodeAck = (type: AckType, packetId: number, reasonCode?: number, properties?: Properties): Buffer =>
  frame(ACK_FIRST[type], uint16(packetId), ...reason(reasonCode, properties))

const reason = (reasonCode: number | undefined, properties: Properties | undefined): readonly Buffer[] => [
  ...(reasonCode === undefined ? [] : [Buffer.of(reasonCode)]),
  ...(properties === undefined ? [] : [section(properties)]),
]

export interface FilterFields {
  readonly filter: string | Buffer
  /** QoS, and in MQTT 5 the flags of `OPTION`. */
  readonly options: number
}

/** Subscription options (MQTT 5 section 3.8.3.1), to be added to the QoS. */
export const OPTION = Object.freeze({ noLocal: 0x04, retainAsPublished: 0x08, onlyIfNew: 0x10, withoutRetained: 0x20 })

export const encodeSubscribe = (
  version: Version,
  packetId: number,
  filters: readonly FilterFields[],
  properties: Properties = [],
): Buffer =>
  frame(
    0x82,
    uint16(packetId),
    sectionIn(version, properties),
    ...filters.flatMap(({ filter, options }) => [text(filter), Buffer.of(options)]),
  )

export const encodeUnsubscribe = (
  version: Version,
  packetId: number,
  filters: readonly (string | Buffer)[],
  properties: Properties = [],
): Buffer => frame(0xa2, uint16(packetId), sectionIn(version, properties), ...filters.map(text))

/** A reason code is written when it is given, in MQTT 5. */
export const encodeDisconnect = (reasonCode?: number, properties?: Properties): Buffer => frame(0xe0, ...reason(reasonCode, properties))

export const encodeAuth = (reasonCode: number, properties: Properties): Buffer => frame(0xf0, Buffer.of(reasonCode), section(properties))

export const PINGREQ: Buffer = frame(0xc0)
