// SPDX-License-Identifier: Apache-2.0
// The messages of src/contract/proto/peer.proto as bytes. Written by hand, so that frames are copied once on the way out and not at all on
// the way in. Decoders throw `invalid`; fields that they do not know they pass over, as a newer version may send them.
import { crc32c } from '#base/crc32c'
import { fixed32Field, lengthPrefix, malformed, readFields, varintBytes, varintField, writeLengthPrefix } from './proto-bytes.ts'
import type { ProtocolRange } from './protocol-version.ts'

/** A node as it names itself. */
export interface Hello {
  readonly protocol: ProtocolRange
  readonly cluster: string
  readonly node: number
  readonly disk: string
  readonly boot: number
  /** Of the caller: whom it means to call. Of the called: who calls. */
  readonly peer: number
  /** Never the same again. */
  readonly nonce: Buffer
  /** The caller is no node: it is an operator's command, with the configuration of that node. */
  readonly isOperator: boolean
  /** Where the node is reached, 'host:port'; '' for nowhere. */
  readonly address: string
}

export interface Sealed {
  readonly hello: Buffer
  readonly seal: Buffer
}

export type SnapshotPart =
  | { readonly kind: 'header'; readonly header: Buffer }
  | { readonly kind: 'chunk'; readonly data: Buffer }
  | { readonly kind: 'end'; readonly size: number; readonly digest: Buffer }

const FRAME = 1

/** All frames in one message: one allocation, one copy. */
export function encodeFrames(frames: readonly Buffer[]): Buffer {
  let size = 0
  for (const frame of frames) size += 1 + varintBytes(frame.length) + frame.length
  const message = Buffer.allocUnsafe(size)
  let at = 0
  for (const frame of frames) {
    at = writeLengthPrefix(message, FRAME, frame.length, at)
    at += frame.copy(message, at)
  }
  return message
}

/** Slices of the message. */
export function decodeFrames(message: Buffer): readonly Buffer[] {
  const frames: Buffer[] = []
  for (const { number, bytes } of readFields(message)) if (number === FRAME) frames.push(bytes)
  return frames
}

export function encodeHello({ protocol, cluster, node, disk, boot, peer, nonce, isOperator, address }: Hello): Buffer {
  return Buffer.concat([
    varintField(1, protocol.min),
    ...text(2, cluster),
    varintField(3, node),
    ...text(4, disk),
    varintField(5, boot),
    varintField(6, peer),
    ...bytesField(7, nonce),
    varintField(8, protocol.max),
    varintField(9, isOperator ? 1 : 0),
    ...text(10, address),
  ])
}

export function decodeHello(message: Buffer): Hello {
  const fields = new Map(readFields(message).map((field) => [field.number, field]))
  const value = (number: number): number => fields.get(number)?.value ?? 0
  const bytes = (number: number): Buffer => fields.get(number)?.bytes ?? Buffer.alloc(0)
  return {
    // A release that knew of no ranges spoke one version.
    protocol: { min: value(1), max: Math.max(value(1), value(8)) },
    cluster: bytes(2).toString(),
    node: value(3),
    disk: bytes(4).toString(),
    boot: value(5),
    peer: value(6),
    nonce: bytes(7),
    isOperator: value(9) !== 0,
    address: bytes(10).toString(),
  }
}

export const encodeSealed = ({ hello, seal }: Sealed): Buffer => Buffer.concat([...bytesField(1, hello), ...bytesField(2, seal)])

export function decodeSealed(message: Buffer): Sealed {
  const fields = new Map(readFields(message).map((field) => [field.number, field.bytes]))
  const [hello, seal] = [fields.get(1), fields.get(2)]
  if (hello === undefined || seal === undefined) throw malformed('a seal is missing')
  return { hello, seal }
}

export const encodeSnapshotHeader = (header: Buffer): Buffer => Buffer.concat(bytesField(1, header))

export function encodeSnapshotChunk(data: Buffer): Buffer {
  const prefix = lengthPrefix(1, data.length)
  const crc = fixed32Field(2, crc32c(data))
  return Buffer.concat([lengthPrefix(2, prefix.length + data.length + crc.length), prefix, data, crc])
}

export function encodeSnapshotEnd(size: number, digest: Buffer): Buffer {
  return Buffer.concat(bytesField(3, Buffer.concat([varintField(1, size), ...bytesField(2, digest)])))
}

/** The data of a chunk are a slice, and have been checked against their CRC. */
export function decodeSnapshotPart(message: Buffer): SnapshotPart {
  const [part, ...others] = readFields(message)
  if (part === undefined || others.length > 0) throw malformed('a part of a snapshot is not one thing')
  switch (part.number) {
    case 1:
      return { kind: 'header', header: part.bytes }
    case 2: {
      const fields = new Map(readFields(part.bytes).map((field) => [field.number, field]))
      const data = fields.get(1)?.bytes ?? Buffer.alloc(0)
      if (fields.get(2)?.value !== crc32c(data)) throw malformed('a chunk of a snapshot is not what was sent')
      return { kind: 'chunk', data }
    }
    case 3: {
      const fields = new Map(readFields(part.bytes).map((field) => [field.number, field]))
      return { kind: 'end', size: fields.get(1)?.value ?? 0, digest: fields.get(2)?.bytes ?? Buffer.alloc(0) }
    }
    default:
      throw malformed(`a part of a snapshot is of the unknown kind ${part.number}`)
  }
}

const bytesField = (number: number, bytes: Buffer): readonly [Buffer, Buffer] => [lengthPrefix(number, bytes.length), bytes]

const text = (number: number, value: string): readonly [Buffer, Buffer] => bytesField(number, Buffer.from(value))
