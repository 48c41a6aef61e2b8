// SPDX-License-Identifier: Apache-2.0
// SUBSCRIBE and UNSUBSCRIBE (MQTT 5 sections 3.8 and 3.10).
//
//   SUBSCRIBE   := packet id u16 | [properties] | (filter text, options u8)+
//   options     := QoS 0x03 | no local 0x04 | retain as published 0x08 | retain handling 0x30 | reserved 0xc0       3.x: QoS | reserved 0xfc
//   UNSUBSCRIBE := packet id u16 | [properties] | (filter text)+
import { isValidFilter } from '#base/topic-filter'
import { FieldReader, PropertyValues } from './field-reader.ts'
import type { ProtocolVersion, SubscribePacket, SubscriptionRequest, UnsubscribePacket } from './packet.ts'
import { PROBLEM, type ProtocolProblem } from './problem.ts'
import { ALLOWED, PROPERTY, type PropertyCursor } from './property.ts'
import type { TopicLimits } from './text.ts'

export interface FilterLimits extends TopicLimits {
  /** Most topic filters in one packet. */
  readonly filtersMax: number
}

const OPTION = Object.freeze({ qos: 0x03, noLocal: 0x04, retainAsPublished: 0x08, retainHandling: 0x30, reserved: 0xc0, reserved3: 0xfc })

const SHARE_PREFIX = '$share/'

/** Decodes the body of a SUBSCRIBE, which is `bytes[start, end)`. */
export function decodeSubscribe(
  bytes: Buffer,
  start: number,
  end: number,
  version: ProtocolVersion,
  cursor: PropertyCursor,
  limits: FilterLimits,
): SubscribePacket | ProtocolProblem {
  const fields = new FieldReader(bytes, start, end, cursor, limits)
  const packetId = fields.packetId()
  const properties = version === 5 ? fields.properties(ALLOWED.subscribe) : new PropertyValues()
  if (fields.isAtEnd) fields.fail(PROBLEM.filtersNone)
  const filters: SubscriptionRequest[] = []
  while (!fields.isAtEnd) {
    if (filters.length === limits.filtersMax) fields.fail(PROBLEM.filtersMany)
    filters.push(readRequest(fields, version))
  }
  if (fields.problem !== undefined) return fields.problem
  const identifier = properties.number(PROPERTY.subscriptionIdentifier) ?? 0
  return { packetId, identifier, filters, userProperties: properties.userProperties }
}

/** Decodes the body of an UNSUBSCRIBE, which is `bytes[start, end)`. */
export function decodeUnsubscribe(
  bytes: Buffer,
  start: number,
  end: number,
  version: ProtocolVersion,
  cursor: PropertyCursor,
  limits: FilterLimits,
): UnsubscribePacket | ProtocolProblem {
  const fields = new FieldReader(bytes, start, end, cursor, limits)
  const packetId = fields.packetId()
  const properties = version === 5 ? fields.properties(ALLOWED.unsubscribe) : new PropertyValues()
  if (fields.isAtEnd) fields.fail(PROBLEM.filtersNone)
  const filters: string[] = []
  while (!fields.isAtEnd) {
    if (filters.length === limits.filtersMax) fields.fail(PROBLEM.filtersMany)
    filters.push(readFilter(fields))
  }
  return fields.problem ?? { packetId, filters, userProperties: properties.userProperties }
}

function readFilter(fields: FieldReader): string {
  const filter = fields.filter()
  if (fields.problem === undefined && !isValidFilter(filter)) fields.fail(PROBLEM.filterSyntax)
  return filter
}

function readRequest(fields: FieldReader, version: ProtocolVersion): SubscriptionRequest {
  const filter = readFilter(fields)
  const options = fields.uint8()
  const problem = fields.problem ?? optionsProblem(filter, options, version)
  if (problem !== undefined) fields.fail(problem)
  return {
    filter,
    qos: (options & OPTION.qos) as 0 | 1 | 2,
    noLocal: (options & OPTION.noLocal) !== 0,
    retainAsPublished: (options & OPTION.retainAsPublished) !== 0,
    retainHandling: ((options & OPTION.retainHandling) >> 4) as 0 | 1 | 2,
  }
}

function optionsProblem(filter: string, options: number, version: ProtocolVersion): ProtocolProblem | undefined {
  if ((options & (version === 5 ? OPTION.reserved : OPTION.reserved3)) !== 0) return PROBLEM.optionsReserved
  if ((options & OPTION.qos) === OPTION.qos) return PROBLEM.optionsQos
  if ((options & OPTION.retainHandling) === OPTION.retainHandling) return PROBLEM.optionsRetain
  if ((options & OPTION.noLocal) !== 0 && filter.startsWith(SHARE_PREFIX)) return PROBLEM.noLocalShared
  return undefined
}
