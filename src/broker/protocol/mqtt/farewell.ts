// SPDX-License-Identifier: Apache-2.0
// DISCONNECT and AUTH (MQTT 5 sections 3.14 and 3.15), which have the same shape. Both may be cut short where nothing but defaults would follow.
//
//   DISCONNECT, AUTH := [reason code u8 [properties]]
import { FieldReader, PropertyValues } from './field-reader.ts'
import type { AuthPacket, DisconnectPacket, ProtocolVersion } from './packet.ts'
import { PROBLEM, type ProtocolProblem } from './problem.ts'
import { ALLOWED, PROPERTY, type PropertyCursor } from './property.ts'
import { isReasonFor, REASON, REASON_USE } from './reason-code.ts'
import type { TopicLimits } from './text.ts'

/** Decodes the body of a DISCONNECT, which is `bytes[start, end)`. In 3.x it has none. */
export function decodeDisconnect(
  bytes: Buffer,
  start: number,
  end: number,
  version: ProtocolVersion,
  cursor: PropertyCursor,
  limits: TopicLimits,
): DisconnectPacket | ProtocolProblem {
  const fields = new FieldReader(bytes, start, end, cursor, limits)
  const isShort = version !== 5 || fields.isAtEnd
  const reasonCode = isShort ? REASON.normalDisconnection : fields.uint8()
  const properties = isShort || fields.isAtEnd ? new PropertyValues() : fields.properties(ALLOWED.disconnect)
  if (!isReasonFor(REASON_USE.disconnect, reasonCode)) fields.fail(PROBLEM.reasonCode)
  if (properties.binary(PROPERTY.serverReference) !== undefined) fields.fail(PROBLEM.propertyDirection)
  fields.finish()
  return (
    fields.problem ?? {
      reasonCode,
      sessionExpirySeconds: properties.number(PROPERTY.sessionExpiryInterval),
      reasonString: properties.text(PROPERTY.reasonString),
      userProperties: properties.userProperties,
    }
  )
}

/** Decodes the body of an AUTH, which is `bytes[start, end)`. */
export function decodeAuth(
  bytes: Buffer,
  start: number,
  end: number,
  cursor: PropertyCursor,
  limits: TopicLimits,
): AuthPacket | ProtocolProblem {
  const fields = new FieldReader(bytes, start, end, cursor, limits)
  const reasonCode = fields.isAtEnd ? REASON.success : fields.uint8()
  const properties = fields.isAtEnd ? new PropertyValues() : fields.properties(ALLOWED.auth)
  if (!isReasonFor(REASON_USE.auth, reasonCode)) fields.fail(PROBLEM.reasonCode)
  fields.finish()
  const authenticationMethod = properties.text(PROPERTY.authenticationMethod)
  if (fields.problem !== undefined) return fields.problem
  if (authenticationMethod === undefined) return PROBLEM.authenticationMissing
  return {
    reasonCode,
    authenticationMethod,
    authenticationData: properties.binary(PROPERTY.authenticationData),
    reasonString: properties.text(PROPERTY.reasonString),
    userProperties: properties.userProperties,
  }
}
