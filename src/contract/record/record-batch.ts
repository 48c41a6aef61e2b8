// SPDX-License-Identifier: Apache-2.0
// The bytes of messages: written once by the ingress broker, not encoded again until a subscriber's socket (DESIGN 4).
//
//   batch   := header records topics
//   header  := magic u32 | length u32 | crc32c u32 | base position u64 | append time u64 | term u64          set by the leader: the last three
//              version u8 | flags u8 | topic count u16 | record count u32 | records length u32               48 bytes
//   record  := length u32 | topic u16 | attributes u16 | position delta u32 | publisher u64                  20 bytes
//              [expiry u64] [sequence u32] [headers length u32, headers] [key length u16, key] payload
//   topics  := (length u16, UTF-8)*
//
//   flags   := bit 0: a record enters the retained view | bit 1: a record has a sequence | bit 2: a record has a key | bits 4-5: highest QoS
//
// The CRC covers everything from `version` on: what the ingress broker wrote. All integers are big-endian; `length` counts
// from the start of its own structure. `topic` is an index into the batch's own topics.
import { assert } from '#base/assert'
import { readUint64, writeUint64 } from '#base/bytes'
import { crc32c } from '#base/crc32c'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'

export const BATCH_MAGIC = 0x524d5142 // 'RMQB'
export const BATCH_VERSION = 1
export const BATCH_HEADER_BYTES = 48
export const RECORD_HEADER_BYTES = 20
/** Most topics in one batch: the width of a record's topic index. */
export const BATCH_TOPICS_MAX = 0xffff

const AT = {
  magic: 0,
  length: 4,
  crc: 8,
  basePosition: 12,
  appendTime: 20,
  term: 28,
  checked: 36,
  version: 36,
  flags: 37,
  topicCount: 38,
  recordCount: 40,
  recordsLength: 44,
} as const

/** Flags of a batch: what its records have, so that most batches are handled without looking into them. */
export const BATCH_FLAG = {
  retained: 0x01,
  sequences: 0x02,
  keys: 0x04,
  /** The two bits from here are the highest QoS. */
  qosShift: 4,
} as const

/** Attributes of a record: the low two bits are the QoS. */
export const ATTRIBUTE = {
  qosMask: 0x0003,
  /** Latest value of its topic: enters the retained view. An empty payload removes the value. */
  retain: 0x0004,
  expiry: 0x0008,
  /** Carries a sequence (MQTT: packet id) that its log remembers until it is released (D14). */
  sequence: 0x0010,
  headers: 0x0020,
  /** Has a key: what the record is about, by which it can be found among those of its topic. */
  key: 0x0040,
} as const

/** Longest key of a record: the width of its length. */
export const KEY_BYTES_MAX = 0xffff

/** Nobody: the publisher of messages the server itself makes. */
export const PUBLISHER_NONE = 0

/** An encoded batch. Immutable but for the three fields that the leader sets when it appends. */
export class RecordBatch {
  readonly bytes: Buffer
  readonly recordCount: number
  readonly topics: readonly string[]

  /** Wraps bytes known to be good. Bytes from a disk or a peer go through `parse`. */
  constructor(bytes: Buffer, topics: readonly string[]) {
    this.bytes = bytes
    this.recordCount = bytes.readUInt32BE(AT.recordCount)
    this.topics = topics
  }

  get basePosition(): number {
    return readUint64(this.bytes, AT.basePosition)
  }

  get appendTimeMs(): number {
    return readUint64(this.bytes, AT.appendTime)
  }

  get term(): number {
    return readUint64(this.bytes, AT.term)
  }

  /** Whether a record of it enters the retained view. */
  get hasRetained(): boolean {
    return ((this.bytes[AT.flags] as number) & BATCH_FLAG.retained) !== 0
  }

  /** Whether a record of it has a sequence. */
  get hasSequences(): boolean {
    return ((this.bytes[AT.flags] as number) & BATCH_FLAG.sequences) !== 0
  }

  /** Whether a record of it has a key. */
  get hasKeys(): boolean {
    return ((this.bytes[AT.flags] as number) & BATCH_FLAG.keys) !== 0
  }

  /** Highest QoS among its records. */
  get qosMax(): number {
    return ((this.bytes[AT.flags] as number) >>> BATCH_FLAG.qosShift) & ATTRIBUTE.qosMask
  }

  /** Where the records end and the topics begin. */
  get recordsEnd(): number {
    return BATCH_HEADER_BYTES + this.bytes.readUInt32BE(AT.recordsLength)
  }

  /** The same in memory of its own. */
  copy(): RecordBatch {
    return new RecordBatch(ownCopy(this.bytes, this.bytes.length), this.topics)
  }

