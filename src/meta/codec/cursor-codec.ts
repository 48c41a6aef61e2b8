// SPDX-License-Identifier: Apache-2.0
// The stored forms of cursors, and of who may write them.
import type { Cursor, InFlight } from '#contract/record/session'
import { FieldReader } from './field-reader.ts'
import { FieldWriter } from './field-writer.ts'

const CURSOR_VERSION = 1
const HOLDER_VERSION = 1
const IN_FLIGHT_BYTES = 15
const QOS_MASK = 3
const RELEASED = 4

/** Who has the cursors of a session: writes with a lower epoch are late ones of an earlier owner. */
export interface CursorHolder {
  readonly epoch: number
  /** The logs that have a cursor, ascending: what to remove when the session ends. */
  readonly logs: readonly number[]
}

export function encodeHolder(holder: CursorHolder): Buffer {
  const writer = new FieldWriter(HOLDER_VERSION).uint64(holder.epoch).uint32(holder.logs.length)
  for (const log of holder.logs) writer.uint32(log)
  return writer.take()
}

export function decodeHolder(bytes: Buffer): CursorHolder {
  const reader = new FieldReader(bytes, HOLDER_VERSION, 'a stored cursor holder')
  const epoch = reader.uint64()
  const logs: number[] = []
  for (let left = reader.uint32(); left > 0; left--) logs.push(reader.uint32())
  reader.end()
  return { epoch, logs }
}

export function encodeCursor(cursor: Cursor): Buffer {
  const writer = new FieldWriter(CURSOR_VERSION, 40 + cursor.inFlight.length * IN_FLIGHT_BYTES)
  writer.uint32(cursor.log).uint64(cursor.next).uint64(cursor.seen).uint32(cursor.inFlight.length)
  for (const { position, packetId, order, qos, released } of cursor.inFlight) {
    writer
      .uint64(position)
      .uint16(packetId)
      .uint32(order)
      .uint8(qos | (released ? RELEASED : 0))
  }
  return writer.take()
}

export function decodeCursor(bytes: Buffer): Cursor {
  const reader = new FieldReader(bytes, CURSOR_VERSION, 'a stored cursor')
  const log = reader.uint32()
  const next = reader.uint64()
  const seen = reader.uint64()
  const inFlight: InFlight[] = []
  for (let left = reader.uint32(); left > 0; left--) {
    const position = reader.uint64()
    const packetId = reader.uint16()
    const order = reader.uint32()
    const flags = reader.uint8()
    inFlight.push({ position, packetId, order, qos: (flags & QOS_MASK) === 2 ? 2 : 1, released: (flags & RELEASED) !== 0 })
  }
  reader.end()
  return { log, next, seen, inFlight }
}
