// SPDX-License-Identifier: Apache-2.0
// Where the state of a stored log lives in the key-value store, and the bytes of its values.
//
//   key      := 'e' log u32 kind
//   kind     := 'm'                                the state itself
//             | 'k' topic id u32 hash u32 position u64  a record with a key: `hash` is the crc32c of that
//             | 'p' base position u64              a chunk: consecutive records of the log
//             | 'r' topic id u32 base position u64 a run: the records of one topic within the chunk of that base
//             | 's' publisher u64 sequence u32     a sequence that was not released
//             | 't' name                           a topic
//   state    := version u8 | applied index u64 | end u64 | start u64 | next topic id u32 | stored bytes u64 | topics saved up to u64 | retained up to u64
//   chunk    := end u64 | append time u64 | bytes u32 | extent? | topic id u32 *      an extent in logs of type segment only
//   extent   := first entry index u64 | entries u32                                  the highest bit of `entries`: trimmed
//   run      := record batch                                                        rocksdb
//             | reference                                                            segment: where in the Raft log it is (reference.ts)
//   k        := empty
//   sequence := position u64
//   topic    := id u32 | last position u64
//
// All integers are big-endian, so that keys sort as numbers do.
import { prefixEnd, readUint64, writeUint64 } from '#base/bytes'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { KvRange } from '#base/port/kv'
import type { LogId, Position } from '#contract/client/engine-client'

/** Raised with each change of any value, so that a store of another version is refused at the start and not when it is read. */
const STATE_VERSION = 2
const STATE_BYTES = 1 + 8 + 8 + 8 + 4 + 8 + 8 + 8
const CHUNK_HEADER_BYTES = 20
const EXTENT_BYTES = 12
const TRIMMED = 0x8000_0000
const PREFIX_BYTES = 6

const KIND = { recordKey: 0x6b, state: 0x6d, chunk: 0x70, run: 0x72, sequence: 0x73, topic: 0x74 } as const

/** What a log's state says besides its records. */
export interface StoredState {
  /** Entries up to this index are in the state. */
  readonly appliedIndex: number
  /** Position after the last record. */
  readonly end: Position
  /** First position kept. */
  readonly start: Position
  readonly nextTopicId: number
  /** Bytes of all runs. */
  readonly storedBytes: number
  /** Last positions of topics are stored as of this position; later ones follow from the chunks. */
  readonly topicsSavedUpTo: Position
  /** Retained values of records before this position are certainly in meta. */
  readonly retainedUpTo: Position
}

/** The entries of the Raft log between which the records of a chunk are. */
export interface Extent {
  readonly first: number
  readonly count: number
  /** The entries may have records of topics that the chunk does not list: they were removed. */
  readonly isTrimmed: boolean
}

/** What is known of a chunk without reading its runs. */
export interface Chunk {
  readonly base: Position
  readonly end: Position
  /** Append time of its first batch, ms since 1970. */
  readonly appendTimeMs: number
  /** Bytes of its runs. */
  readonly bytes: number
  readonly topicIds: readonly number[]
  /** Only in logs of type segment. */
  readonly extent: Extent | undefined
}

/** Everything that the store has of a log. */
export function keysOfLog(log: LogId): KvRange {
  const gte = Buffer.alloc(PREFIX_BYTES - 1)
  gte.write('e', 0, 'latin1')
  gte.writeUInt32BE(log, 1)
  return { gte, lt: prefixEnd(gte) }
}

/** Everything that it has of the logs from this one on. */
export const keysFromLog = (log: LogId): KvRange => ({ gte: keysOfLog(log).gte, lt: Buffer.from('f', 'latin1') })

export const logOfKey = (key: Buffer): LogId => key.readUInt32BE(1)

/** The keys of one log. */
export class LogKeys {
  readonly state: Buffer
  readonly #recordKey: Buffer
  readonly #chunk: Buffer
  readonly #run: Buffer
  readonly #sequence: Buffer
  readonly #topic: Buffer

