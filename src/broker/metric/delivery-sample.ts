// SPDX-License-Identifier: Apache-2.0
// Follows one message of a session at a time from its publication to its acknowledgement: a sample for each round trip, whatever the number of messages.
import type { RecordBatch, RecordCursor } from '#contract/record/record-batch'

export interface DelayObserver {
  /** `publishedMs`: ms since 1970. */
  observe(clientId: string, topic: string, qos: number, publishedMs: number): void
}

/** Of messages at QoS 0, one in so many is a sample: a power of two. */
const QOS0_EVERY = 64
const NONE = 0

export class DeliverySample {
  readonly #observer: DelayObserver
  readonly #clientId: string
  /** What waited for the client counts from its return: it is not slow for having been away. */
  readonly #connectedMs: number
  #packetId = NONE
  #qos = 0
  #topic = ''
  #publishedMs = 0
  #handed = 0

  constructor(observer: DelayObserver, clientId: string, connectedMs: number) {
    this.#observer = observer
    this.#clientId = clientId
    this.#connectedMs = connectedMs
  }

  /** A message of QoS 1 or 2 was sent. */
  sent(packetId: number, qos: number, batch: RecordBatch, cursor: RecordCursor): void {
    if (this.#packetId !== NONE) return
    this.#packetId = packetId
    this.#qos = qos
    this.#topic = batch.topics[cursor.topic] as string
    this.#publishedMs = Math.max(batch.appendTimeMs, this.#connectedMs)
  }

  /** A message of QoS 0 was written. */
  handed(batch: RecordBatch, cursor: RecordCursor): void {
    this.#handed = (this.#handed + 1) % QOS0_EVERY
    if (this.#handed !== 0) return
    this.#observer.observe(this.#clientId, batch.topics[cursor.topic] as string, 0, Math.max(batch.appendTimeMs, this.#connectedMs))
  }

  /** The client has finished a message. */
  acknowledged(packetId: number): void {
    if (packetId !== this.#packetId) return
    this.#packetId = NONE
    this.#observer.observe(this.#clientId, this.#topic, this.#qos, this.#publishedMs)
  }

  /** A message is finished without the client. */
  forget(packetId: number): void {
    if (packetId === this.#packetId) this.#packetId = NONE
  }
}
