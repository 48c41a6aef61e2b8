// SPDX-License-Identifier: Apache-2.0
// What the hosts of two nodes say to each other, as bytes. Sender and receiver are not in them: the transport knows both, and a
// node cannot speak for another one.
//
// frame    := version u8 | message*
// message  := kind u8 | group uint | fields of the kind, in the order in which they are written below
// snapshot := version u8 | group uint | offer
// Kinds are never given to anything else. Another order of fields, or another field, is another version.
import { assert, assertNever } from '#base/assert'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { AppendResponse, ConfState, Entry, EntryKind, Message, NodeId, SnapshotOffer } from '../core/message.ts'
import type { ConsensusMessage, PeerMessage, PeerRefusal, ProposeResponse, ReadResponse, SnapshotHeader } from './peer-message.ts'
import { malformed, WireCounter, WireReader, type WireSink, WireWriter } from './wire-bytes.ts'

const VERSION = 1

const KIND = Object.freeze({
  voteRequest: 1,
  voteResponse: 2,
  appendRequest: 3,
  appendResponse: 4,
  heartbeatRequest: 5,
  heartbeatResponse: 6,
  snapshotOffer: 7,
  timeoutNow: 8,
  preVoteRequest: 9,
  preVoteResponse: 10,
  logLost: 11,
  proposeRequest: 32,
  proposeResponse: 33,
  readRequest: 34,
  readResponse: 35,
  stateHash: 36,
} satisfies Record<Message['kind'] | Exclude<PeerMessage['kind'], 'consensus'>, number>)

/** By their number on the wire. */
const ENTRY_KINDS: readonly EntryKind[] = ['empty', 'normal', 'conf']
const REFUSALS: readonly PeerRefusal[] = ['notLeader', 'overLimit', 'stopping']

/** The number of an outcome that is no refusal; those are 1 and more. */
const DONE = 0

export function encodeFrame(messages: readonly PeerMessage[]): Buffer {
  return encode((sink) => {
    sink.uint8(VERSION)
    for (const message of messages) putPeerMessage(sink, message)
  })
}

/** Throws `invalid` for what no honest peer sends, and `dataVersion` for what a newer one does. Data of entries are slices of the frame. */
export function decodeFrame(frame: Buffer, from: NodeId, to: NodeId): readonly PeerMessage[] {
  const reader = openFrame(frame)
  const messages: PeerMessage[] = []
  while (reader.remaining > 0) messages.push(takePeerMessage(reader, from, to))
  return messages
}

export function encodeSnapshotHeader({ group, offer }: SnapshotHeader): Buffer {
  return encode((sink) => {
    sink.uint8(VERSION)
    sink.uint(group)
    sink.uint(offer.term)
    putOffer(sink, offer)
  })
}

/** Throws as `decodeFrame` does. */
export function decodeSnapshotHeader(header: Buffer, from: NodeId, to: NodeId): SnapshotHeader {
  const reader = openFrame(header)
  const group = reader.uint()
  const offer = takeOffer(reader, { from, to, term: reader.uint() })
  if (reader.remaining > 0) throw malformed('there is more than one header')
  return { group, offer }
}

function encode(put: (sink: WireSink) => void): Buffer {
  const counter = new WireCounter()
  put(counter)
  const bytes = Buffer.allocUnsafe(counter.size)
  const writer = new WireWriter(bytes)
  put(writer)
  assert(writer.isFull, 'a frame has the size that was counted')
  return bytes
}

function openFrame(frame: Buffer): WireReader {
  const reader = new WireReader(frame)
  const version = reader.uint8()
  if (version === VERSION) return reader
  throw new PlatformError(ERROR_CODES.dataVersion, `another node sends frames of version ${version}, this one reads version ${VERSION}`, {
    detail: { version },
  })
}

function putPeerMessage(sink: WireSink, peerMessage: PeerMessage): void {
  sink.uint8(peerMessage.kind === 'consensus' ? KIND[peerMessage.message.kind] : KIND[peerMessage.kind])
  sink.uint(peerMessage.group)
  switch (peerMessage.kind) {
    case 'consensus':
      putMessage(sink, peerMessage.message)
      return
    case 'proposeRequest':
      sink.uint(peerMessage.request)
      sink.bytes(peerMessage.data)
      return
    case 'proposeResponse':
      sink.uint(peerMessage.request)
      putProposeOutcome(sink, peerMessage.outcome)
      return
    case 'readRequest':
      sink.uint(peerMessage.request)
      return
    case 'readResponse':
      sink.uint(peerMessage.request)
      putReadOutcome(sink, peerMessage.outcome)
      return
    case 'stateHash':
      sink.uint(peerMessage.index)
      sink.uint32(peerMessage.hash)
      return
    default:
      assertNever(peerMessage)
  }
}

