// SPDX-License-Identifier: Apache-2.0
// What can be wrong with bytes from a client. Values, made once: a hostile client costs no allocation.
import { REASON } from './reason-code.ts'

/** Why a connection has to end: a v5 reason code, and a sentence for the log. */
export class ProtocolProblem {
  readonly reasonCode: number
  readonly sentence: string

  constructor(reasonCode: number, sentence: string) {
    this.reasonCode = reasonCode
    this.sentence = sentence
  }
}

const malformed = (sentence: string) => Object.freeze(new ProtocolProblem(REASON.malformedPacket, sentence))
const forbidden = (sentence: string) => Object.freeze(new ProtocolProblem(REASON.protocolError, sentence))
const refused = (reasonCode: number, sentence: string) => Object.freeze(new ProtocolProblem(reasonCode, sentence))

/** Malformed: the bytes are no packet. Forbidden: they are one that may not be sent. Refused: over a limit of this server. */
export const PROBLEM = Object.freeze({
  // Fixed header
  packetType: malformed('The packet type is reserved.'),
  headerFlags: malformed('The flags of the fixed header are not those of the packet type [MQTT-2.1.3-1].'),
  publishQos: malformed('PUBLISH has both QoS bits set [MQTT-3.3.1-4].'),
  publishDup: malformed('PUBLISH has DUP set at QoS 0 [MQTT-3.3.1-2].'),
  remainingLength: malformed('The remaining length has more than four bytes.'),
  variableInteger: malformed('A variable byte integer is longer than its value needs, or than four bytes [MQTT-1.5.5-1].'),
  fromServerOnly: forbidden('The packet type is only sent by servers.'),
  connectFirst: forbidden('The first packet is not CONNECT [MQTT-3.1.0-1].'),
  connectTwice: forbidden('A second CONNECT came [MQTT-3.1.0-2].'),
  authVersion: malformed('AUTH does not exist before MQTT 5.'),
  packetSize: refused(REASON.packetTooLarge, 'The packet is larger than the maximum packet size.'),
  keptBytes: refused(REASON.quotaExceeded, 'Too many bytes were sent while earlier packets wait for their answer.'),

  // Fields
  truncated: malformed('A field runs past the end of the packet.'),
  trailing: malformed('Bytes follow the last field of the packet.'),
  text: malformed('A string is not well-formed UTF-8, or has U+0000 in it [MQTT-1.5.4-1] [MQTT-1.5.4-2].'),
  packetId: forbidden('The packet identifier is zero [MQTT-2.2.1-3].'),
  reasonCode: forbidden('A client may not send this reason code in this packet.'),

  // Properties
  propertyUnknown: malformed('A property identifier is not valid for the packet type.'),
  propertyTwice: forbidden('A property that may appear once appears twice.'),
  propertyValue: forbidden('A property has a value that is not allowed.'),
  propertyDirection: forbidden('A property is in the packet that only servers send.'),
  userProperties: refused(REASON.quotaExceeded, 'The packet has more user properties than are accepted.'),
  topicAliasZero: refused(REASON.topicAliasInvalid, 'The topic alias is zero [MQTT-3.3.2-8].'),
  responseTopic: malformed('The response topic is empty or has a wildcard in it [MQTT-3.3.2-14].'),

  // Topics
  topicEmpty: forbidden('The topic name is empty and there is no topic alias [MQTT-4.7.3-1].'),
  topicWildcard: malformed('The topic name has a wildcard in it [MQTT-3.3.2-2].'),
  topicShape: refused(REASON.topicNameInvalid, 'The topic name is longer, or has more levels, than is accepted.'),
  filterSyntax: malformed('A topic filter is empty or has a wildcard out of place [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.7.3-1].'),
  filterShape: refused(REASON.topicFilterInvalid, 'A topic filter is longer, or has more levels, than is accepted.'),

  // CONNECT
  protocolName: refused(REASON.unsupportedProtocolVersion, 'The protocol is not MQTT [MQTT-3.1.2-1].'),
  protocolVersion: refused(REASON.unsupportedProtocolVersion, 'The protocol version is not 3.1, 3.1.1 or 5 [MQTT-3.1.2-2].'),
  connectReserved: malformed('The reserved connect flag is set [MQTT-3.1.2-3].'),
  willFlags: malformed(
    'Will QoS or will retain are set without a will, or the will QoS is 3 [MQTT-3.1.2-11] [MQTT-3.1.2-12] [MQTT-3.1.2-13].',
  ),
  passwordAlone: malformed('A password comes without a user name, which needs MQTT 5 (3.1.1 [MQTT-3.1.2-22]).'),
  authenticationMethod: forbidden('Authentication data come without an authentication method.'),

  // AUTH
  authenticationMissing: forbidden('AUTH does not name the authentication method.'),

  // SUBSCRIBE, UNSUBSCRIBE
  filtersNone: forbidden('No topic filter is given [MQTT-3.8.3-2] [MQTT-3.10.3-2].'),
  filtersMany: refused(REASON.quotaExceeded, 'The packet has more topic filters than are accepted.'),
  optionsReserved: malformed('Reserved bits of the subscription options are set [MQTT-3.8.3-5].'),
  optionsQos: forbidden('The QoS of a subscription is 3.'),
  optionsRetain: forbidden('The retain handling of a subscription is 3.'),
  noLocalShared: forbidden('No Local is set on a shared subscription [MQTT-3.8.3-4].'),
})
