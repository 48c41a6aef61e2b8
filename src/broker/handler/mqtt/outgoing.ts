// SPDX-License-Identifier: Apache-2.0
// The sending half of a connection: packets gather in one buffer and leave with one write at the end of the loop turn.
import type { Channel } from '#base/port/network'
import type { RetainedMessage } from '#contract/client/meta-client'
import type { RecordBatch, RecordCursor } from '#contract/record/record-batch'
import type { Congestible } from '../../network/backpressure.ts'
import type { Flushable } from '../../network/flush-queue.ts'
import {
  type AckType,
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

/** The connection, as far as its sending half may end it. */
interface Ending {
  disconnect(reasonCode: number): void
  takenOver(): void
  fail(error: unknown): void
}

/** What CONNACK says of this connection; members are absent where the client got what it asked for. */
export interface ConnackTerms {
  readonly assignedClientId: string | undefined
  readonly sessionExpirySeconds: number | undefined
  readonly serverKeepAliveSeconds: number | undefined
}

/** Output queued for a connection beyond which messages that can wait in the log do so. */
const ROOMY_BYTES_MAX = 1024 * 1024
/** Output of one connection that is written before the loop turn ends. */
const TURN_BYTES_MAX = 256 * 1024
const RECEIVE_MAXIMUM_DEFAULT = 65_535

export class Outgoing implements Link, Flushable, Congestible {
  readonly #context: BrokerContext
  readonly #channel: Channel
  readonly #ending: Ending
  readonly #writer = new PacketWriter()
  #version: ProtocolVersion = 4
  #sizeMax = PACKET_SIZE_UNLIMITED
  #waiting = false
  #finished = false
  /** Bytes that the transport had not taken at the last flush. */
  #queuedBytes = 0
  /** The client took longer than others should wait for. */
  #slow = false

  constructor(context: BrokerContext, channel: Channel, ending: Ending) {
    this.#context = context
    this.#channel = channel
    this.#ending = ending
  }

  /** Known from CONNECT. `sizeMax`: largest packet that the client accepts. */
  setDialect(version: ProtocolVersion, sizeMax: number): void {
    this.#version = version
    this.#sizeMax = sizeMax
  }

  get writable(): boolean {
    return !this.#finished && this.#queuedBytes + this.#writer.size < this.#context.config.writeQueueBytes
  }

  get roomy(): boolean {
    return !this.#finished && this.#queuedBytes + this.#writer.size < ROOMY_BYTES_MAX
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
  ): boolean {
    const publish = this.#fromRecord(batch, cursor, qos, packetId, duplicate, retain, identifiers)
    if (!this.#writer.publish(this.#version, publish, this.#sizeMax)) return this.#tooLarge()
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
  ): Buffer | undefined {
    return this.#encode(this.#fromRecord(batch, cursor, qos, packetId, duplicate, retain, identifiers))
  }

  encodeRetained(message: RetainedMessage, qos: number, packetId: number, identifiers: readonly number[]): Buffer | undefined {
    const publish = this.#context.outgoingPublish
    publish.topic = this.#context.topicBytes.of(message.topic)
    publish.qos = qos
    publish.packetId = packetId
    publish.dup = false
    publish.retain = true
    publish.identifiers = identifiers
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
  ): OutgoingPublish {
    const publish = this.#context.outgoingPublish
    publish.topic = this.#context.topicBytes.of(batch.topics[cursor.topic] as string)
    publish.qos = qos
    publish.packetId = packetId
    publish.dup = duplicate
    publish.retain = retain
    publish.identifiers = identifiers
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

  sendSuback(packetId: number, reasonCodes: readonly number[]): void {
    this.sendBytes(encodeSuback(this.#version, packetId, reasonCodes, {}, this.#sizeMax))
  }

  sendUnsuback(packetId: number, reasonCodes: readonly number[]): void {
    this.sendBytes(encodeUnsuback(this.#version, packetId, reasonCodes, {}, this.#sizeMax))
  }

  sendConnack(present: boolean, terms: ConnackTerms): void {
    const { config } = this.#context
    const properties = {
      assignedClientId: terms.assignedClientId,
      sessionExpirySeconds: terms.sessionExpirySeconds,
      keepAliveSeconds: terms.serverKeepAliveSeconds,
      receiveMaximum: config.receiveMaximum === RECEIVE_MAXIMUM_DEFAULT ? undefined : config.receiveMaximum,
      maximumQos: config.maxQos === 2 ? undefined : (config.maxQos as 0 | 1),
      retainAvailable: config.retainAvailable ? undefined : false,
      maximumPacketSize: config.maxPacketSize,
      topicAliasMaximum: config.topicAliasMaximum === 0 ? undefined : config.topicAliasMaximum,
      sharedAvailable: false,
    }
    this.sendBytes(encodeConnack(this.#version, present, 0, properties, this.#sizeMax))
  }

  /** CONNACK of a connection that is not accepted. */
  sendRefusal(reasonCode: number): void {
    this.sendBytes(encodeConnack(this.#version, false, reasonCode, {}, this.#sizeMax))
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
    this.#channel.write(this.#writer.take())
    this.#queuedBytes = this.#channel.queuedBytes()
    if (this.#queuedBytes > ROOMY_BYTES_MAX && !this.#slow) this.#context.backpressure.relieve(this)
  }

  drained(): void {
    this.#queuedBytes = 0
    this.#slow = false
  }

  get congested(): boolean {
    if (this.#queuedBytes > ROOMY_BYTES_MAX) this.#queuedBytes = this.#channel.queuedBytes()
    return this.#queuedBytes > ROOMY_BYTES_MAX
  }

  markSlow(): void {
    this.#slow = true
  }

  /** Hands over what there is; nothing is sent after it. */
  finish(): void {
    this.flush()
    this.#finished = true
    this.#context.backpressure.forget(this)
  }

  /** The peer is gone: nothing is sent any more. */
  discard(): void {
    this.#finished = true
    this.#writer.take()
    this.#context.backpressure.forget(this)
  }

  takenOver(): void {
    this.#ending.takenOver()
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
