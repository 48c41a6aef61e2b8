// SPDX-License-Identifier: Apache-2.0
// The packets that are sent often: PUBLISH and its acknowledgements. All packets of a connection's loop turn become one buffer.
//
// Properties of a PUBLISH, MQTT 5:  subscription identifier* | [message expiry interval] | [topic alias] | [user property 'offset'] | headers as they were received
import { type AckType, PACKET, type ProtocolVersion } from './packet.ts'
import { PROPERTY } from './property.ts'
import { VARIABLE_INTEGER_MAX, variableIntegerSize, writeVariableInteger } from './variable-integer.ts'

const EMPTY = Buffer.alloc(0)
const NONE: readonly number[] = Object.freeze([])
const OFFSET_NAME = Buffer.from('offset')

/** A PUBLISH to be written. Meant to be used again: set what differs. Properties count for MQTT 5 only. */
export class OutgoingPublish {
  /** UTF-8. Empty when the alias alone names the topic. */
  topic: Buffer = EMPTY
  qos = 0
  dup = false
  retain = false
  /** Not zero when `qos` is not. */
  packetId = 0
  /** Subscription identifiers. */
  identifiers: readonly number[] = NONE
  /** What is left of the message's life; -1 for none. */
  messageExpirySeconds = -1
  /** 0 for none. */
  topicAlias = 0
  /** Place of the message in its log, told as user property 'offset'; -1 for none. */
  offset = -1
  /** Forwarded properties: `headers[headersStart, headersEnd)`. */
  headers: Buffer = EMPTY
  headersStart = 0
  headersEnd = 0
  /** `payload[payloadStart, payloadEnd)`. */
  payload: Buffer = EMPTY
  payloadStart = 0
  payloadEnd = 0
}

/** A PUBLISH encoded once for many receivers. The bytes must not be changed. */
export interface EncodedPublish {
  readonly bytes: Buffer
  /** Where the packet identifier is; 0 at QoS 0, when all receivers get the same bytes. */
  readonly packetIdAt: number
}

const ACK_FIRST = Object.freeze({ 4: 0x40, 5: 0x50, 6: 0x62, 7: 0x70 })

/** Below this, copying byte by byte beats a call. */
const COPY_BY_BYTE_MAX = 48

/** First room of a loop turn's buffer, and the most that is kept as an expectation of the next. */
const TURN_SIZE_MIN = 64
const TURN_SIZE_EXPECTED_MAX = 64 * 1024

/** Writes the packets of one connection. Holds no memory between turns. */
export class PacketWriter {
  #bytes: Buffer = EMPTY
  #at = 0
  #expected = TURN_SIZE_MIN

  /** Bytes written since the last `take`. */
  get size(): number {
    return this.#at
  }

  /** Appends a PUBLISH. False, and nothing is written, when it is larger than `sizeMax` [MQTT-3.1.2-24] or than any packet can be. */
  publish(version: ProtocolVersion, publish: OutgoingPublish, sizeMax: number): boolean {
    const properties = version === 5 ? propertiesLength(publish) : -1
    const length = remainingLength(publish, properties)
    const size = 1 + variableIntegerSize(length) + length
    if (size > sizeMax || length > VARIABLE_INTEGER_MAX) return false
    const bytes = this.#room(size)
    this.#at = writePublish(bytes, this.#at, publish, length, properties)
    return true
  }

  /** Appends a PUBLISH that was encoded before, with a packet identifier and DUP flag of its own; both are ignored at QoS 0. */
  encoded(encoded: EncodedPublish, packetId: number, dup: boolean): void {
    const at = this.#at
    this.append(encoded.bytes)
    if (encoded.packetIdAt === 0) return
    this.#bytes[at + encoded.packetIdAt] = packetId >>> 8
    this.#bytes[at + encoded.packetIdAt + 1] = packetId
    if (dup) this.#bytes[at] = (this.#bytes[at] as number) | 0x08
  }

  /** Appends a PUBACK, PUBREC, PUBREL or PUBCOMP. A reason is left out for success, and in 3.x. */
  ack(version: ProtocolVersion, type: AckType, packetId: number, reasonCode: number): void {
    const hasReason = version === 5 && reasonCode !== 0
    const bytes = this.#room(5)
    let at = this.#at
    bytes[at++] = ACK_FIRST[type]
    bytes[at++] = hasReason ? 3 : 2
    bytes[at++] = packetId >>> 8
    bytes[at++] = packetId
    if (hasReason) bytes[at++] = reasonCode
    this.#at = at
  }

