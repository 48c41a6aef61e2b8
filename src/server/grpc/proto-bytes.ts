// SPDX-License-Identifier: Apache-2.0
// The part of the Protocol Buffers encoding that peer.proto needs: tags of one byte, varints, 32-bit words, and lengths with bytes.
import { assert } from '#base/assert'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'

const VARINT = 0
const LENGTH_DELIMITED = 2
const FIXED32 = 5
const SEVEN_BITS = 0x80

export interface Field {
  readonly number: number
  /** Of a varint or a 32-bit word; 0 else. */
  readonly value: number
  /** A slice; empty for what is no length-delimited field. */
  readonly bytes: Buffer
}

const NO_BYTES = Buffer.alloc(0)

export function varintBytes(value: number): number {
  assert(Number.isSafeInteger(value) && value >= 0, 'a varint is a safe, non-negative integer')
  let bytes = 1
  for (let rest = value; rest >= SEVEN_BITS; rest = Math.floor(rest / SEVEN_BITS)) bytes++
  return bytes
}

/** Returns where the next byte goes. */
export function writeVarint(into: Buffer, value: number, at: number): number {
  let rest = value
  let next = at
  for (; rest >= SEVEN_BITS; rest = Math.floor(rest / SEVEN_BITS)) into[next++] = (rest % SEVEN_BITS) | SEVEN_BITS
  into[next++] = rest
  return next
}

export function varintField(number: number, value: number): Buffer {
  const bytes = Buffer.allocUnsafe(1 + varintBytes(value))
  bytes[0] = tag(number, VARINT)
  writeVarint(bytes, value, 1)
  return bytes
}

export function fixed32Field(number: number, value: number): Buffer {
  const bytes = Buffer.allocUnsafe(5)
  bytes[0] = tag(number, FIXED32)
  bytes.writeUInt32LE(value, 1)
  return bytes
}

/** What goes ahead of `length` bytes. */
export function lengthPrefix(number: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(1 + varintBytes(length))
  bytes[0] = tag(number, LENGTH_DELIMITED)
  writeVarint(bytes, length, 1)
  return bytes
}

export function writeLengthPrefix(into: Buffer, number: number, length: number, at: number): number {
  into[at] = tag(number, LENGTH_DELIMITED)
  return writeVarint(into, length, at + 1)
}

/** All fields of a message, in their order. Throws `invalid` when it is none. */
export function readFields(message: Buffer): readonly Field[] {
  const fields: Field[] = []
  let at = 0
  const varint = (): number => {
    let value = 0
    for (let scale = 1; ; scale *= SEVEN_BITS) {
      const byte = message[at++]
      if (byte === undefined) throw malformed('it ends too early')
      value += (byte % SEVEN_BITS) * scale
      if (!Number.isSafeInteger(value)) throw malformed('an integer is too large')
      if (byte < SEVEN_BITS) return value
      if (scale > Number.MAX_SAFE_INTEGER / SEVEN_BITS) throw malformed('an integer is too long')
    }
  }
  while (at < message.length) {
    const key = varint()
    const number = Math.floor(key / 8)
    switch (key % 8) {
      case VARINT:
        fields.push({ number, value: varint(), bytes: NO_BYTES })
        break
      case LENGTH_DELIMITED: {
        const length = varint()
        if (length > message.length - at) throw malformed('a length is beyond the end')
        fields.push({ number, value: 0, bytes: message.subarray(at, at + length) })
        at += length
        break
      }
      case FIXED32:
        if (message.length - at < 4) throw malformed('it ends too early')
        fields.push({ number, value: message.readUInt32LE(at), bytes: NO_BYTES })
        at += 4
        break
      default:
        throw malformed(`a field is of the unknown type ${key % 8}`)
    }
  }
  return fields
}

export function malformed(why: string): PlatformError {
  return new PlatformError(ERROR_CODES.invalid, `a message of another node cannot be read: ${why}`)
}

function tag(number: number, type: number): number {
  assert(number > 0 && number < 16, 'the tag of a field takes one byte')
  return number * 8 + type
}
