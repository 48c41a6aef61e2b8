// SPDX-License-Identifier: Apache-2.0
// Packets that no client may send, one of each kind, and what an MQTT 5 server has to say to each.

export interface MalformedPacket {
  readonly name: string
  /** After a CONNECT that was accepted, or instead of it. */
  readonly when: 'first' | 'connected'
  readonly bytes: Buffer
  /** Reason code of DISCONNECT, or of CONNACK when it came first; undefined where silence is due. */
  readonly reasonCode: number | undefined
}

const MALFORMED = 0x81
const PROTOCOL_ERROR = 0x82
const UNSUPPORTED_VERSION = 0x84
const TOPIC_ALIAS_INVALID = 0x94
const PACKET_TOO_LARGE = 0x95

/** Bytes from numbers and texts; a text is preceded by its length, as in all of MQTT. */
function bytes(...parts: readonly (number | string)[]): Buffer {
  return Buffer.concat(
    parts.map((part) => {
      if (typeof part === 'number') return Buffer.from([part])
      const text = Buffer.from(part, 'latin1')
      return Buffer.concat([Buffer.from([text.length >> 8, text.length & 0xff]), text])
    }),
  )
}

/** A packet of at most 127 bytes behind its fixed header. */
const packet = (first: number, ...parts: readonly (number | string)[]): Buffer => {
  const body = bytes(...parts)
  return Buffer.concat([Buffer.from([first, body.length]), body])
}

const connected = (name: string, reasonCode: number | undefined, content: Buffer): MalformedPacket => ({
  name,
  when: 'connected',
  bytes: content,
  reasonCode,
})
const first = (name: string, reasonCode: number | undefined, content: Buffer): MalformedPacket => ({
  name,
  when: 'first',
  bytes: content,
  reasonCode,
})

const PUBLISH_QOS1 = 0x32

