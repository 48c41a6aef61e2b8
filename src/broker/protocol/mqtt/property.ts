// SPDX-License-Identifier: Apache-2.0
// Properties of MQTT 5 (section 2.2.2): which there are, where a client may use them, and a strict walk over a section of them.
//
//   section  := length varint | property*
//   property := identifier u8 | value          value: u8, u16, u32, varint, text, binary, or a pair of texts
import { PROBLEM, type ProtocolProblem } from './problem.ts'
import { hasWildcardByte, isText } from './text.ts'
import { readVariableInteger, variableIntegerSize } from './variable-integer.ts'

/** Identifiers of the properties that clients send. */
export const PROPERTY = Object.freeze({
  payloadFormatIndicator: 1,
  messageExpiryInterval: 2,
  contentType: 3,
  responseTopic: 8,
  correlationData: 9,
  subscriptionIdentifier: 11,
  sessionExpiryInterval: 17,
  authenticationMethod: 21,
  authenticationData: 22,
  requestProblemInformation: 23,
  willDelayInterval: 24,
  requestResponseInformation: 25,
  serverReference: 28,
  reasonString: 31,
  receiveMaximum: 33,
  topicAliasMaximum: 34,
  topicAlias: 35,
  userProperty: 38,
  maximumPacketSize: 39,
})

const KIND = Object.freeze({ none: 0, uint8: 1, uint16: 2, uint32: 3, varint: 4, text: 5, binary: 6, pair: 7 })

const P = PROPERTY
const KIND_IDS: readonly (readonly [kind: number, ids: readonly number[]])[] = [
  [KIND.uint8, [P.payloadFormatIndicator, P.requestProblemInformation, P.requestResponseInformation]],
  [KIND.uint16, [P.receiveMaximum, P.topicAliasMaximum, P.topicAlias]],
  [KIND.uint32, [P.messageExpiryInterval, P.sessionExpiryInterval, P.willDelayInterval, P.maximumPacketSize]],
  [KIND.varint, [P.subscriptionIdentifier]],
  [KIND.text, [P.contentType, P.responseTopic, P.authenticationMethod, P.serverReference, P.reasonString]],
  [KIND.binary, [P.correlationData, P.authenticationData]],
  [KIND.pair, [P.userProperty]],
]

/** Identifiers are below this; larger ones are unknown. */
const IDS = 64
const KIND_OF = new Uint8Array(IDS)
/** Each known property has a bit of its own, so that a set of them is a number. */
const BIT_OF = new Int32Array(IDS)
for (const [kind, ids] of KIND_IDS) for (const id of ids) KIND_OF[id] = kind
for (const [at, id] of Object.values(PROPERTY).entries()) BIT_OF[id] = 1 << at

const setOf = (...ids: readonly number[]): number => ids.reduce((set, id) => set | (BIT_OF[id] as number), 0)

/** Properties that belong to one hop, and are not passed on with a message. */
const HOP = setOf(P.topicAlias, P.messageExpiryInterval, P.willDelayInterval, P.subscriptionIdentifier)
const FORWARDED = [P.payloadFormatIndicator, P.contentType, P.responseTopic, P.correlationData, P.userProperty] as const

/** Properties that are valid in each packet. Those that only a server may send there are among them, and are left to the packet's reader. */
export const ALLOWED = Object.freeze({
  connect: setOf(
    ...[P.sessionExpiryInterval, P.receiveMaximum, P.maximumPacketSize, P.topicAliasMaximum, P.userProperty],
    ...[P.requestResponseInformation, P.requestProblemInformation, P.authenticationMethod, P.authenticationData],
  ),
  will: setOf(P.willDelayInterval, P.messageExpiryInterval, ...FORWARDED),
  publish: setOf(P.topicAlias, P.messageExpiryInterval, P.subscriptionIdentifier, ...FORWARDED),
  ack: setOf(P.reasonString, P.userProperty),
  subscribe: setOf(P.subscriptionIdentifier, P.userProperty),
  unsubscribe: setOf(P.userProperty),
  disconnect: setOf(P.sessionExpiryInterval, P.reasonString, P.userProperty, P.serverReference),
  auth: setOf(P.authenticationMethod, P.authenticationData, P.reasonString, P.userProperty),
})

const FORWARDED_SET = setOf(...FORWARDED)

/** Both take a known identifier. */
export const isForwardedProperty = (id: number): boolean => (FORWARDED_SET & (BIT_OF[id] as number)) !== 0
export const isNumberProperty = (id: number): boolean => (KIND_OF[id] as number) <= KIND.varint

const EMPTY = Buffer.alloc(0)
const USER_PROPERTY_BIT = setOf(P.userProperty)

/** Steps over a section and checks all that can be known without other packets. Its fields describe the current property. Reused. */
export class PropertyCursor {
  readonly #userPropertiesMax: number
  #bytes: Buffer = EMPTY
  #sectionStart = 0
  #at = 0
  #allowed = 0
  #seen = 0
  #userProperties = 0
  /** Where the hop properties lie: at most two of them are in a section that can be forwarded. */
  #hop1Start = 0
  #hop1End = 0
  #hop2Start = 0
  #hop2End = 0
  /** What ended the walk early. */
  problem: ProtocolProblem | undefined
  id = 0
  /** Value of a number. */
  value = 0
  /** Content of a text or binary without its length; for a pair, of the name. */
  start = 0
  end = 0
  /** Content of a pair's value. */
  secondStart = 0
  secondEnd = 0
  /** Where the section ends. */
  sectionEnd = 0

