// SPDX-License-Identifier: Apache-2.0
// The sending half of a connection: packets gather in one buffer and leave with one write at the end of the loop turn.
import type { Channel } from '#base/port/network'
import type { RetainedMessage } from '#contract/client/meta-client'
import type { RecordBatch, RecordCursor } from '#contract/record/record-batch'
import type { Congestible } from '../../network/backpressure.ts'
import type { Flushable } from '../../network/flush-queue.ts'
import type { Stallable } from '../../network/write-stall.ts'
import {
  type AckType,
  encodeAuth,
  encodeConnack,
  encodeDisconnect,
  encodePublish,
  encodeSuback,
  encodeUnsuback,
  isFailure,
  type OutgoingPublish,
  PACKET,
  PACKET_SIZE_UNLIMITED,
  PacketWriter,
  type ProtocolVersion,
} from '../../protocol/mqtt/index.ts'
import type { BrokerContext } from './context.ts'
import type { Link } from './link.ts'
import { OutboundAliases } from './outbound-aliases.ts'

/** The connection, as far as its sending half may end it. */
interface Ending {
  disconnect(reasonCode: number): void
  takenOver(): void
  /** A message was larger than the client accepts. */
  tooLarge(): void
  /** The client takes nothing of what is queued for it. */
  stalled(): void
  fail(error: unknown): void
}

/** What CONNACK says of this connection; members are absent where the client got what it asked for. */
export interface ConnackTerms {
  readonly assignedClientId: string | undefined
  readonly sessionExpirySeconds: number | undefined
  readonly serverKeepAliveSeconds: number | undefined
  /** Of a client that was authenticated by an exchange: the method, and what proves the server to it. */
  readonly proof: { readonly method: string; readonly data: Buffer } | undefined
}

/** Output queued for a connection beyond which messages that can wait in the log do so. */
const ROOMY_BYTES_MAX = 1024 * 1024
/** Answers queued for a client that does not read them, beyond which it is read no further. */
const ANSWERS_BYTES_MAX = 1024 * 1024
/** Output of one connection that is written before the loop turn ends. */
const TURN_BYTES_MAX = 64 * 1024
const RECEIVE_MAXIMUM_DEFAULT = 65_535

export class Outgoing implements Link, Flushable, Congestible, Stallable {
  readonly #context: BrokerContext
  readonly #channel: Channel
  readonly #ending: Ending
  readonly #writer = new PacketWriter()
  #version: ProtocolVersion = 4
  #sizeMax = PACKET_SIZE_UNLIMITED
  /** The client takes reason strings [MQTT-3.1.2-29]. */
  #wantsReasons = false
  #waiting = false
  #aliases: OutboundAliases | undefined
  #finished = false
  /** Bytes that the transport had not taken at the last flush. */
  #queuedBytes = 0
  /** Bytes handed to the transport so far. */
  #handedBytes = 0
  /** The client took longer than others should wait for. */
  #slow = false

  constructor(context: BrokerContext, channel: Channel, ending: Ending) {
    this.#context = context
    this.#channel = channel
    this.#ending = ending
  }

  /** Known from CONNECT. `sizeMax`: largest packet that the client accepts. */
  setDialect(version: ProtocolVersion, sizeMax: number, wantsReasons = false): void {
    this.#wantsReasons = wantsReasons
    this.#version = version
    this.#sizeMax = sizeMax
  }

  /** The client knows what to make of topic aliases. Only packets that are written at once have them: those leave in the order of writing. */
  setAliasMaximum(maximum: number): void {
    if (maximum > 0) this.#aliases = new OutboundAliases(maximum)
  }

  get writable(): boolean {
    return !this.#finished && this.#queuedBytes + this.#writer.size < this.#context.config.writeQueueBytes
  }

  get roomy(): boolean {
    return !this.#finished && this.#queuedBytes + this.#writer.size < ROOMY_BYTES_MAX
  }

  get explains(): boolean {
    return this.#version === 5
  }

  get countsInbound(): boolean {
    return this.#version === 5
  }

  // ---- messages

