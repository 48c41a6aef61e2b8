// SPDX-License-Identifier: Apache-2.0
// The MQTT codec: bytes to values and back. No session, no clock.
export {
  type AckType,
  type AuthPacket,
  type ConnectPacket,
  type DisconnectPacket,
  PACKET,
  PACKET_SIZE_UNLIMITED,
  type PacketHandler,
  type ProtocolVersion,
  type PublishView,
  type SubscribePacket,
  type SubscriptionRequest,
  type UnsubscribePacket,
  type UserProperty,
} from './packet.ts'
export { PROBLEM, ProtocolProblem } from './problem.ts'
export { PacketReader, READER_LIMITS, type ReaderLimits } from './reader.ts'
export { connackReturnCode, isFailure, REASON, RETURN_CODE, subackReturnCode } from './reason-code.ts'
export {
  type AuthProperties,
  type ConnackProperties,
  type DisconnectProperties,
  encodeAuth,
  encodeConnack,
  encodeDisconnect,
  encodePingresp,
  encodeSuback,
  encodeUnsuback,
  type ReplyNotes,
} from './reply.ts'
export { type EncodedPublish, encodePublish, OutgoingPublish, PacketWriter } from './writer.ts'