  constructor(userPropertiesMax: number) {
    this.#userPropertiesMax = userPropertiesMax
  }

  get sectionStart(): number {
    return this.#sectionStart
  }

  /** Goes to the section whose length is at `at` and which may not reach past `limit`. False, with a problem, when it does. */
  open(bytes: Buffer, at: number, limit: number, allowed: number): boolean {
    const length = readVariableInteger(bytes, at, limit)
    this.#bytes = bytes
    this.#allowed = allowed
    this.#seen = 0
    this.#userProperties = 0
    this.#hop1Start = this.#hop1End = this.#hop2Start = this.#hop2End = 0
    if (length < 0) {
      this.problem = at < limit ? PROBLEM.variableInteger : PROBLEM.truncated
      return false
    }
    this.#at = this.#sectionStart = at + variableIntegerSize(length)
    this.sectionEnd = this.#at + length
    this.problem = this.sectionEnd > limit ? PROBLEM.truncated : undefined
    return this.problem === undefined
  }

  /** Moves to the next property. False at the end of the section, or at a problem. */
  next(): boolean {
    const at = this.#at
    if (at >= this.sectionEnd) return false
    const id = this.#bytes[at] as number
    this.id = id
    this.problem = this.#identify(id) ?? this.#read(at + 1, KIND_OF[id] as number) ?? this.#rule(id)
    if (this.problem !== undefined) return false
    if ((HOP & (BIT_OF[id] as number)) !== 0) this.#noteHop(at)
    return true
  }

  /** After the walk: the properties that are passed on with a message, copied as they stand. */
  forwarded(): Buffer {
    const size = this.sectionEnd - this.#sectionStart - (this.#hop1End - this.#hop1Start) - (this.#hop2End - this.#hop2Start)
    if (size === 0) return EMPTY
    const headers = Buffer.allocUnsafe(size)
    const bytes = this.#bytes
    let from = this.#sectionStart
    let to = 0
    if (this.#hop1End > 0) {
      to += bytes.copy(headers, to, from, this.#hop1Start)
      from = this.#hop1End
    }
    if (this.#hop2End > 0) {
      to += bytes.copy(headers, to, from, this.#hop2Start)
      from = this.#hop2End
    }
    bytes.copy(headers, to, from, this.sectionEnd)
    return headers
  }

  #identify(id: number): ProtocolProblem | undefined {
    const bit = id < IDS ? (BIT_OF[id] as number) : 0
    if ((bit & this.#allowed) === 0) return PROBLEM.propertyUnknown
    if (bit === USER_PROPERTY_BIT) return ++this.#userProperties > this.#userPropertiesMax ? PROBLEM.userProperties : undefined
    if ((bit & this.#seen) !== 0) return PROBLEM.propertyTwice
    this.#seen |= bit
    return undefined
  }

  /** Reads the value at `at` and moves past it. */
  #read(at: number, kind: number): ProtocolProblem | undefined {
    const bytes = this.#bytes
    const limit = this.sectionEnd
    switch (kind) {
      case KIND.uint8:
        if (at + 1 > limit) return PROBLEM.truncated
        this.value = bytes[at] as number
        this.#at = at + 1
        return undefined
      case KIND.uint16:
        if (at + 2 > limit) return PROBLEM.truncated
        this.value = bytes.readUInt16BE(at)
        this.#at = at + 2
        return undefined
      case KIND.uint32:
        if (at + 4 > limit) return PROBLEM.truncated
        this.value = bytes.readUInt32BE(at)
        this.#at = at + 4
        return undefined
      case KIND.varint:
        this.value = readVariableInteger(bytes, at, limit)
        this.#at = at + variableIntegerSize(this.value)
        return this.value < 0 ? PROBLEM.variableInteger : undefined
      case KIND.pair: {
        const problem = this.#readContent(at, true)
        if (problem !== undefined) return problem
        const { start, end } = this
        const second = this.#readContent(end, true)
        this.secondStart = this.start
        this.secondEnd = this.end
        this.start = start
        this.end = end
        return second
      }
      default:
        return this.#readContent(at, kind === KIND.text)
    }
  }

  #readContent(at: number, text: boolean): ProtocolProblem | undefined {
    if (at + 2 > this.sectionEnd) return PROBLEM.truncated
    this.start = at + 2
    this.end = this.start + this.#bytes.readUInt16BE(at)
    this.#at = this.end
    if (this.end > this.sectionEnd) return PROBLEM.truncated
    return text && !isText(this.#bytes, this.start, this.end) ? PROBLEM.text : undefined
  }

  /** The rules on values. */
  #rule(id: number): ProtocolProblem | undefined {
    switch (id) {
      case P.payloadFormatIndicator:
      case P.requestProblemInformation:
      case P.requestResponseInformation:
        return this.value > 1 ? PROBLEM.propertyValue : undefined
      case P.receiveMaximum:
      case P.maximumPacketSize:
      case P.subscriptionIdentifier:
        return this.value === 0 ? PROBLEM.propertyValue : undefined
      case P.topicAlias:
        return this.value === 0 ? PROBLEM.topicAliasZero : undefined
      case P.responseTopic:
        return this.start === this.end || hasWildcardByte(this.#bytes, this.start, this.end) ? PROBLEM.responseTopic : undefined
      default:
        return undefined
    }
  }

  #noteHop(start: number): void {
    if (this.#hop1End === 0) {
      this.#hop1Start = start
      this.#hop1End = this.#at
    } else {
      this.#hop2Start = start
      this.#hop2End = this.#at
    }
  }
}
