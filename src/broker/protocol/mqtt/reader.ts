// SPDX-License-Identifier: Apache-2.0
// From the bytes of a connection to packets: all packets of a chunk in one synchronous loop, in place. Strict: what is wrong ends the
// connection with the reason code that the specification names for it.
//
// Only the bytes after the last whole packet are kept, and only once the fixed header has shown that the packet may come and how large it is.
import { connectDialect, decodeConnect } from './connect.ts'
import { decodeAuth, decodeDisconnect } from './farewell.ts'
import { frameSize, headerProblem, packetTypeOf, repeatedTypeOf } from './frame.ts'
import { type AckType, PACKET, type PacketHandler, type ProtocolVersion } from './packet.ts'
import { PROBLEM, ProtocolProblem } from './problem.ts'
import { ALLOWED, PropertyCursor } from './property.ts'
import { PublishReader } from './publish-reader.ts'
import { isReasonFor, REASON_USE } from './reason-code.ts'
import { decodeSubscribe, decodeUnsubscribe, type FilterLimits } from './subscribe.ts'

export interface ReaderLimits extends FilterLimits {
  /** Largest packet, in bytes, fixed header included. */
  readonly packetSizeMax: number
  /** The same for CONNECT, which comes from a client that nobody knows yet. */
  readonly connectSizeMax: number
  /** Most bytes taken while paused. */
  readonly keptSizeMax: number
  /** Most user properties in one packet. */
  readonly userPropertiesMax: number
}

export const READER_LIMITS: ReaderLimits = Object.freeze({
  packetSizeMax: 2 * 1024 * 1024,
  // A will and a password of 64 KiB each, and as much for everything else.
  connectSizeMax: 3 * 65536,
  keptSizeMax: 256 * 1024,
  topicSizeMax: 4096,
  topicLevelsMax: 256,
  filtersMax: 1000,
  userPropertiesMax: 1024,
})

const OPEN = 0
const PAUSED = 1
const DEAD = 2

/** Smallest buffer for the beginning of a packet; a larger one than `CARRY_KEPT_MAX` is let go when it is empty. */
const CARRY_SIZE_MIN = 128
const CARRY_KEPT_MAX = 1024

const EMPTY = Buffer.alloc(0)

export class PacketReader {
  readonly #handler: PacketHandler
  readonly #limits: ReaderLimits
  readonly #cursor: PropertyCursor
  readonly #publish: PublishReader
  #version: ProtocolVersion | 0 = 0
  #state = OPEN
  /** A CONNECT has come: every packet but another one may follow. */
  #isConnected = false
  /** Set while packets are handed over: a handler that calls `resume` is already in the loop. */
  #isBusy = false
  #sizeMax: number
  /** Result of the last remaining length of more than one byte. */
  #length = 0
  #isPadded = false
  #packetCount = 0
  /** Bytes not read yet: `#carry[#carryStart, #carryEnd)`. While open, the beginning of one packet, from 0; while paused, whatever came. */
  #carry: Buffer = EMPTY
  #carryStart = 0
  #carryEnd = 0
  /** Bytes taken since the pause began. */
  #keptSize = 0

  constructor(handler: PacketHandler, limits: ReaderLimits = READER_LIMITS) {
    this.#handler = handler
    this.#limits = limits
    this.#sizeMax = Math.min(limits.connectSizeMax, limits.packetSizeMax)
    this.#cursor = new PropertyCursor(limits.userPropertiesMax)
    this.#publish = new PublishReader(this.#cursor, limits)
  }

  /** The dialect of the connection, known from CONNECT on, even from a CONNECT that is wrong further on; 0 before. */
  get version(): ProtocolVersion | 0 {
    return this.#version
  }

  /** Whole packets handed over so far. */
  get packetCount(): number {
    return this.#packetCount
  }

  /** Memory held for bytes that have not been read. */
  get carriedBytes(): number {
    return this.#carry.length
  }

