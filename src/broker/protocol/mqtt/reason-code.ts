// SPDX-License-Identifier: Apache-2.0
// MQTT reason codes: their names, which of them a client may send, and what the 3.x dialects make of them.

/** Reason codes of MQTT 5 (section 2.4). Zero has three names; it is one code. */
export const REASON = Object.freeze({
  success: 0x00,
  normalDisconnection: 0x00,
  grantedQos0: 0x00,
  grantedQos1: 0x01,
  grantedQos2: 0x02,
  disconnectWithWill: 0x04,
  noMatchingSubscribers: 0x10,
  noSubscriptionExisted: 0x11,
  continueAuthentication: 0x18,
  reauthenticate: 0x19,
  unspecifiedError: 0x80,
  malformedPacket: 0x81,
  protocolError: 0x82,
  implementationSpecificError: 0x83,
  unsupportedProtocolVersion: 0x84,
  clientIdentifierNotValid: 0x85,
  badUserNameOrPassword: 0x86,
  notAuthorized: 0x87,
  serverUnavailable: 0x88,
  serverBusy: 0x89,
  banned: 0x8a,
  serverShuttingDown: 0x8b,
  badAuthenticationMethod: 0x8c,
  keepAliveTimeout: 0x8d,
  sessionTakenOver: 0x8e,
  topicFilterInvalid: 0x8f,
  topicNameInvalid: 0x90,
  packetIdentifierInUse: 0x91,
  packetIdentifierNotFound: 0x92,
  receiveMaximumExceeded: 0x93,
  topicAliasInvalid: 0x94,
  packetTooLarge: 0x95,
  messageRateTooHigh: 0x96,
  quotaExceeded: 0x97,
  administrativeAction: 0x98,
  payloadFormatInvalid: 0x99,
  retainNotSupported: 0x9a,
  qosNotSupported: 0x9b,
  useAnotherServer: 0x9c,
  serverMoved: 0x9d,
  sharedSubscriptionsNotSupported: 0x9e,
  connectionRateExceeded: 0x9f,
  maximumConnectTime: 0xa0,
  subscriptionIdentifiersNotSupported: 0xa1,
  wildcardSubscriptionsNotSupported: 0xa2,
})

/** Whether a reason code says that what was asked for did not happen. */
export const isFailure = (reasonCode: number): boolean => reasonCode >= 0x80

/** CONNACK return codes of MQTT 3.1 and 3.1.1 (section 3.2.2.3). */
export const RETURN_CODE = Object.freeze({
  accepted: 0,
  unacceptableProtocolVersion: 1,
  identifierRejected: 2,
  serverUnavailable: 3,
  badUserNameOrPassword: 4,
  notAuthorized: 5,
})

const RETURN_CODES: ReadonlyMap<number, number> = new Map([
  [REASON.success, RETURN_CODE.accepted],
  [REASON.unsupportedProtocolVersion, RETURN_CODE.unacceptableProtocolVersion],
  [REASON.clientIdentifierNotValid, RETURN_CODE.identifierRejected],
  [REASON.badUserNameOrPassword, RETURN_CODE.badUserNameOrPassword],
  [REASON.notAuthorized, RETURN_CODE.notAuthorized],
  [REASON.banned, RETURN_CODE.notAuthorized],
  [REASON.badAuthenticationMethod, RETURN_CODE.notAuthorized],
  [REASON.unspecifiedError, RETURN_CODE.serverUnavailable],
  [REASON.implementationSpecificError, RETURN_CODE.serverUnavailable],
  [REASON.serverUnavailable, RETURN_CODE.serverUnavailable],
  [REASON.serverBusy, RETURN_CODE.serverUnavailable],
  [REASON.serverShuttingDown, RETURN_CODE.serverUnavailable],
  [REASON.quotaExceeded, RETURN_CODE.serverUnavailable],
  [REASON.useAnotherServer, RETURN_CODE.serverUnavailable],
  [REASON.serverMoved, RETURN_CODE.serverUnavailable],
  [REASON.connectionRateExceeded, RETURN_CODE.serverUnavailable],
])

/** The return code that stands for a reason code in a 3.x CONNACK. Undefined: none fits, so no CONNACK may be sent (3.1.1 [MQTT-3.2.2-6]). */
export const connackReturnCode = (reasonCode: number): number | undefined => RETURN_CODES.get(reasonCode)

/** SUBACK of 3.1.1 knows one failure (3.1.1 [MQTT-3.9.3-2]). */
export const subackReturnCode = (reasonCode: number): number => (isFailure(reasonCode) ? 0x80 : reasonCode)

/** Packets in which a client sends a reason code. Bits of one table. */
export const REASON_USE = Object.freeze({ pubackPubrec: 1, pubrelPubcomp: 2, disconnect: 4, auth: 8 })

const usesOf = (): Uint8Array => {
  const uses = new Uint8Array(256)
  const allow = (use: number, ...codes: readonly number[]) => {
    for (const code of codes) uses[code] = (uses[code] as number) | use
  }
  allow(REASON_USE.pubackPubrec, 0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99)
  allow(REASON_USE.pubrelPubcomp, 0x00, 0x92)
  allow(REASON_USE.disconnect, 0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99)
  allow(REASON_USE.auth, REASON.continueAuthentication, REASON.reauthenticate)
  return uses
}
const USES = usesOf()

/** Whether a client may send a reason code in a packet [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.6.2-1] [MQTT-3.7.2-1] [MQTT-3.14.2-1] [MQTT-3.15.2-1]. */
export const isReasonFor = (use: number, reasonCode: number): boolean => ((USES[reasonCode] as number) & use) !== 0