  pingresp(): void {
    const bytes = this.#room(2)
    bytes[this.#at++] = PACKET.pingresp << 4
    bytes[this.#at++] = 0
  }

  /** Appends a copy of bytes: a packet that was encoded elsewhere. */
  append(packet: Buffer): void {
    const bytes = this.#room(packet.length)
    packet.copy(bytes, this.#at)
    this.#at += packet.length
  }

  /** What was written, which belongs to the caller from now on. Empty when nothing was. */
  take(): Buffer {
    if (this.#at === 0) return EMPTY
    const taken = this.#bytes.subarray(0, this.#at)
    this.#expected = Math.min(TURN_SIZE_EXPECTED_MAX, Math.max(TURN_SIZE_MIN, this.#at))
    this.#bytes = EMPTY
    this.#at = 0
    return taken
  }

  #room(size: number): Buffer {
    const needed = this.#at + size
    if (needed > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#expected, 2 * this.#at, needed))
      this.#bytes.copy(larger, 0, 0, this.#at)
      this.#bytes = larger
    }
    return this.#bytes
  }
}

/** Encodes a PUBLISH for many receivers. Undefined when it is larger than any packet can be. */
export function encodePublish(version: ProtocolVersion, publish: OutgoingPublish): EncodedPublish | undefined {
  const properties = version === 5 ? propertiesLength(publish) : -1
  const length = remainingLength(publish, properties)
  if (length > VARIABLE_INTEGER_MAX) return undefined
  const headerSize = 1 + variableIntegerSize(length)
  const bytes = Buffer.allocUnsafe(headerSize + length)
  writePublish(bytes, 0, publish, length, properties)
  return { bytes, packetIdAt: publish.qos === 0 ? 0 : headerSize + 2 + publish.topic.length }
}

/** Length of the properties without their own length. */
function propertiesLength(publish: OutgoingPublish): number {
  let length = publish.headersEnd - publish.headersStart
  if (publish.messageExpirySeconds >= 0) length += 5
  if (publish.topicAlias !== 0) length += 3
  if (publish.offset >= 0) length += 5 + OFFSET_NAME.length + String(publish.offset).length
  const identifiers = publish.identifiers
  for (let at = 0; at < identifiers.length; at++) length += 1 + variableIntegerSize(identifiers[at] as number)
  return length
}

/** `properties` is their length; -1 in 3.x, where there is not even a length. */
function remainingLength(publish: OutgoingPublish, properties: number): number {
  const section = properties < 0 ? 0 : variableIntegerSize(properties) + properties
  return 2 + publish.topic.length + (publish.qos === 0 ? 0 : 2) + section + publish.payloadEnd - publish.payloadStart
}

function writePublish(bytes: Buffer, from: number, publish: OutgoingPublish, length: number, properties: number): number {
  const { topic, qos } = publish
  let at = from
  bytes[at++] = (PACKET.publish << 4) | (publish.dup ? 0x08 : 0) | (qos << 1) | (publish.retain ? 0x01 : 0)
  at = writeVariableInteger(bytes, length, at)
  bytes[at++] = topic.length >>> 8
  bytes[at++] = topic.length
  at = copyInto(bytes, at, topic, 0, topic.length)
  if (qos !== 0) {
    bytes[at++] = publish.packetId >>> 8
    bytes[at++] = publish.packetId
  }
  if (properties === 0) bytes[at++] = 0
  else if (properties > 0) at = writeProperties(bytes, at, publish, properties)
  return copyInto(bytes, at, publish.payload, publish.payloadStart, publish.payloadEnd)
}

function writeProperties(bytes: Buffer, from: number, publish: OutgoingPublish, length: number): number {
  let at = writeVariableInteger(bytes, length, from)
  const identifiers = publish.identifiers
  for (let next = 0; next < identifiers.length; next++) {
    bytes[at++] = PROPERTY.subscriptionIdentifier
    at = writeVariableInteger(bytes, identifiers[next] as number, at)
  }
  if (publish.messageExpirySeconds >= 0) {
    bytes[at++] = PROPERTY.messageExpiryInterval
    at = bytes.writeUInt32BE(publish.messageExpirySeconds, at)
  }
  if (publish.topicAlias !== 0) {
    bytes[at++] = PROPERTY.topicAlias
    at = bytes.writeUInt16BE(publish.topicAlias, at)
  }
  if (publish.offset >= 0) at = writeOffset(bytes, at, publish.offset)
  return copyInto(bytes, at, publish.headers, publish.headersStart, publish.headersEnd)
}

function writeOffset(bytes: Buffer, from: number, offset: number): number {
  const digits = String(offset)
  let at = from
  bytes[at++] = PROPERTY.userProperty
  at = bytes.writeUInt16BE(OFFSET_NAME.length, at)
  at = copyInto(bytes, at, OFFSET_NAME, 0, OFFSET_NAME.length)
  at = bytes.writeUInt16BE(digits.length, at)
  return at + bytes.write(digits, at, 'latin1')
}

function copyInto(bytes: Buffer, to: number, source: Buffer, start: number, end: number): number {
  const size = end - start
  if (size > COPY_BY_BYTE_MAX) source.copy(bytes, to, start, end)
  else for (let at = 0; at < size; at++) bytes[to + at] = source[start + at] as number
  return to + size
}
