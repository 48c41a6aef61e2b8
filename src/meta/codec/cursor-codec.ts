// SPDX-License-Identifier: Apache-2.0
// The stored forms of cursors, and of who may write them.
import { readUint64 } from '#base/bytes'
import type { Cursor, InFlight, ReplayPlace } from '#contract/record/session'
import { FieldReader } from './field-reader.ts'
import { FieldWriter } from './field-writer.ts'

const CURSOR_VERSION = 1
/** The same, and behind each message in flight with the flag SHARED, the group that handed it out. Written only when there is one. */
const CURSOR_SHARED_VERSION = 2
/** The same, and at the end the places of subscriptions that replay. Written only when there is one. */
const CURSOR_REPLAY_VERSION = 3
const HOLDER_VERSION = 1
/** Places in a stored holder. */
const HOLDER_AT = { epoch: 1, count: 9, logs: 13 } as const
const IN_FLIGHT_BYTES = 15
const QOS_MASK = 3
const RELEASED = 4
const SHARED = 8
const RETAINED = 16

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

/** The epoch of a stored holder, read without the logs, of which there may be many. */
export const epochOfHolder = (bytes: Buffer): number =>
  bytes[0] === HOLDER_VERSION ? readUint64(bytes, HOLDER_AT.epoch) : decodeHolder(bytes).epoch

/** Whether a stored holder lists a log. Takes steps by the logarithm of how many it lists. */
export function holderLists(bytes: Buffer, log: number): boolean {
  let low = 0
  let high = bytes.readUInt32BE(HOLDER_AT.count)
  while (low < high) {
    const middle = (low + high) >> 1
    const listed = bytes.readUInt32BE(HOLDER_AT.logs + middle * 4)
    if (listed === log) return true
    if (listed < log) low = middle + 1
    else high = middle
  }
  return false
}

export function encodeCursor(cursor: Cursor): Buffer {
  const { replays } = cursor
  const shared = cursor.inFlight.some(({ share }) => share !== undefined)
  const version = replays !== undefined ? CURSOR_REPLAY_VERSION : shared ? CURSOR_SHARED_VERSION : CURSOR_VERSION
  const writer = new FieldWriter(version, 40 + cursor.inFlight.length * IN_FLIGHT_BYTES)
  writer.uint32(cursor.log).uint64(cursor.next).uint64(cursor.seen).uint32(cursor.inFlight.length)
  for (const { position, packetId, order, qos, released, retained, share } of cursor.inFlight) {
    const flags = qos | (released ? RELEASED : 0) | (share === undefined ? 0 : SHARED) | (retained ? RETAINED : 0)
    writer.uint64(position).uint16(packetId).uint32(order).uint8(flags)
    if (share !== undefined) writer.uint64(share)
  }
  if (replays !== undefined) {
    writer.uint32(replays.length)
    for (const { filter, next } of replays) writer.text(filter).uint64(next)
  }
  return writer.take()
}

export function decodeCursor(bytes: Buffer): Cursor {
  const version = [CURSOR_SHARED_VERSION, CURSOR_REPLAY_VERSION].find((known) => known === bytes[0]) ?? CURSOR_VERSION
  const reader = new FieldReader(bytes, version, 'a stored cursor')
  const log = reader.uint32()
  const next = reader.uint64()
  const seen = reader.uint64()
  const inFlight: InFlight[] = []
  for (let left = reader.uint32(); left > 0; left--) {
    const position = reader.uint64()
    const packetId = reader.uint16()
    const order = reader.uint32()
    const flags = reader.uint8()
    const retained = (flags & RETAINED) === 0 ? undefined : { retained: true }
    const entry = {
      position,
      packetId,
      order,
      qos: (flags & QOS_MASK) === 2 ? 2 : 1,
      released: (flags & RELEASED) !== 0,
      ...retained,
    } as const
    inFlight.push((flags & SHARED) === 0 ? entry : { ...entry, share: reader.uint64() })
  }
  const cursor = { log, next, seen, inFlight }
  if (version !== CURSOR_REPLAY_VERSION) {
    reader.end()
    return cursor
  }
  const replays: ReplayPlace[] = []
  for (let left = reader.uint32(); left > 0; left--) replays.push({ filter: reader.text(), next: reader.uint64() })
  reader.end()
  return { ...cursor, replays }
}
