// SPDX-License-Identifier: Apache-2.0
// The fixed header: type, flags, remaining length (MQTT 5 section 2.1).
import { PACKET } from './packet.ts'
import { PROBLEM, type ProtocolProblem } from './problem.ts'

const TYPE_OF = new Uint8Array(256)
for (const type of [PACKET.connect, PACKET.puback, PACKET.pubrec, PACKET.pubcomp, PACKET.pingreq, PACKET.disconnect, PACKET.auth])
  TYPE_OF[type << 4] = type
for (const type of [PACKET.pubrel, PACKET.subscribe, PACKET.unsubscribe]) TYPE_OF[(type << 4) | 0x02] = type
// QoS 0 to 2, with or without RETAIN; DUP only above QoS 0.
for (const flags of [0x0, 0x1, 0x2, 0x3, 0x4, 0x5, 0xa, 0xb, 0xc, 0xd]) TYPE_OF[(PACKET.publish << 4) | flags] = PACKET.publish

/** Type of the packet that a first byte begins; 0 where a client may not send it. */
export const packetTypeOf = (first: number): number => TYPE_OF[first] as number

/** The same of MQTT 3.1, where these three are sent again with DUP set. */
export function repeatedTypeOf(first: number): number {
  const type = first >> 4
  const isRepeatable = type === PACKET.pubrel || type === PACKET.subscribe || type === PACKET.unsubscribe
  return isRepeatable && (first & 0x0f) === 0x0a ? type : 0
}

const SERVER_TYPES: readonly number[] = [PACKET.connack, PACKET.suback, PACKET.unsuback, PACKET.pingresp]

/** Why a first byte has no type. */
export function headerProblem(first: number): ProtocolProblem {
  const type = first >> 4
  if (type === PACKET.publish) return (first & 0x06) === 0x06 ? PROBLEM.publishQos : PROBLEM.publishDup
  if (type === 0) return PROBLEM.packetType
  return SERVER_TYPES.includes(type) ? PROBLEM.fromServerOnly : PROBLEM.headerFlags
}

/** Bytes of the packet that begins at 0, as far as its fixed header, of which there are `size` bytes, tells; at least one more than there are. */
export function frameSize(bytes: Buffer, size: number): number {
  let length = 0
  for (let at = 1; at < size && at < 5; at++) {
    const byte = bytes[at] as number
    length |= (byte & 0x7f) << (7 * (at - 1))
    if (byte < 0x80) return at + 1 + length
  }
  return size + 1
}