  constructor(log: LogId) {
    const prefix = (kind: number): Buffer => {
      const bytes = Buffer.alloc(PREFIX_BYTES)
      bytes.write('e', 0, 'latin1')
      bytes.writeUInt32BE(log, 1)
      bytes[5] = kind
      return bytes
    }
    this.state = prefix(KIND.state)
    this.#recordKey = prefix(KIND.recordKey)
    this.#chunk = prefix(KIND.chunk)
    this.#run = prefix(KIND.run)
    this.#sequence = prefix(KIND.sequence)
    this.#topic = prefix(KIND.topic)
  }

  /** `hash` is that of the key of the record at `position`. */
  recordKey(topicId: number, hash: number, position: Position): Buffer {
    const key = Buffer.allocUnsafe(PREFIX_BYTES + 16)
    this.#recordKey.copy(key)
    key.writeUInt32BE(topicId, PREFIX_BYTES)
    key.writeUInt32BE(hash, PREFIX_BYTES + 4)
    writeUint64(key, position, PREFIX_BYTES + 8)
    return key
  }

  get recordKeys(): KvRange {
    return { gte: this.#recordKey, lt: prefixEnd(this.#recordKey) }
  }

  chunk(base: Position): Buffer {
    const key = Buffer.allocUnsafe(PREFIX_BYTES + 8)
    this.#chunk.copy(key)
    writeUint64(key, base, PREFIX_BYTES)
    return key
  }

  run(topicId: number, base: Position): Buffer {
    const key = Buffer.allocUnsafe(PREFIX_BYTES + 12)
    this.#run.copy(key)
    key.writeUInt32BE(topicId, PREFIX_BYTES)
    writeUint64(key, base, PREFIX_BYTES + 4)
    return key
  }

  sequence(publisher: number, sequence: number): Buffer {
    const key = Buffer.allocUnsafe(PREFIX_BYTES + 12)
    this.#sequence.copy(key)
    writeUint64(key, publisher, PREFIX_BYTES)
    key.writeUInt32BE(sequence, PREFIX_BYTES + 8)
    return key
  }

  topic(name: string): Buffer {
    return Buffer.concat([this.#topic, Buffer.from(name)])
  }

  /** Chunks whose base is in [from, to); all from `from` on without `to`. */
  chunks(from: Position, to?: Position): KvRange {
    return { gte: this.chunk(from), lt: to === undefined ? prefixEnd(this.#chunk) : this.chunk(to) }
  }

  /** Runs of a topic whose base is in [from, to). */
  runs(topicId: number, from: Position, to: Position): KvRange {
    return { gte: this.run(topicId, from), lt: this.run(topicId, to) }
  }

  /** Everything of the log. */
  get all(): KvRange {
    return { gte: this.state, lt: prefixEnd(this.#topic) }
  }

  get allChunks(): KvRange {
    return this.chunks(0)
  }

  /** Sequences and topics. */
  get afterRuns(): KvRange {
    return { gte: this.#sequence, lt: prefixEnd(this.#topic) }
  }

  get sequences(): KvRange {
    return { gte: this.#sequence, lt: prefixEnd(this.#sequence) }
  }

  get topics(): KvRange {
    return { gte: this.#topic, lt: prefixEnd(this.#topic) }
  }
}

/** Whether a key is that of a run: damage there concerns the records of one topic in one chunk, and nothing else. */
export const isRecordKey = (key: Buffer): boolean => key.length > PREFIX_BYTES && key[0] === 0x65 && key[5] === KIND.run

/** Position in the key of a record with a key. */
export const recordKeyPositionOf = (key: Buffer): Position => readUint64(key, PREFIX_BYTES + 8)
/** Base position in the key of a chunk. */
export const chunkBaseOf = (key: Buffer): Position => readUint64(key, PREFIX_BYTES)
/** Base position in the key of a run. */
export const runBaseOf = (key: Buffer): Position => readUint64(key, PREFIX_BYTES + 4)
export const topicNameOf = (key: Buffer): string => key.toString('utf8', PREFIX_BYTES)
export const publisherOf = (key: Buffer): number => readUint64(key, PREFIX_BYTES)
export const sequenceOf = (key: Buffer): number => key.readUInt32BE(PREFIX_BYTES + 8)

export function encodeState(state: StoredState): Buffer {
  const bytes = Buffer.allocUnsafe(STATE_BYTES)
  bytes[0] = STATE_VERSION
  writeUint64(bytes, state.appliedIndex, 1)
  writeUint64(bytes, state.end, 9)
  writeUint64(bytes, state.start, 17)
  bytes.writeUInt32BE(state.nextTopicId, 25)
  writeUint64(bytes, state.storedBytes, 29)
  writeUint64(bytes, state.topicsSavedUpTo, 37)
  writeUint64(bytes, state.retainedUpTo, 45)
  return bytes
}

/** Throws dataVersion or dataDamaged. */
export function decodeState(bytes: Buffer): StoredState {
  if (bytes.length === 0) throw damaged('its state is empty')
  if (bytes[0] !== STATE_VERSION)
    throw new PlatformError(ERROR_CODES.dataVersion, `engine log: state of format ${bytes[0]}; this version reads ${STATE_VERSION}`)
  if (bytes.length !== STATE_BYTES) throw damaged(`its state has ${bytes.length} bytes`)
  return {
    appliedIndex: readUint64(bytes, 1),
    end: readUint64(bytes, 9),
    start: readUint64(bytes, 17),
    nextTopicId: bytes.readUInt32BE(25),
    storedBytes: readUint64(bytes, 29),
    topicsSavedUpTo: readUint64(bytes, 37),
    retainedUpTo: readUint64(bytes, 45),
  }
}

export function encodeChunk(end: Position, appendTimeMs: number, size: number, topicIds: readonly number[], extent?: Extent): Buffer {
  const header = CHUNK_HEADER_BYTES + (extent === undefined ? 0 : EXTENT_BYTES)
  const bytes = Buffer.allocUnsafe(header + 4 * topicIds.length)
  writeUint64(bytes, end, 0)
  writeUint64(bytes, appendTimeMs, 8)
  bytes.writeUInt32BE(size, 16)
  if (extent !== undefined) {
    writeUint64(bytes, extent.first, CHUNK_HEADER_BYTES)
    bytes.writeUInt32BE(extent.count + (extent.isTrimmed ? TRIMMED : 0), CHUNK_HEADER_BYTES + 8)
  }
  let at = header
  for (const id of topicIds) at = bytes.writeUInt32BE(id, at)
  return bytes
}

/** `hasExtent`: of a log of type segment. Throws dataDamaged. */
export function decodeChunk(key: Buffer, value: Buffer, hasExtent: boolean): Chunk {
  const header = CHUNK_HEADER_BYTES + (hasExtent ? EXTENT_BYTES : 0)
  if (value.length < header || value.length % 4 !== 0) throw damaged(`chunk ${chunkBaseOf(key)} has ${value.length} bytes`)
  const topicIds: number[] = []
  for (let at = header; at < value.length; at += 4) topicIds.push(value.readUInt32BE(at))
  return {
    base: chunkBaseOf(key),
    end: readUint64(value, 0),
    appendTimeMs: readUint64(value, 8),
    bytes: value.readUInt32BE(16),
    topicIds,
    extent: hasExtent ? decodeExtent(value) : undefined,
  }
}

function decodeExtent(value: Buffer): Extent {
  const count = value.readUInt32BE(CHUNK_HEADER_BYTES + 8)
  const isTrimmed = count >= TRIMMED
  return { first: readUint64(value, CHUNK_HEADER_BYTES), count: isTrimmed ? count - TRIMMED : count, isTrimmed }
}

export function encodeTopic(id: number, last: Position): Buffer {
  const bytes = Buffer.allocUnsafe(12)
  bytes.writeUInt32BE(id, 0)
  writeUint64(bytes, last, 4)
  return bytes
}

/** Throws dataDamaged. */
export function decodeTopic(value: Buffer): { readonly id: number; readonly last: Position } {
  if (value.length !== 12) throw damaged(`a topic has ${value.length} bytes`)
  return { id: value.readUInt32BE(0), last: readUint64(value, 4) }
}

export const damaged = (what: string): PlatformError =>
  new PlatformError(ERROR_CODES.dataDamaged, `engine log: ${what}; restore the data directory from a copy`)
