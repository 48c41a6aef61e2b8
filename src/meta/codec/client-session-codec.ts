// SPDX-License-Identifier: Apache-2.0
// The stored forms of client sessions: how many there are, one session, and a reply that it keeps.
//
//   sessions := version-u8 opened-u64 count-u64
//   session  := version-u8 last-use-ms-u64
//   reply    := version-u8 sequence-u64 reply
import { FieldReader } from './field-reader.ts'
import { FieldWriter } from './field-writer.ts'

const VERSION = 1

export interface ClientSessionCounts {
  /** Ever: the number of the latest. */
  readonly opened: number
  /** That have not ended. */
  readonly count: number
}

export interface StoredClientSession {
  readonly lastUseMs: number
}

export interface KeptReply {
  readonly sequence: number
  /** Of reply-codec. */
  readonly reply: Buffer
}

const NONE: ClientSessionCounts = Object.freeze({ opened: 0, count: 0 })

export const encodeCounts = ({ opened, count }: ClientSessionCounts): Buffer =>
  new FieldWriter(VERSION, 17).uint64(opened).uint64(count).take()

export function decodeCounts(bytes: Buffer | undefined): ClientSessionCounts {
  if (bytes === undefined) return NONE
  const reader = new FieldReader(bytes, VERSION, 'the count of client sessions')
  const counts = { opened: reader.uint64(), count: reader.uint64() }
  reader.end()
  return counts
}

export const encodeClientSession = ({ lastUseMs }: StoredClientSession): Buffer => new FieldWriter(VERSION, 9).uint64(lastUseMs).take()

export function decodeClientSession(bytes: Buffer): StoredClientSession {
  const reader = new FieldReader(bytes, VERSION, 'a client session')
  const session = { lastUseMs: reader.uint64() }
  reader.end()
  return session
}

export const encodeKeptReply = ({ sequence, reply }: KeptReply): Buffer =>
  new FieldWriter(VERSION, 13 + reply.length).uint64(sequence).blob(reply).take()

export function decodeKeptReply(bytes: Buffer): KeptReply {
  const reader = new FieldReader(bytes, VERSION, 'a kept reply')
  const kept = { sequence: reader.uint64(), reply: reader.blob() }
  reader.end()
  return kept
}