/** All are of MQTT 5. None of them has a valid packet behind it. */
export const MALFORMED_PACKETS: readonly MalformedPacket[] = [
  first('CONNECT of another protocol', undefined, packet(0x10, 'HTTP', 5, 2, 0, 0, 0, 'c')),
  first('CONNECT of version 9', UNSUPPORTED_VERSION, packet(0x10, 'MQTT', 9, 2, 0, 0, 0, 'c')),
  first('CONNECT with the reserved flag', MALFORMED, packet(0x10, 'MQTT', 5, 3, 0, 0, 0, 'c')),
  first('CONNECT with will QoS 3', MALFORMED, packet(0x10, 'MQTT', 5, 0x1e, 0, 0, 0, 'c', 0, 't', 'p')),
  first('CONNECT that ends inside the client id', MALFORMED, packet(0x10, 'MQTT', 5, 2, 0, 0, 0, 0, 9, 0x63)),
  first('CONNECT with bytes behind its end', MALFORMED, packet(0x10, 'MQTT', 5, 2, 0, 0, 0, 'c', 1)),
  first('CONNECT with a client id that is no UTF-8', MALFORMED, packet(0x10, 'MQTT', 5, 2, 0, 0, 0, '\xff\xfe')),
  first('CONNECT with fixed header flags', undefined, packet(0x11, 'MQTT', 5, 2, 0, 0, 0, 'c')),
  first('PUBLISH before CONNECT', undefined, packet(0x30, 't', 0)),
  first('SUBSCRIBE before CONNECT', undefined, packet(0x82, 0, 1, 0, 't', 0)),
  first('PINGREQ before CONNECT', undefined, packet(0xc0)),
  first('DISCONNECT before CONNECT', undefined, packet(0xe0)),
  first('a reserved packet type', undefined, packet(0x00)),
  first('an HTTP request', undefined, Buffer.from('GET / HTTP/1.1\r\nHost: x\r\n\r\n')),
  first('a TLS hello', undefined, Buffer.from('16030100f5010000f10303', 'hex')),
  connected('a second CONNECT', PROTOCOL_ERROR, packet(0x10, 'MQTT', 5, 2, 0, 0, 0, 'c')),
  connected('CONNACK from a client', PROTOCOL_ERROR, packet(0x20, 0, 0, 0)),
  connected('SUBACK from a client', PROTOCOL_ERROR, packet(0x90, 0, 1, 0, 0)),
  connected('UNSUBACK from a client', PROTOCOL_ERROR, packet(0xb0, 0, 1, 0, 0)),
  connected('PINGRESP from a client', PROTOCOL_ERROR, packet(0xd0)),
  connected('a reserved packet type later', MALFORMED, packet(0x00)),
  connected('a remaining length of five bytes', MALFORMED, bytes(0x30, 0xff, 0xff, 0xff, 0xff, 0x7f)),
  connected('a remaining length longer than it needs', MALFORMED, bytes(0xc0, 0x80, 0x00)),
  connected('PUBLISH at QoS 3', MALFORMED, packet(0x36, 't', 0, 1, 0)),
  connected('PUBLISH at QoS 0 with DUP', MALFORMED, packet(0x38, 't', 0)),
  connected('PUBLISH with packet id 0', PROTOCOL_ERROR, packet(PUBLISH_QOS1, 't', 0, 0, 0)),
  connected('PUBLISH to a wildcard', MALFORMED, packet(0x30, 'a/#', 0)),
  connected('PUBLISH to U+0000', MALFORMED, packet(0x30, 'a\0b', 0)),
  connected('PUBLISH to nowhere', PROTOCOL_ERROR, packet(0x30, '', 0)),
  connected('PUBLISH with a topic alias that was never set', PROTOCOL_ERROR, packet(0x30, '', 3, 0x23, 0, 7)),
  connected('PUBLISH with topic alias 0', TOPIC_ALIAS_INVALID, packet(0x30, 't', 3, 0x23, 0, 0)),
  connected('PUBLISH that ends inside its topic', MALFORMED, packet(0x30, 0, 9, 0x74)),
  connected('PUBLISH that ends inside its properties', MALFORMED, packet(0x30, 't', 9, 1)),
  connected('PUBLISH with an unknown property', MALFORMED, packet(0x30, 't', 2, 0x7f, 0)),
  connected('PUBLISH with a property twice', PROTOCOL_ERROR, packet(0x30, 't', 4, 0x01, 0, 0x01, 0)),
  connected('PUBLISH with a subscription identifier', PROTOCOL_ERROR, packet(0x30, 't', 2, 0x0b, 1)),
  connected('PUBACK with packet id 0', PROTOCOL_ERROR, packet(0x40, 0, 0)),
  connected('PUBACK of one byte', MALFORMED, packet(0x40, 1)),
  connected('PUBACK with flags', MALFORMED, packet(0x42, 0, 1)),
  connected('PUBREL without its flags', MALFORMED, packet(0x60, 0, 1)),
  connected('PUBREC with an unknown reason', PROTOCOL_ERROR, packet(0x50, 0, 1, 0x55)),
  connected('SUBSCRIBE without its flags', MALFORMED, packet(0x80, 0, 1, 0, 't', 0)),
  connected('SUBSCRIBE to nothing', PROTOCOL_ERROR, packet(0x82, 0, 1, 0)),
  connected('SUBSCRIBE at QoS 3', PROTOCOL_ERROR, packet(0x82, 0, 1, 0, 't', 3)),
  connected('SUBSCRIBE with reserved options', MALFORMED, packet(0x82, 0, 1, 0, 't', 0x40)),
  connected('SUBSCRIBE with retain handling 3', PROTOCOL_ERROR, packet(0x82, 0, 1, 0, 't', 0x30)),
  connected('SUBSCRIBE with # in the middle', MALFORMED, packet(0x82, 0, 1, 0, 'a/#/b', 0)),
  connected('SUBSCRIBE without a byte for the options', MALFORMED, packet(0x82, 0, 1, 0, 't')),
  connected('UNSUBSCRIBE from nothing', PROTOCOL_ERROR, packet(0xa2, 0, 1, 0)),
  connected('UNSUBSCRIBE without its flags', MALFORMED, packet(0xa0, 0, 1, 0, 't')),
  connected('PINGREQ with a body', MALFORMED, packet(0xc0, 0)),
  connected('DISCONNECT with flags', MALFORMED, packet(0xe1)),
  connected('DISCONNECT with an unknown reason', PROTOCOL_ERROR, packet(0xe0, 0x55)),
  connected('AUTH without a method', PROTOCOL_ERROR, packet(0xf0, 0x18, 0)),
  connected('a packet over the limit', PACKET_TOO_LARGE, bytes(0x30, 0xff, 0xff, 0xff, 0x7f)),
]