function takePeerMessage(reader: WireReader, from: NodeId, to: NodeId): PeerMessage {
  const kind = reader.uint8()
  const group = reader.uint()
  switch (kind) {
    case KIND.proposeRequest:
      return { kind: 'proposeRequest', group, request: reader.uint(), data: reader.bytes() }
    case KIND.proposeResponse:
      return { kind: 'proposeResponse', group, request: reader.uint(), outcome: takeProposeOutcome(reader) }
    case KIND.readRequest:
      return { kind: 'readRequest', group, request: reader.uint() }
    case KIND.readResponse:
      return { kind: 'readResponse', group, request: reader.uint(), outcome: takeReadOutcome(reader) }
    case KIND.stateHash:
      return { kind: 'stateHash', group, index: reader.uint(), hash: reader.uint32() }
    default:
      return { kind: 'consensus', group, message: takeMessage(reader, kind, { from, to, term: reader.uint() }) } satisfies ConsensusMessage
  }
}

function putMessage(sink: WireSink, message: Message): void {
  sink.uint(message.term)
  switch (message.kind) {
    case 'preVoteRequest':
      sink.uint(message.lastIndex)
      sink.uint(message.lastTerm)
      return
    case 'preVoteResponse':
      sink.uint(message.commit)
      sink.uint(message.commitTerm)
      putBoolean(sink, message.granted)
      return
    case 'voteRequest':
      sink.uint(message.lastIndex)
      sink.uint(message.lastTerm)
      putBoolean(sink, message.transfer)
      return
    case 'voteResponse':
      putBoolean(sink, message.granted)
      return
    case 'appendRequest':
      sink.uint(message.previousIndex)
      sink.uint(message.previousTerm)
      sink.uint(message.commit)
      sink.uint(message.sequence)
      putEntries(sink, message.entries)
      return
    case 'appendResponse':
      putAppendResponse(sink, message)
      return
    case 'heartbeatRequest':
      sink.uint(message.commit)
      sink.uint(message.commitTerm)
      sink.uint(message.readRound)
      return
    case 'heartbeatResponse':
      sink.uint(message.readRound)
      return
    case 'snapshotOffer':
      putOffer(sink, message)
      return
    case 'timeoutNow':
      return
    case 'logLost':
      sink.uint(message.index)
      return
    default:
      assertNever(message)
  }
}

interface Envelope {
  readonly from: NodeId
  readonly to: NodeId
  readonly term: number
}

function takeMessage(reader: WireReader, kind: number, { from, to, term }: Envelope): Message {
  switch (kind) {
    case KIND.preVoteRequest:
      return { kind: 'preVoteRequest', from, to, term, lastIndex: reader.uint(), lastTerm: reader.uint() }
    case KIND.preVoteResponse:
      return { kind: 'preVoteResponse', from, to, term, commit: reader.uint(), commitTerm: reader.uint(), granted: takeBoolean(reader) }
    case KIND.voteRequest:
      return { kind: 'voteRequest', from, to, term, lastIndex: reader.uint(), lastTerm: reader.uint(), transfer: takeBoolean(reader) }
    case KIND.voteResponse:
      return { kind: 'voteResponse', from, to, term, granted: takeBoolean(reader) }
    case KIND.appendRequest:
      return takeAppendRequest(reader, { from, to, term })
    case KIND.appendResponse:
      return takeAppendResponse(reader, { from, to, term })
    case KIND.heartbeatRequest:
      return { kind: 'heartbeatRequest', from, to, term, commit: reader.uint(), commitTerm: reader.uint(), readRound: reader.uint() }
    case KIND.heartbeatResponse:
      return { kind: 'heartbeatResponse', from, to, term, readRound: reader.uint() }
    case KIND.snapshotOffer:
      return takeOffer(reader, { from, to, term })
    case KIND.timeoutNow:
      return { kind: 'timeoutNow', from, to, term }
    case KIND.logLost:
      return { kind: 'logLost', from, to, term, index: reader.uint() }
    default:
      throw malformed(`it holds a message of the unknown kind ${kind}`)
  }
}