  /** Stamps what only the leader knows. Outside of the CRC. */
  stamp(basePosition: number, appendTimeMs: number, term: number): void {
    writeUint64(this.bytes, basePosition, AT.basePosition)
    writeUint64(this.bytes, appendTimeMs, AT.appendTime)
    writeUint64(this.bytes, term, AT.term)
  }

  /** Checks length, version, CRC and structure before anything is believed. Throws dataDamaged or dataVersion. */
  static parse(bytes: Buffer): RecordBatch {
    checkHeader(bytes)
    if (bytes.readUInt32BE(AT.crc) !== crc32c(bytes, 0, AT.checked)) throw damaged('the CRC does not match the content')
    return new RecordBatch(bytes, parseTopics(bytes))
  }

  /** The same without the CRC: of bytes that another checksum has just vouched for. */
  static parseVerified(bytes: Buffer): RecordBatch {
    checkHeader(bytes)
    return new RecordBatch(bytes, parseTopics(bytes))
  }
}

function checkHeader(bytes: Buffer): void {
  if (bytes.length < BATCH_HEADER_BYTES) throw damaged(`${bytes.length} bytes are too few for a batch header`)
  if (bytes.readUInt32BE(AT.magic) !== BATCH_MAGIC) throw damaged('no record batch begins here')
  if (bytes.readUInt32BE(AT.length) !== bytes.length) throw damaged('the length in the header is not the length of the batch')
  if (bytes[AT.version] !== BATCH_VERSION)
    throw new PlatformError(
      ERROR_CODES.dataVersion,
      `record batch format ${bytes[AT.version]} is not ${BATCH_VERSION}, the one this version reads`,
    )
}

function parseTopics(bytes: Buffer): string[] {
  const topics: string[] = []
  let at = BATCH_HEADER_BYTES + bytes.readUInt32BE(AT.recordsLength)
  for (let left = bytes.readUInt16BE(AT.topicCount); left > 0; left--) {
    if (at + 2 > bytes.length) throw damaged('the topics run past the end of the batch')
    const end = at + 2 + bytes.readUInt16BE(at)
    if (end > bytes.length) throw damaged('a topic runs past the end of the batch')
    topics.push(bytes.toString('utf8', at + 2, end))
    at = end
  }
  if (at !== bytes.length) throw damaged('bytes follow the topics')
  return topics
}

const damaged = (what: string): PlatformError => new PlatformError(ERROR_CODES.dataDamaged, `record batch: ${what}`)

/** Steps over the records of a batch without allocating; its fields describe the current record. Reused across batches by `reset`. */
export class RecordCursor {
  #bytes: Buffer = EMPTY
  #base = 0
  #next = 0
  #end = 0
  /** Start of the record in the batch's bytes. */
  start = 0
  /** End of the record, and of its payload. */
  end = 0
  /** Index into the batch's topics. */
  topic = 0
  attributes = 0
  position = 0
  publisher = 0
  expiryMs = 0
  sequence = -1
  headersStart = 0
  headersEnd = 0
  /** Its key; equal for none. An empty key is one too: `attributes` tells. */
  keyStart = 0
  keyEnd = 0
  payloadStart = 0

  reset(batch: RecordBatch): void {
    this.#bytes = batch.bytes
    this.#base = batch.basePosition
    this.#next = BATCH_HEADER_BYTES
    this.#end = batch.recordsEnd
  }

  get qos(): number {
    return this.attributes & ATTRIBUTE.qosMask
  }

  get retain(): boolean {
    return (this.attributes & ATTRIBUTE.retain) !== 0
  }

