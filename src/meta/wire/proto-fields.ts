// SPDX-License-Identifier: Apache-2.0
// Fields of protocol buffers, as far as contract/proto/meta.proto uses them: varints, and bytes after their length.
// https://protobuf.dev/programming-guides/encoding/
import { assert } from '#base/assert'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'

const WIRE_VARINT = 0
const WIRE_FIXED64 = 1
const WIRE_BYTES = 2
const WIRE_FIXED32 = 5

const TAG_BYTES_MAX = 5
const VARINT_BYTES_MAX = 10

/** Zero, false and empty are left out, as proto3 says; `optional...` writes them. */
export class ProtoWriter {
  #parts: Buffer[] = []

  number(field: number, value: number): this {
    return value === 0 ? this : this.optionalNumber(field, value)
  }

  optionalNumber(field: number, value: number | undefined): this {
    if (value === undefined) return this
    const scratch = Buffer.allocUnsafe(TAG_BYTES_MAX + VARINT_BYTES_MAX)
    const at = writeVarint(scratch, field * 8 + WIRE_VARINT, 0)
    this.#parts.push(scratch.subarray(0, writeVarint(scratch, value, at)))
    return this
  }

  flag(field: number, value: boolean): this {
    return value ? this.optionalNumber(field, 1) : this
  }

  bytes(field: number, value: Buffer): this {
    return value.length === 0 ? this : this.optionalBytes(field, value)
  }

  optionalBytes(field: number, value: Buffer | undefined): this {
    if (value === undefined) return this
    const scratch = Buffer.allocUnsafe(TAG_BYTES_MAX + VARINT_BYTES_MAX)
    const at = writeVarint(scratch, field * 8 + WIRE_BYTES, 0)
    this.#parts.push(scratch.subarray(0, writeVarint(scratch, value.length, at)), value)
    return this
  }

  text(field: number, value: string): this {
    return this.bytes(field, Buffer.from(value))
  }

  messages<T>(field: number, values: readonly T[], encode: (value: T) => Buffer): this {
    for (const value of values) this.optionalBytes(field, encode(value))
    return this
  }

  take(): Buffer {
    const taken = Buffer.concat(this.#parts)
    this.#parts = []
    return taken
  }
}

/** The fields of one message. Nested messages are bytes. Of a field that is not repeated the last one counts. */
export class ProtoFields {
  readonly #numbers = new Map<number, number[]>()
  readonly #bytes = new Map<number, Buffer[]>()

  /** Bytes are views. Throws invalid when it is no message. */
  constructor(message: Buffer) {
    const reader = new Reader(message)
    while (reader.left > 0) {
      const tag = reader.varint()
      const field = Math.floor(tag / 8)
      if (field === 0) throw malformed()
      switch (tag % 8) {
        case WIRE_VARINT:
          add(this.#numbers, field, reader.varint())
          break
        case WIRE_BYTES:
          add(this.#bytes, field, reader.take(reader.varint()))
          break
        case WIRE_FIXED64:
          reader.take(8)
          break
        case WIRE_FIXED32:
          reader.take(4)
          break
        default:
          throw malformed()
      }
    }
  }

  number(field: number): number {
    return this.optionalNumber(field) ?? 0
  }

  optionalNumber(field: number): number | undefined {
    return this.#numbers.get(field)?.at(-1)
  }

  numbers(field: number): readonly number[] {
    return this.#numbers.get(field) ?? []
  }

  flag(field: number): boolean {
    return this.number(field) !== 0
  }

  bytes(field: number): Buffer {
    return this.optionalBytes(field) ?? EMPTY
  }

  optionalBytes(field: number): Buffer | undefined {
    return this.#bytes.get(field)?.at(-1)
  }

  text(field: number): string {
    return this.bytes(field).toString('utf8')
  }

  messages<T>(field: number, decode: (message: Buffer) => T): readonly T[] {
    return (this.#bytes.get(field) ?? []).map(decode)
  }
}

class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  get left(): number {
    return this.#bytes.length - this.#at
  }

  varint(): number {
    let value = 0
    for (let scale = 1, count = 0; count < VARINT_BYTES_MAX; count++, scale *= 128) {
      const byte = this.#bytes[this.#at++]
      if (byte === undefined) throw malformed()
      value += (byte & 0x7f) * scale
      if (byte < 0x80) {
        if (!Number.isSafeInteger(value)) throw malformed()
        return value
      }
    }
    throw malformed()
  }

  take(count: number): Buffer {
    if (count > this.left) throw malformed()
    this.#at += count
    return this.#bytes.subarray(this.#at - count, this.#at)
  }
}

const EMPTY = Buffer.alloc(0)

function writeVarint(into: Buffer, value: number, at: number): number {
  assert(Number.isSafeInteger(value) && value >= 0, 'a varint written from memory is a safe, non-negative integer')
  let rest = value
  let next = at
  for (; rest >= 0x80; rest = Math.floor(rest / 128)) into[next++] = (rest % 128) + 0x80
  into[next++] = rest
  return next
}

function add<T>(fields: Map<number, T[]>, field: number, value: T): void {
  const values = fields.get(field)
  if (values === undefined) fields.set(field, [value])
  else values.push(value)
}

const malformed = (): PlatformError =>
  new PlatformError(ERROR_CODES.invalid, 'a message between nodes is malformed; both must run versions that go together')