  /** Reads a chunk, which belongs to the reader from now on. */
  push(chunk: Buffer): void {
    if (this.#state === DEAD) return
    if (this.#state === PAUSED) this.#keep(chunk)
    else if (this.#carryEnd === 0) this.#run(chunk, 0, chunk.length)
    else this.#completeCarried(chunk)
  }

  /** Stops between two packets, also in the middle of a chunk. What comes is kept; more than `keptSizeMax` of it ends the connection, so stop the channel too. */
  pause(): void {
    if (this.#state !== OPEN) return
    this.#state = PAUSED
    this.#keptSize = 0
  }

  /** Goes on with what was kept. Hands over packets before it returns, unless a packet is being handed over now. */
  resume(): void {
    if (this.#state !== PAUSED) return
    this.#state = OPEN
    if (this.#isBusy || this.#carryEnd === 0) return
    const bytes = this.#carry
    const start = this.#carryStart
    const end = this.#carryEnd
    this.#dropCarry()
    this.#run(bytes, start, end)
  }

  /** Ends: no call comes after it, whatever is left of the chunk. */
  stop(): void {
    this.#state = DEAD
    this.#dropCarry()
  }

  #fail(problem: ProtocolProblem): void {
    this.stop()
    this.#handler.onMalformed(problem)
  }

  /** Hands over the packets of `bytes[start, end)` and carries the rest. */
  #run(bytes: Buffer, start: number, end: number): void {
    this.#isBusy = true
    const at = this.#deliverAll(bytes, start, end)
    this.#isBusy = false
    if (at === end || this.#state === DEAD) return
    if (this.#state === PAUSED) {
      // May be long and is read soon: held, not copied.
      this.#carry = bytes
      this.#carryStart = at
      this.#carryEnd = end
    } else this.#append(bytes, at, end)
  }

  /** Hands over whole packets while open. Returns where it stopped. */
  #deliverAll(bytes: Buffer, start: number, limit: number): number {
    let at = start
    while (at < limit && this.#state === OPEN) {
      const first = bytes[at] as number
      let type = packetTypeOf(first)
      if (type === 0 && this.#version === 3) type = repeatedTypeOf(first)
      if (type === 0 || (type === PACKET.connect) === this.#isConnected) {
        this.#refuse(first, type)
        return at
      }
      let body = at + 2
      if (body > limit) return at
      let length = bytes[at + 1] as number
      if (length > 0x7f) {
        body = this.#readLength(bytes, at, limit)
        if (body === 0) return at
        length = this.#length
      }
      const end = body + length
      if (end - at > this.#sizeMax) {
        this.#fail(PROBLEM.packetSize)
        return at
      }
      if (end > limit) return at
      this.#deliver(type, first, bytes, body, end)
      at = end
    }
    return at
  }

  #refuse(first: number, type: number): void {
    if (!this.#isConnected) this.#fail(PROBLEM.connectFirst)
    else this.#fail(type === PACKET.connect ? PROBLEM.connectTwice : headerProblem(first))
  }

  /**
   * Reads a remaining length of two to four bytes into `#length` and returns where the body begins; 0 when bytes are missing, or when it is wrong.
   * A length with more bytes than it needs is accepted from 3.x clients, whose specification does not forbid it.
   */
  #readLength(bytes: Buffer, at: number, limit: number): number {
    let length = 0
    for (let size = 1; size <= 4; size++) {
      if (at + size >= limit) return 0
      const byte = bytes[at + size] as number
      length |= (byte & 0x7f) << (7 * (size - 1))
      if (byte >= 0x80) continue
      this.#length = length
      this.#isPadded = byte === 0
      if (!this.#isPadded || this.#version !== 5) return at + size + 1
      this.#fail(PROBLEM.variableInteger)
      return 0
    }
    this.#fail(PROBLEM.remainingLength)
    return 0
  }

  #deliver(type: number, first: number, bytes: Buffer, start: number, end: number): void {
    this.#packetCount++
    let problem: ProtocolProblem | undefined
    if (type === PACKET.publish) {
      problem = this.#publish.read(bytes, first, start, end, this.#version as ProtocolVersion)
      if (problem === undefined) this.#handler.onPublish(this.#publish)
    } else if (type >= PACKET.puback && type <= PACKET.pubcomp) problem = this.#deliverAck(type as AckType, bytes, start, end)
    else problem = this.#deliverOther(type, bytes, start, end)
    if (problem !== undefined) this.#fail(problem)
  }

  /** PUBACK, PUBREC, PUBREL, PUBCOMP := packet id u16 | [reason code u8 [properties]]        in brackets: MQTT 5 only */
  #deliverAck(type: AckType, bytes: Buffer, start: number, end: number): ProtocolProblem | undefined {
    const size = end - start
    if (size < 2) return PROBLEM.truncated
    const packetId = ((bytes[start] as number) << 8) | (bytes[start + 1] as number)
    if (packetId === 0) return PROBLEM.packetId
    let reasonCode = 0
    if (size > 2) {
      if (this.#version !== 5) return PROBLEM.trailing
      reasonCode = bytes[start + 2] as number
      const use = type < PACKET.pubrel ? REASON_USE.pubackPubrec : REASON_USE.pubrelPubcomp
      if (!isReasonFor(use, reasonCode)) return PROBLEM.reasonCode
    }
    if (size > 3) {
      const cursor = this.#cursor
      if (cursor.open(bytes, start + 3, end, ALLOWED.ack)) while (cursor.next());
      if (cursor.problem !== undefined) return cursor.problem
      if (cursor.sectionEnd !== end) return PROBLEM.trailing
    }
    this.#handler.onAck(type, packetId, reasonCode)
    return undefined
  }

  #deliverOther(type: number, bytes: Buffer, start: number, end: number): ProtocolProblem | undefined {
    if (type === PACKET.connect) return this.#deliverConnect(bytes, start, end)
    const limits = this.#limits
    const version = this.#version as ProtocolVersion
    if (type === PACKET.subscribe) {
      const packet = decodeSubscribe(bytes, start, end, version, this.#cursor, limits)
      if (packet instanceof ProtocolProblem) return packet
      this.#handler.onSubscribe(packet)
    } else if (type === PACKET.unsubscribe) {
      const packet = decodeUnsubscribe(bytes, start, end, version, this.#cursor, limits)
      if (packet instanceof ProtocolProblem) return packet
      this.#handler.onUnsubscribe(packet)
    } else if (type === PACKET.pingreq) {
      if (start !== end) return PROBLEM.trailing
      this.#handler.onPingreq()
    } else if (type === PACKET.disconnect) {
      const packet = decodeDisconnect(bytes, start, end, version, this.#cursor, limits)
      if (packet instanceof ProtocolProblem) return packet
      this.#handler.onDisconnect(packet)
    } else {
      const packet = version === 5 ? decodeAuth(bytes, start, end, this.#cursor, limits) : PROBLEM.authVersion
      if (packet instanceof ProtocolProblem) return packet
      this.#handler.onAuth(packet)
    }
    return undefined
  }

  #deliverConnect(bytes: Buffer, start: number, end: number): ProtocolProblem | undefined {
    this.#version = connectDialect(bytes, start, end)
    if (this.#version === 5 && this.#isPadded) return PROBLEM.variableInteger
    const packet = decodeConnect(bytes, start, end, this.#cursor, this.#limits)
    if (packet instanceof ProtocolProblem) return packet
    this.#isConnected = true
    this.#sizeMax = this.#limits.packetSizeMax
    this.#handler.onConnect(packet)
    return undefined
  }

  /** Takes from the chunk what the carried packet needs and hands it over, then reads on behind it. Header bytes come singly: each may show that the packet is refused. */
  #completeCarried(chunk: Buffer): void {
    let at = 0
    this.#isBusy = true
    while (this.#carryEnd > 0 && at < chunk.length) {
      const missing = frameSize(this.#carry, this.#carryEnd) - this.#carryEnd
      const taken = Math.min(missing, chunk.length - at)
      this.#append(chunk, at, at + taken)
      at += taken
      const carry = this.#carry
      const end = this.#carryEnd
      // While the packet is handed over nothing is carried: what the handler does to the reader must not find it again.
      this.#carryEnd = 0
      if (this.#deliverAll(carry, 0, end) === 0 && this.#state !== DEAD) this.#carryEnd = end
    }
    this.#isBusy = false
    if (this.#carryEnd === 0) this.#trimCarry()
    if (at < chunk.length && this.#state !== DEAD) this.#run(chunk, at, chunk.length)
  }

  #keep(chunk: Buffer): void {
    this.#keptSize += chunk.length
    if (this.#keptSize > this.#limits.keptSizeMax) this.#fail(PROBLEM.keptBytes)
    else this.#append(chunk, 0, chunk.length)
  }

  /** Adds a copy of bytes to what is carried. Grows by doubling, so that many small chunks cost as little as one. */
  #append(bytes: Buffer, start: number, end: number): void {
    const size = this.#carryEnd - this.#carryStart
    const needed = size + end - start
    if (this.#carryStart > 0 || needed > this.#carry.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(CARRY_SIZE_MIN, needed, 2 * size))
      this.#carry.copy(larger, 0, this.#carryStart, this.#carryEnd)
      this.#carry = larger
      this.#carryStart = 0
      this.#carryEnd = size
    }
    bytes.copy(this.#carry, this.#carryEnd, start, end)
    this.#carryEnd = needed
  }

  #trimCarry(): void {
    if (this.#carry.length > CARRY_KEPT_MAX) this.#carry = EMPTY
  }

  #dropCarry(): void {
    this.#carry = EMPTY
    this.#carryStart = 0
    this.#carryEnd = 0
  }
}
