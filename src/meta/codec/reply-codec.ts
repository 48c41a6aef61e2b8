// SPDX-License-Identifier: Apache-2.0
// Any reply of a machine as bytes, so that it can be given again. Replies are plain values: objects and arrays of numbers, texts and bytes.
//
//   reply := version-u8 value
//   value := 'undefined'-u8 | 'false'-u8 | 'true'-u8 | 'integer'-u8 u64 | 'text'-u8 text | 'bytes'-u8 blob
//          | 'list'-u8 count-u32 value* | 'object'-u8 count-u32 (name value)*
import { assert } from '#base/assert'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import { FieldReader } from './field-reader.ts'
import { FieldWriter } from './field-writer.ts'

const VERSION = 1
/** Numbers are part of the format: append only. */
const TAG = { undefined: 0, false: 1, true: 2, integer: 3, text: 4, bytes: 5, list: 6, object: 7 } as const

export function encodeReply(reply: unknown): Buffer {
  const writer = new FieldWriter(VERSION)
  writeValue(writer, reply)
  return writer.take()
}

/** Equal to what was encoded. Bytes are views into `bytes`. */
export function decodeReply(bytes: Buffer): unknown {
  const reader = new FieldReader(bytes, VERSION, 'a stored reply')
  const reply = readValue(reader)
  reader.end()
  return reply
}

function writeValue(writer: FieldWriter, value: unknown): void {
  if (value === undefined) writer.uint8(TAG.undefined)
  else if (typeof value === 'boolean') writer.uint8(value ? TAG.true : TAG.false)
  else if (typeof value === 'number') writer.uint8(TAG.integer).uint64(value)
  else if (typeof value === 'string') writer.uint8(TAG.text).text(value)
  else if (Buffer.isBuffer(value)) writer.uint8(TAG.bytes).blob(value)
  else if (Array.isArray(value)) {
    writer.uint8(TAG.list).uint32(value.length)
    for (const item of value) writeValue(writer, item)
  } else {
    assert(typeof value === 'object' && value !== null, 'a reply is made of plain values')
    // The order of names is that of the code that made the object, which need not be the same on all replicas.
    const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))
    writer.uint8(TAG.object).uint32(entries.length)
    for (const [name, item] of entries) writeValue(writer.text(name), item)
  }
}

function readValue(reader: FieldReader): unknown {
  const tag = reader.uint8()
  switch (tag) {
    case TAG.undefined:
      return undefined
    case TAG.false:
    case TAG.true:
      return tag === TAG.true
    case TAG.integer:
      return reader.uint64()
    case TAG.text:
      return reader.text()
    case TAG.bytes:
      return reader.blob()
    case TAG.list:
      return Array.from({ length: reader.uint32() }, () => readValue(reader))
    case TAG.object:
      return Object.fromEntries(Array.from({ length: reader.uint32() }, () => [reader.text(), readValue(reader)] as const))
    default:
      throw new PlatformError(ERROR_CODES.dataVersion, `a stored reply has a value of kind ${tag}; run a newer program`)
  }
}