function takeAppendRequest(reader: WireReader, { from, to, term }: Envelope): Message {
  const previousIndex = reader.uint()
  const previousTerm = reader.uint()
  const commit = reader.uint()
  const sequence = reader.uint()
  const entries = takeEntries(reader, previousIndex)
  return { kind: 'appendRequest', from, to, term, previousIndex, previousTerm, entries, commit, sequence }
}

function putAppendResponse(sink: WireSink, { index, rejected, hintIndex, hintTerm, sequence }: AppendResponse): void {
  sink.uint(index)
  putBoolean(sink, rejected)
  sink.uint(hintIndex)
  sink.uint(hintTerm)
  sink.uint(sequence)
}

function takeAppendResponse(reader: WireReader, { from, to, term }: Envelope): Message {
  const index = reader.uint()
  const rejected = takeBoolean(reader)
  const hintIndex = reader.uint()
  const hintTerm = reader.uint()
  return { kind: 'appendResponse', from, to, term, index, rejected, hintIndex, hintTerm, sequence: reader.uint() }
}

/** Their indexes follow on the one before them. */
function putEntries(sink: WireSink, entries: readonly Entry[]): void {
  sink.uint(entries.length)
  for (const entry of entries) {
    sink.uint8(ENTRY_KINDS.indexOf(entry.kind))
    sink.uint(entry.term)
    sink.bytes(entry.data)
  }
}

function takeEntries(reader: WireReader, previousIndex: number): readonly Entry[] {
  let index = previousIndex
  return reader.list(() => {
    index++
    return { index, kind: takeMember(reader, ENTRY_KINDS), term: reader.uint(), data: reader.bytes() }
  })
}

function putOffer(sink: WireSink, { start, formatVersion }: SnapshotOffer): void {
  sink.uint(start.index)
  sink.uint(start.term)
  putConf(sink, start.conf)
  sink.uint(formatVersion)
}

function takeOffer(reader: WireReader, { from, to, term }: Envelope): SnapshotOffer {
  const start = { index: reader.uint(), term: reader.uint(), conf: takeConf(reader) }
  return { kind: 'snapshotOffer', from, to, term, start, formatVersion: reader.uint() }
}

function putConf(sink: WireSink, { voters, learners, outgoing, learnersNext }: ConfState): void {
  for (const nodes of [voters, learners, outgoing, learnersNext]) {
    sink.uint(nodes.length)
    for (const node of nodes) sink.uint(node)
  }
}

function takeConf(reader: WireReader): ConfState {
  const nodes = (): readonly NodeId[] => reader.list(() => reader.uint())
  return { voters: nodes(), learners: nodes(), outgoing: nodes(), learnersNext: nodes() }
}

function putProposeOutcome(sink: WireSink, outcome: ProposeResponse['outcome']): void {
  if (outcome.kind === 'refused') {
    sink.uint8(DONE + 1 + REFUSALS.indexOf(outcome.reason))
    return
  }
  sink.uint8(DONE)
  sink.uint(outcome.index)
  sink.uint(outcome.term)
}

function takeProposeOutcome(reader: WireReader): ProposeResponse['outcome'] {
  const reason = takeRefusal(reader)
  return reason === undefined ? { kind: 'appended', index: reader.uint(), term: reader.uint() } : { kind: 'refused', reason }
}

function putReadOutcome(sink: WireSink, outcome: ReadResponse['outcome']): void {
  if (outcome.kind === 'refused') {
    sink.uint8(DONE + 1 + REFUSALS.indexOf(outcome.reason))
    return
  }
  sink.uint8(DONE)
  sink.uint(outcome.index)
}

function takeReadOutcome(reader: WireReader): ReadResponse['outcome'] {
  const reason = takeRefusal(reader)
  return reason === undefined ? { kind: 'readable', index: reader.uint() } : { kind: 'refused', reason }
}

/** Undefined when it was done. */
const takeRefusal = (reader: WireReader): PeerRefusal | undefined => takeMember(reader, [undefined, ...REFUSALS])

function takeMember<T>(reader: WireReader, members: readonly T[]): T {
  const at = reader.uint8()
  if (at >= members.length) throw malformed(`${at} stands where only ${members.length} values are known`)
  return members[at] as T
}

const putBoolean = (sink: WireSink, value: boolean): void => sink.uint8(value ? 1 : 0)

const takeBoolean = (reader: WireReader): boolean => takeMember(reader, [false, true])
