// SPDX-License-Identifier: Apache-2.0
// From a batch to the bytes of one frame. Entry data is summed once and never copied.
import { assert } from '#base/assert'
import { writeUint64 } from '#base/bytes'
import { crc32c } from '#base/crc32c'
import type { ConfState, Entry, HardState, LogStart, NodeId } from '../../core/message.ts'
import type { GroupWrite } from '../../log-store.ts'
import {
  CONF_FIXED_BYTES,
  ENTRY_RECORD,
  FRAME_AT,
  FRAME_HEADER_BYTES,
  FRAME_MAGIC,
  type FrameKind,
  type LogPosition,
  RECORD,
  RECORD_AT,
  RECORD_BYTES,
} from './frame.ts'

/** Far above what any batch holds, and within a u32 and a Buffer. */
const FRAME_BYTES_MAX = 0x7fff_ffff
const VOTE_BYTES = 8

export interface EncodedFrame {
  /** Header, table, and the data of the records that are no entries, which come first. */
  readonly head: Buffer
  /** All of the frame: `head`, then the data of the entries. */
  readonly buffers: readonly Buffer[]
  readonly length: number
}

/** Where a frame goes: known only when it is about to be written. */
export interface FramePlace {
  readonly position: LogPosition
  readonly durable: LogPosition
  readonly previous: number
}

/** Encodes all but what `sealFrame` adds. `keeps` says whether the entries after a start stay; `first` adds a record of that kind. */
export function encodeFrame(
  kind: FrameKind,
  writes: readonly GroupWrite[],
  keeps: (write: GroupWrite) => boolean,
  first?: LogPosition,
): EncodedFrame {
  const writer = new FrameWriter(writes, first)
  if (first !== undefined) writer.first(first)
  for (const write of writes) {
    if (write.start !== undefined) writer.start(write.group, write.start, keeps(write))
    if (write.hardState !== undefined) writer.hardState(write.group, write.hardState)
    if (write.dropped) writer.dropped(write.group)
  }
  for (const write of writes) for (const entry of write.entries) writer.entry(write.group, entry)
  return writer.finish(kind)
}

/** Completes the header. Returns its crc, which the next frame carries. */
export function sealFrame(frame: EncodedFrame, place: FramePlace): number {
  const { head } = frame
  writeUint64(head, place.position, FRAME_AT.position)
  writeUint64(head, place.durable, FRAME_AT.durable)
  head.writeUInt32BE(place.previous, FRAME_AT.previous)
  const crc = crc32c(head, 0, 0, FRAME_AT.crc)
  head.writeUInt32BE(crc, FRAME_AT.crc)
  return crc
}

class FrameWriter {
  readonly #head: Buffer
  readonly #buffers: Buffer[]
  readonly #records: number
  readonly #length: number
  #recordAt = FRAME_HEADER_BYTES
  #dataAt: number

  constructor(writes: readonly GroupWrite[], first: LogPosition | undefined) {
    let records = first === undefined ? 0 : 1
    let headDataBytes = 0
    let entryBytes = 0
    for (const { entries, hardState, start, dropped } of writes) {
      records += entries.length + (hardState === undefined ? 0 : 1) + (start === undefined ? 0 : 1) + (dropped ? 1 : 0)
      if (hardState !== undefined) headDataBytes += VOTE_BYTES
      if (start !== undefined) headDataBytes += confBytes(start.conf)
      for (const entry of entries) entryBytes += entry.data.length
    }
    this.#records = records
    this.#dataAt = FRAME_HEADER_BYTES + records * RECORD_BYTES
    this.#length = this.#dataAt + headDataBytes + entryBytes
    assert(this.#length <= FRAME_BYTES_MAX, 'a batch of the log fits into one frame')
    this.#head = Buffer.allocUnsafe(this.#dataAt + headDataBytes)
    this.#buffers = [this.#head]
  }

  first(position: LogPosition): void {
    this.#record(RECORD.first, 0, 0, position, 0, 0)
  }

  hardState(group: number, { term, vote, commit }: HardState): void {
    const at = this.#dataAt
    writeUint64(this.#head, vote, at)
    this.#inline(RECORD.hardState, group, term, commit, VOTE_BYTES)
  }

  start(group: number, { index, term, conf }: LogStart, keeps: boolean): void {
    const length = confBytes(conf)
    encodeConf(this.#head, this.#dataAt, conf)
    this.#inline(keeps ? RECORD.startKeeping : RECORD.startClearing, group, term, index, length)
  }

  dropped(group: number): void {
    this.#record(RECORD.dropped, group, 0, 0, 0, 0)
  }

  entry(group: number, { kind, term, index, data }: Entry): void {
    this.#record(ENTRY_RECORD[kind], group, term, index, data.length, crc32c(data))
    if (data.length > 0) this.#buffers.push(data)
  }

  finish(kind: FrameKind): EncodedFrame {
    const head = this.#head
    head.fill(0, 0, FRAME_HEADER_BYTES)
    head.writeUInt32BE(FRAME_MAGIC, FRAME_AT.magic)
    head.writeUInt32BE(this.#length, FRAME_AT.length)
    head.writeUInt8(kind, FRAME_AT.kind)
    head.writeUInt32BE(this.#records, FRAME_AT.records)
    head.writeUInt32BE(crc32c(head, 0, FRAME_HEADER_BYTES, this.#recordAt), FRAME_AT.tableCrc)
    return { head, buffers: this.#buffers, length: this.#length }
  }

  #inline(kind: number, group: number, term: number, index: number, length: number): void {
    const end = this.#dataAt + length
    this.#record(kind, group, term, index, length, crc32c(this.#head, 0, this.#dataAt, end))
    this.#dataAt = end
  }

  #record(kind: number, group: number, term: number, index: number, length: number, crc: number): void {
    const head = this.#head
    const at = this.#recordAt
    head.writeUInt32BE(kind << 24, at + RECORD_AT.kind)
    head.writeUInt32BE(group, at + RECORD_AT.group)
    writeUint64(head, term, at + RECORD_AT.term)
    writeUint64(head, index, at + RECORD_AT.index)
    head.writeUInt32BE(length, at + RECORD_AT.length)
    head.writeUInt32BE(crc, at + RECORD_AT.crc)
    this.#recordAt += RECORD_BYTES
  }
}

const membersBytes = (voters: readonly NodeId[], learners: readonly NodeId[]): number =>
  CONF_FIXED_BYTES + 8 * (voters.length + learners.length)

const isJoint = ({ outgoing, learnersNext }: ConfState): boolean => outgoing.length + learnersNext.length > 0

const confBytes = (conf: ConfState): number =>
  membersBytes(conf.voters, conf.learners) + (isJoint(conf) ? membersBytes(conf.outgoing, conf.learnersNext) : 0)

function encodeConf(into: Buffer, at: number, conf: ConfState): void {
  const end = encodeMembers(into, at, conf.voters, conf.learners)
  if (isJoint(conf)) encodeMembers(into, end, conf.outgoing, conf.learnersNext)
}

function encodeMembers(into: Buffer, at: number, voters: readonly NodeId[], learners: readonly NodeId[]): number {
  into.writeUInt32BE(voters.length, at)
  into.writeUInt32BE(learners.length, at + 4)
  let idAt = at + CONF_FIXED_BYTES
  for (const ids of [voters, learners]) {
    for (const id of ids) {
      writeUint64(into, id, idAt)
      idAt += 8
    }
  }
  return idAt
}