  sendRecord(
    batch: RecordBatch,
    cursor: RecordCursor,
    qos: number,
    packetId: number,
    duplicate: boolean,
    retain: boolean,
    identifiers: readonly number[],
    offset = -1,
  ): boolean {
    const publish = this.#fromRecord(batch, cursor, qos, packetId, duplicate, retain, identifiers, offset)
    if (this.#queuedBytes > ROOMY_BYTES_MAX && !this.#slow) this.#context.backpressure.relieve(this, cursor.publisher)
    // The buffer of a turn is not grown for large messages: each step would be a copy, and the old one garbage.
    if (this.#writer.size + cursor.end - cursor.payloadStart > TURN_BYTES_MAX) this.#hand()
    const aliases = this.#aliases
    aliases?.apply(publish, batch.topics[cursor.topic] as string)
    if (!this.#writer.publish(this.#version, publish, this.#sizeMax)) return this.#tooLarge()
    aliases?.sent()
    this.#context.metrics.messagesSent.add(1)
    this.#schedule()
    return true
  }

  encodeRecord(
    batch: RecordBatch,
    cursor: RecordCursor,
    qos: number,
    packetId: number,
    duplicate: boolean,
    retain: boolean,
    identifiers: readonly number[],
    offset = -1,
  ): Buffer | undefined {
    return this.#encode(this.#fromRecord(batch, cursor, qos, packetId, duplicate, retain, identifiers, offset))
  }

  encodeRetained(message: RetainedMessage, qos: number, packetId: number, identifiers: readonly number[]): Buffer | undefined {
    const publish = this.#context.outgoingPublish
    // Retained messages come once for each topic: remembering them would only push others out.
    publish.topic = Buffer.from(message.topic)
    publish.qos = qos
    publish.packetId = packetId
    publish.dup = false
    publish.retain = true
    publish.identifiers = identifiers
    publish.topicAlias = 0
    publish.offset = -1
    publish.messageExpirySeconds = this.#remainingSeconds(message.expiryMs)
    publish.headers = message.headers
    publish.headersStart = 0
    publish.headersEnd = message.headers.length
    publish.payload = message.payload
    publish.payloadStart = 0
    publish.payloadEnd = message.payload.length
    return this.#encode(publish)
  }

  sendBytes(bytes: Buffer): void {
    this.#writer.append(bytes)
    this.#schedule()
  }

  #fromRecord(
    batch: RecordBatch,
    cursor: RecordCursor,
    qos: number,
    packetId: number,
    duplicate: boolean,
    retain: boolean,
    identifiers: readonly number[],
    offset: number,
  ): OutgoingPublish {
    const publish = this.#context.outgoingPublish
    publish.topic = this.#context.topicBytes.of(batch.topics[cursor.topic] as string)
    publish.qos = qos
    publish.packetId = packetId
    publish.dup = duplicate
    publish.retain = retain
    publish.identifiers = identifiers
    publish.topicAlias = 0
    publish.offset = offset
    publish.messageExpirySeconds = this.#remainingSeconds(cursor.expiryMs)
    publish.headers = batch.bytes
    publish.headersStart = cursor.headersStart
    publish.headersEnd = cursor.headersEnd
    publish.payload = batch.bytes
    publish.payloadStart = cursor.payloadStart
    publish.payloadEnd = cursor.end
    return publish
  }

  #encode(publish: OutgoingPublish): Buffer | undefined {
    const encoded = encodePublish(this.#version, publish)
    if (encoded === undefined || encoded.bytes.length > this.#sizeMax) {
      this.#tooLarge()
      return undefined
    }
    this.#context.metrics.messagesSent.add(1)
    return encoded.bytes
  }

  /** A message the client cannot take is dropped as if it had been sent [MQTT-3.1.2-25]. */
  #tooLarge(): false {
    this.#context.metrics.droppedTooLarge.add(1)
    this.#ending.tooLarge()
    return false
  }

  /** What is left of a message's life [MQTT-3.3.2-6]; -1 for no end. */
  #remainingSeconds(expiryMs: number): number {
    return expiryMs === 0 ? -1 : Math.max(0, Math.ceil((expiryMs - this.#context.clock.realtime()) / 1000))
  }

  // ---- answers

  encodeAck(type: number, packetId: number, reasonCode: number): Buffer {
    const writer = new PacketWriter()
    writer.ack(this.#version, type as AckType, packetId, reasonCode)
    return writer.take()
  }

  sendAck(type: number, packetId: number, reasonCode: number): boolean {
    // 3.x can only say yes. Not saying anything keeps the message with the client, which sends it again when it has connected anew.
    if (isFailure(reasonCode) && this.#version !== 5 && type <= PACKET.pubrec) {
      this.#ending.disconnect(reasonCode)
      return false
    }
    this.#writer.ack(this.#version, type as AckType, packetId, reasonCode)
    this.#schedule()
    return true
  }

  sendPingresp(): void {
    this.#writer.pingresp()
    this.#schedule()
  }

  /** `reasonString` says why, to a client that wants to know. */
  sendSuback(packetId: number, reasonCodes: readonly number[], reasonString?: string): void {
    this.sendBytes(encodeSuback(this.#version, packetId, reasonCodes, this.#wantsReasons ? { reasonString } : {}, this.#sizeMax))
  }

  sendUnsuback(packetId: number, reasonCodes: readonly number[]): void {
    this.sendBytes(encodeUnsuback(this.#version, packetId, reasonCodes, {}, this.#sizeMax))
  }

  /** False when it is larger than the client accepts: nothing is sent. */
  sendConnack(present: boolean, terms: ConnackTerms): boolean {
    const { config } = this.#context
    const properties = {
      assignedClientId: terms.assignedClientId,
      sessionExpirySeconds: terms.sessionExpirySeconds,
      keepAliveSeconds: terms.serverKeepAliveSeconds,
      authenticationMethod: terms.proof?.method,
      authenticationData: terms.proof?.data,
      receiveMaximum: config.receiveMaximum === RECEIVE_MAXIMUM_DEFAULT ? undefined : config.receiveMaximum,
      maximumQos: config.maxQos === 2 ? undefined : (config.maxQos as 0 | 1),
      retainAvailable: config.retainAvailable ? undefined : false,
      maximumPacketSize: config.maxPacketSize,
      topicAliasMaximum: config.topicAliasMaximum === 0 ? undefined : config.topicAliasMaximum,
      sharedAvailable: config.sharedAvailable ? undefined : false,
    }
    const bytes = encodeConnack(this.#version, present, 0, properties, this.#sizeMax)
    this.sendBytes(bytes)
    return bytes.length > 0
  }

  /** CONNACK of a connection that is not accepted. */
  sendRefusal(reasonCode: number): void {
    this.sendBytes(encodeConnack(this.#version, false, reasonCode, {}, this.#sizeMax))
  }

  sendAuth(reasonCode: number, authenticationMethod: string, authenticationData: Buffer | undefined): void {
    this.sendBytes(encodeAuth(reasonCode, { authenticationMethod, authenticationData }, this.#sizeMax))
  }

  sendDisconnect(reasonCode: number): void {
    this.sendBytes(encodeDisconnect(this.#version, reasonCode, {}, this.#sizeMax))
  }

  // ---- the socket

  flush(): void {
    this.#waiting = false
    this.#hand()
  }

  #hand(): void {
    if (this.#writer.size === 0 || this.#finished) return
    const bytes = this.#writer.take()
    this.#context.metrics.bytesSent.add(bytes.length)
    this.#handedBytes += bytes.length
    this.#channel.write(bytes)
    this.#queuedBytes = this.#channel.queuedBytes()
    if (this.#queuedBytes > ROOMY_BYTES_MAX) this.#context.stalls.watch(this)
  }

  get takenBytes(): number {
    return this.#handedBytes - this.#channel.queuedBytes()
  }

  stalled(): void {
    this.#ending.stalled()
  }

  drained(): void {
    this.#queuedBytes = 0
    this.#slow = false
  }

  get congested(): boolean {
    if (this.#queuedBytes > ROOMY_BYTES_MAX) this.#queuedBytes = this.#channel.queuedBytes()
    return this.#queuedBytes > ROOMY_BYTES_MAX
  }

  /** More is queued than messages can have put there: the client asks and does not read the answers. */
  get overfull(): boolean {
    const bytesMax = this.#context.config.writeQueueBytes + ANSWERS_BYTES_MAX
    if (this.#queuedBytes + this.#writer.size <= bytesMax) return false
    this.#queuedBytes = this.#channel.queuedBytes()
    return this.#queuedBytes + this.#writer.size > bytesMax
  }

  markSlow(): void {
    this.#slow = true
  }

  /** Hands over what there is; nothing is sent after it. */
  finish(): void {
    this.flush()
    this.#finished = true
    this.#context.backpressure.forget(this)
    this.#context.stalls.forget(this)
  }

  /** The peer is gone: nothing is sent any more. */
  discard(): void {
    this.#finished = true
    this.#writer.take()
    this.#context.backpressure.forget(this)
    this.#context.stalls.forget(this)
  }

  takenOver(): void {
    this.#ending.takenOver()
  }

  refuse(reasonCode: number): void {
    this.#ending.disconnect(reasonCode)
  }

  fail(error: unknown): void {
    this.#ending.fail(error)
  }

  #schedule(): void {
    // One turn may read megabytes: whether the client keeps up must show before its end.
    if (this.#writer.size >= TURN_BYTES_MAX) this.#hand()
    if (this.#waiting || this.#finished) return
    this.#waiting = true
    this.#context.flushQueue.add(this)
  }
}