  /** Moves to the next record; false at the end. Throws dataDamaged on a length that cannot be. */
  next(): boolean {
    const at = this.#next
    if (at >= this.#end) return false
    const bytes = this.#bytes
    const length = bytes.readUInt32BE(at)
    if (length < RECORD_HEADER_BYTES || at + length > this.#end) throw damaged('a record runs past the end of its batch')
    this.start = at
    this.end = this.#next = at + length
    this.topic = bytes.readUInt16BE(at + 4)
    const attributes = bytes.readUInt16BE(at + 6)
    this.attributes = attributes
    this.position = this.#base + bytes.readUInt32BE(at + 8)
    this.publisher = bytes.readUInt32BE(at + 12) * 0x1_0000_0000 + bytes.readUInt32BE(at + 16)
    let body = at + RECORD_HEADER_BYTES
    this.expiryMs = 0
    this.sequence = -1
    if ((attributes & ~(ATTRIBUTE.qosMask | ATTRIBUTE.retain)) !== 0) body = this.#readOptional(body, attributes)
    else this.headersStart = this.headersEnd = this.keyStart = this.keyEnd = body
    if (body > this.end) throw damaged('the fields of a record run past its end')
    this.payloadStart = body
    return true
  }

  #readOptional(from: number, attributes: number): number {
    const bytes = this.#bytes
    let at = from
    if (attributes & ATTRIBUTE.expiry) {
      this.expiryMs = readUint64(bytes, at)
      at += 8
    }
    if (attributes & ATTRIBUTE.sequence) {
      this.sequence = bytes.readUInt32BE(at)
      at += 4
    }
    this.headersStart = at
    if (attributes & ATTRIBUTE.headers) {
      this.headersStart = at + 4
      at += 4 + bytes.readUInt32BE(at)
    }
    this.headersEnd = this.keyStart = at
    if (attributes & ATTRIBUTE.key) {
      this.keyStart = at + 2
      at += 2 + bytes.readUInt16BE(at)
    }
    this.keyEnd = at
    return at
  }
}

const EMPTY = Buffer.alloc(0)

/** A larger buffer is given up after a small batch: one large batch must not cost its memory for ever. */
const BUFFER_KEPT_BYTES_MAX = 128 * 1024

/** Builds batches, one after the other. Copies what it is given: the caller's buffers are free at once. */
export class RecordBatchBuilder {
  #bytes: Buffer
  #at = BATCH_HEADER_BYTES
  #recordCount = 0
  #qosMax = 0
  /** Attributes that any record so far has. */
  #attributes = 0
  #topics: string[] = []
  readonly #topicIndex = new Map<string, number>()

  constructor(initialBytes = 4096) {
    this.#bytes = Buffer.allocUnsafe(initialBytes)
  }

  get recordCount(): number {
    return this.#recordCount
  }

  /** Bytes so far, without the topics. */
  get size(): number {
    return this.#at
  }

