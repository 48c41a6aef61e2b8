// SPDX-License-Identifier: Apache-2.0
// Messages received and not yet answered. Answers leave in the order in which the messages came [MQTT-4.6.0-2], whatever the order in
// which their logs commit.

import { PACKET } from '../../protocol/mqtt/index.ts'

/** What an answer says; PENDING until the message is stored. */
const PENDING = -1
const NO_IDS = new Uint16Array(0)
const NO_TYPES = new Uint8Array(0)
const NO_REASONS = new Int16Array(0)

export class InboundWindow {
  // Nothing is allocated for a client that only listens.
  #mask = -1
  #packetIds = NO_IDS
  #types = NO_TYPES
  #reasons = NO_REASONS
  #head = 0
  #tail = 0
  #pubacks = 0

  /** Messages waiting for their answer. */
  get size(): number {
    return this.#tail - this.#head
  }

  /** Messages among them that count against the Receive Maximum until their PUBACK leaves. */
  get pubacks(): number {
    return this.#pubacks
  }

  /** Notes a message that will be answered by a packet of `type`. Returns the tag to settle it by. */
  push(packetId: number, type: number): number {
    if (this.#tail - this.#head > this.#mask) this.#grow()
    const slot = this.#tail & this.#mask
    this.#packetIds[slot] = packetId
    this.#types[slot] = type
    this.#reasons[slot] = PENDING
    if (type === PACKET.puback) this.#pubacks++
    return this.#tail++
  }

  settle(tag: number, reasonCode: number): void {
    this.#reasons[tag & this.#mask] = reasonCode
  }

  /** Whether the oldest message can be answered. */
  get ready(): boolean {
    return this.#head < this.#tail && this.#reasons[this.#head & this.#mask] !== PENDING
  }

  get packetId(): number {
    return this.#packetIds[this.#head & this.#mask] as number
  }

  get type(): number {
    return this.#types[this.#head & this.#mask] as number
  }

  get reasonCode(): number {
    return this.#reasons[this.#head & this.#mask] as number
  }

  /** Forgets the oldest message. */
  shift(): void {
    if (this.type === PACKET.puback) this.#pubacks--
    this.#head++
  }

  #grow(): void {
    const size = Math.max(16, (this.#mask + 1) * 2)
    const packetIds = new Uint16Array(size)
    const types = new Uint8Array(size)
    const reasons = new Int16Array(size)
    for (let at = this.#head; at < this.#tail; at++) {
      const from = at & this.#mask
      const to = at & (size - 1)
      packetIds[to] = this.#packetIds[from] as number
      types[to] = this.#types[from] as number
      reasons[to] = this.#reasons[from] as number
    }
    this.#mask = size - 1
    this.#packetIds = packetIds
    this.#types = types
    this.#reasons = reasons
  }
}
