// SPDX-License-Identifier: Apache-2.0
// Reads the fields of a packet that is not hot, one after the other. The first problem sticks: later reads give nothing, so that a packet's
// reader can be written straight down and ask once at the end.
import type { UserProperty } from './packet.ts'
import { PROBLEM, type ProtocolProblem } from './problem.ts'
import { isForwardedProperty, isNumberProperty, PROPERTY, type PropertyCursor } from './property.ts'
import { isText, levelCount, type TopicLimits, topicProblem } from './text.ts'

const EMPTY = Buffer.alloc(0)

/** The properties of one packet, by identifier. Forwarded ones other than user properties are left in their bytes. */
export class PropertyValues {
  readonly #numbers = new Map<number, number>()
  readonly #contents = new Map<number, Buffer>()
  readonly userProperties: UserProperty[] = []

  /** Takes the property at which the cursor stands. */
  add(cursor: PropertyCursor, bytes: Buffer): void {
    if (cursor.id === PROPERTY.userProperty)
      this.userProperties.push([
        bytes.toString('utf8', cursor.start, cursor.end),
        bytes.toString('utf8', cursor.secondStart, cursor.secondEnd),
      ])
    else if (isNumberProperty(cursor.id)) this.#numbers.set(cursor.id, cursor.value)
    else if (!isForwardedProperty(cursor.id)) this.#contents.set(cursor.id, Buffer.from(bytes.subarray(cursor.start, cursor.end)))
  }

  number(id: number): number | undefined {
    return this.#numbers.get(id)
  }

  text(id: number): string | undefined {
    return this.#contents.get(id)?.toString('utf8')
  }

  binary(id: number): Buffer | undefined {
    return this.#contents.get(id)
  }
}

export class FieldReader {
  readonly bytes: Buffer
  readonly #cursor: PropertyCursor
  readonly #limits: TopicLimits
  readonly #end: number
  #at: number
  problem: ProtocolProblem | undefined

  constructor(bytes: Buffer, start: number, end: number, cursor: PropertyCursor, limits: TopicLimits) {
    this.bytes = bytes
    this.#at = start
    this.#end = end
    this.#cursor = cursor
    this.#limits = limits
  }

  get isAtEnd(): boolean {
    return this.#at === this.#end
  }

  fail(problem: ProtocolProblem): void {
    this.problem ??= problem
    this.#at = this.#end
  }

  uint8(): number {
    return this.#take(1) ? (this.bytes[this.#at - 1] as number) : 0
  }

  uint16(): number {
    return this.#take(2) ? this.bytes.readUInt16BE(this.#at - 2) : 0
  }

  packetId(): number {
    const packetId = this.uint16()
    if (packetId === 0) this.fail(PROBLEM.packetId)
    return packetId
  }

  /** A copy of length-prefixed bytes. */
  binary(): Buffer {
    const length = this.uint16()
    return this.#take(length) ? Buffer.from(this.bytes.subarray(this.#at - length, this.#at)) : EMPTY
  }

  text(): string {
    const start = this.#content()
    const end = this.#at
    return this.#decode(start, end, isText(this.bytes, start, end) ? undefined : PROBLEM.text)
  }

  /** A topic name, which is not empty. */
  topic(): string {
    const start = this.#content()
    const end = this.#at
    return this.#decode(start, end, start === end ? PROBLEM.topicEmpty : topicProblem(this.bytes, start, end, this.#limits))
  }

  /** A topic filter of acceptable shape. Its syntax is not looked at. */
  filter(): string {
    const start = this.#content()
    const end = this.#at
    const { topicSizeMax, topicLevelsMax } = this.#limits
    if (!isText(this.bytes, start, end)) return this.#decode(start, end, PROBLEM.text)
    const isTooLarge = end - start > topicSizeMax || levelCount(this.bytes, start, end) > topicLevelsMax
    return this.#decode(start, end, isTooLarge ? PROBLEM.filterShape : undefined)
  }

  /** A section of properties. The cursor is left as the walk ended. */
  properties(allowed: number): PropertyValues {
    const values = new PropertyValues()
    if (this.problem !== undefined) return values
    const cursor = this.#cursor
    if (cursor.open(this.bytes, this.#at, this.#end, allowed)) while (cursor.next()) values.add(cursor, this.bytes)
    if (cursor.problem === undefined) this.#at = cursor.sectionEnd
    else this.fail(cursor.problem)
    return values
  }

  /** The properties of the section read last that are passed on with a message. */
  forwarded(): Buffer {
    return this.problem === undefined ? this.#cursor.forwarded() : EMPTY
  }

  /** Every byte of a packet belongs to a field. */
  finish(): void {
    if (!this.isAtEnd) this.fail(PROBLEM.trailing)
  }

  /** Start of length-prefixed content, which is passed over. Where it runs past the end of the packet, it counts as empty. */
  #content(): number {
    const length = this.uint16()
    return this.#take(length) ? this.#at - length : this.#at
  }

  #decode(start: number, end: number, problem: ProtocolProblem | undefined): string {
    if (problem !== undefined) this.fail(problem)
    return this.problem === undefined ? this.bytes.toString('utf8', start, end) : ''
  }

  #take(size: number): boolean {
    if (this.problem === undefined && this.#at + size > this.#end) this.fail(PROBLEM.truncated)
    if (this.problem !== undefined) return false
    this.#at += size
    return true
  }
}
