// SPDX-License-Identifier: Apache-2.0
// PUBLISH (MQTT 5 section 3.3), read in place. One object for all of a connection's publishes.
//
//   PUBLISH := topic text | [packet id u16, QoS > 0] | [properties, MQTT 5] | payload
import type { ProtocolVersion, PublishView } from './packet.ts'
import { PROBLEM, type ProtocolProblem } from './problem.ts'
import { ALLOWED, PROPERTY, type PropertyCursor } from './property.ts'
import type { TopicLimits } from './text.ts'
import { TopicCache } from './topic-cache.ts'

const EMPTY = Buffer.alloc(0)

export class PublishReader implements PublishView {
  readonly #cursor: PropertyCursor
  readonly #topics: TopicCache
  bytes: Buffer = EMPTY
  dup = false
  qos: 0 | 1 | 2 = 0
  retain = false
  topicStart = 0
  topicEnd = 0
  packetId = 0
  propertiesStart = 0
  propertiesEnd = 0
  payloadStart = 0
  payloadEnd = 0
  topicAlias = 0
  messageExpirySeconds = -1
  headers: Buffer = EMPTY

  constructor(cursor: PropertyCursor, limits: TopicLimits) {
    this.#cursor = cursor
    this.#topics = new TopicCache(limits)
  }

  get topic(): string {
    return this.topicStart === this.topicEnd ? '' : this.#topics.text(this.bytes, this.topicStart, this.topicEnd)
  }

  /** Reads the PUBLISH whose body is `bytes[start, end)`. The flags in `first`, its first byte, are known to be valid. */
  read(bytes: Buffer, first: number, start: number, end: number, version: ProtocolVersion): ProtocolProblem | undefined {
    let at = start + 2
    if (at > end) return PROBLEM.truncated
    at += ((bytes[start] as number) << 8) | (bytes[start + 1] as number)
    if (at > end) return PROBLEM.truncated
    this.bytes = bytes
    this.topicStart = start + 2
    this.topicEnd = at
    const qos = ((first >> 1) & 0x03) as 0 | 1 | 2
    this.qos = qos
    this.dup = (first & 0x08) !== 0
    this.retain = (first & 0x01) !== 0
    this.packetId = 0
    if (qos !== 0) {
      if (at + 2 > end) return PROBLEM.truncated
      this.packetId = ((bytes[at] as number) << 8) | (bytes[at + 1] as number)
      if (this.packetId === 0) return PROBLEM.packetId
      at += 2
    }
    this.propertiesStart = at
    this.propertiesEnd = at
    this.payloadEnd = end
    if (version === 5) return this.#readProperties(bytes, at, end)
    this.payloadStart = at
    return this.#topics.check(bytes, this.topicStart, this.topicEnd)
  }

  #readProperties(bytes: Buffer, at: number, end: number): ProtocolProblem | undefined {
    this.topicAlias = 0
    this.messageExpirySeconds = -1
    this.headers = EMPTY
    if (at < end && bytes[at] === 0) {
      this.propertiesStart = this.propertiesEnd = this.payloadStart = at + 1
      return this.#topics.check(bytes, this.topicStart, this.topicEnd)
    }
    const cursor = this.#cursor
    if (!cursor.open(bytes, at, end, ALLOWED.publish)) return cursor.problem
    while (cursor.next()) {
      if (cursor.id === PROPERTY.topicAlias) this.topicAlias = cursor.value
      else if (cursor.id === PROPERTY.messageExpiryInterval) this.messageExpirySeconds = cursor.value
      else if (cursor.id === PROPERTY.subscriptionIdentifier) return PROBLEM.propertyDirection // [MQTT-3.3.4-6]
    }
    if (cursor.problem !== undefined) return cursor.problem
    this.headers = cursor.forwarded()
    this.propertiesStart = cursor.sectionStart
    this.propertiesEnd = this.payloadStart = cursor.sectionEnd
    if (this.topicStart === this.topicEnd && this.topicAlias !== 0) return undefined
    return this.#topics.check(bytes, this.topicStart, this.topicEnd)
  }
}