  /** Index of a topic in the batch being built; -1 when no further topic fits. */
  topic(name: string): number {
    const known = this.#topicIndex.get(name)
    if (known !== undefined) return known
    if (this.#topics.length === BATCH_TOPICS_MAX) return -1
    this.#topicIndex.set(name, this.#topics.length)
    return this.#topics.push(name) - 1
  }

  /**
   * Appends a record whose payload is `source[start, end)`. Returns its index in the batch. `delta` is given only when records are copied with gaps, `key` is of
   * at most KEY_BYTES_MAX bytes and written only when the attributes say so.
   */
  append(
    topic: number,
    attributes: number,
    publisher: number,
    expiryMs: number,
    sequence: number,
    headers: Buffer,
    source: Buffer,
    start: number,
    end: number,
    delta = this.#recordCount,
    key = EMPTY,
  ): number {
    const payload = end - start
    const optional = attributes & ~(ATTRIBUTE.qosMask | ATTRIBUTE.retain)
    const length =
      RECORD_HEADER_BYTES +
      payload +
      (optional === 0
        ? 0
        : (optional & ATTRIBUTE.expiry ? 8 : 0) +
          (optional & ATTRIBUTE.sequence ? 4 : 0) +
          (optional & ATTRIBUTE.headers ? 4 + headers.length : 0) +
          (optional & ATTRIBUTE.key ? 2 + key.length : 0))
    const bytes = this.#room(length)
    let at = this.#at
    bytes.writeUInt32BE(length, at)
    bytes.writeUInt16BE(topic, at + 4)
    bytes.writeUInt16BE(attributes, at + 6)
    bytes.writeUInt32BE(delta, at + 8)
    bytes.writeUInt32BE(Math.floor(publisher / 0x1_0000_0000), at + 12)
    bytes.writeUInt32BE(publisher >>> 0, at + 16)
    at += RECORD_HEADER_BYTES
    if (optional !== 0) at = writeOptional(bytes, at, optional, expiryMs, sequence, headers, key)
    if (payload < 64) for (let from = start; from < end; from++) bytes[at++] = source[from] as number
    else {
      source.copy(bytes, at, start, end)
      at += payload
    }
    this.#at = at
    this.#note(attributes)
    return this.#recordCount++
  }

  #note(attributes: number): void {
    this.#attributes |= attributes
    const qos = attributes & ATTRIBUTE.qosMask
    if (qos > this.#qosMax) this.#qosMax = qos
  }

  /** Highest QoS among the records so far. */
  get qosMax(): number {
    return this.#qosMax
  }

  /** Copies the current record of `cursor`, a record of `batch`, keeping its distance to `basePosition`. */
  copy(batch: RecordBatch, cursor: RecordCursor, topic: number, basePosition: number): void {
    const length = cursor.end - cursor.start
    const bytes = this.#room(length)
    batch.bytes.copy(bytes, this.#at, cursor.start, cursor.end)
    bytes.writeUInt16BE(topic, this.#at + 4)
    bytes.writeUInt32BE(cursor.position - basePosition, this.#at + 8)
    this.#at += length
    this.#note(cursor.attributes)
    this.#recordCount++
  }

  /** Copies the records `source[start, end)`, which are known to be good. All get the topic, and their distances to the base position grow by `shift`. */
  copySpan(source: Buffer, start: number, end: number, topic: number, shift: number): void {
    const bytes = this.#room(end - start)
    const last = this.#at + end - start
    source.copy(bytes, this.#at, start, end)
    for (let at = this.#at; at < last; this.#recordCount++) {
      bytes.writeUInt16BE(topic, at + 4)
      bytes.writeUInt32BE(bytes.readUInt32BE(at + 8) + shift, at + 8)
      this.#note(bytes.readUInt16BE(at + 6))
      const length = bytes.readUInt32BE(at)
      assert(length >= RECORD_HEADER_BYTES && at + length <= last, 'records that are copied lie one after the other')
      at += length
    }
    this.#at = last
  }

  /** The batch, sealed with its CRC; the builder is empty again. */
  build(): RecordBatch {
    assert(this.#recordCount > 0, 'a batch has at least one record')
    const recordsEnd = this.#at
    for (const topic of this.#topics) {
      const size = Buffer.byteLength(topic)
      const bytes = this.#room(2 + size)
      bytes.writeUInt16BE(size, this.#at)
      bytes.write(topic, this.#at + 2, 'utf8')
      this.#at += 2 + size
    }
    // A batch that leaves room is copied out, and not into Node's pool: for as long as it is kept, in the tail for example, it would hold the whole
    // buffer, or a whole slab of the pool, and nobody counts that.
    const small = this.#at + (this.#at >>> 3) < this.#bytes.length
    const bytes = small ? ownCopy(this.#bytes, this.#at) : this.#bytes.subarray(0, this.#at)
    bytes.writeUInt32BE(BATCH_MAGIC, AT.magic)
    bytes.writeUInt32BE(this.#at, AT.length)
    bytes.fill(0, AT.basePosition, AT.checked)
    bytes[AT.version] = BATCH_VERSION
    bytes[AT.flags] =
      (this.#attributes & ATTRIBUTE.retain ? BATCH_FLAG.retained : 0) |
      (this.#attributes & ATTRIBUTE.sequence ? BATCH_FLAG.sequences : 0) |
      (this.#attributes & ATTRIBUTE.key ? BATCH_FLAG.keys : 0) |
      (this.#qosMax << BATCH_FLAG.qosShift)
    bytes.writeUInt16BE(this.#topics.length, AT.topicCount)
    bytes.writeUInt32BE(this.#recordCount, AT.recordCount)
    bytes.writeUInt32BE(recordsEnd - BATCH_HEADER_BYTES, AT.recordsLength)
    bytes.writeUInt32BE(crc32c(bytes, 0, AT.checked), AT.crc)
    const batch = new RecordBatch(bytes, this.#topics)
    this.#reset(small)
    return batch
  }

  /** Unless they were copied, the bytes now belong to the batch; the next one is expected to be about as large. */
  #reset(copied: boolean): void {
    if (!copied || this.#bytes.length > BUFFER_KEPT_BYTES_MAX)
      this.#bytes = Buffer.allocUnsafeSlow(Math.max(4096, Math.min(this.#at + (this.#at >>> 2), 1 << 20)))
    this.#at = BATCH_HEADER_BYTES
    this.#recordCount = 0
    this.#qosMax = 0
    this.#attributes = 0
    this.#topics = []
    this.#topicIndex.clear()
  }

  #room(length: number): Buffer {
    if (this.#at + length > this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + length + 1024))
      this.#bytes.copy(larger, 0, 0, this.#at)
      this.#bytes = larger
    }
    return this.#bytes
  }
}

function ownCopy(bytes: Buffer, size: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(size)
  bytes.copy(copy, 0, 0, size)
  return copy
}

function writeOptional(
  bytes: Buffer,
  from: number,
  optional: number,
  expiryMs: number,
  sequence: number,
  headers: Buffer,
  key: Buffer,
): number {
  let at = from
  if (optional & ATTRIBUTE.expiry) {
    writeUint64(bytes, expiryMs, at)
    at += 8
  }
  if (optional & ATTRIBUTE.sequence) {
    bytes.writeUInt32BE(sequence, at)
    at += 4
  }
  if (optional & ATTRIBUTE.headers) {
    bytes.writeUInt32BE(headers.length, at)
    headers.copy(bytes, at + 4)
    at += 4 + headers.length
  }
  if (optional & ATTRIBUTE.key) {
    bytes.writeUInt16BE(key.length, at)
    key.copy(bytes, at + 2)
    at += 2 + key.length
  }
  return at
}
