// SPDX-License-Identifier: Apache-2.0
// What this node says to the others in one turn: collected by peer and class of traffic, and sent as one frame each, so that the heartbeats of all
// groups to a peer cost one frame (M5).
import { assertNever } from '#base/assert'
import type { PeerTransport, TrafficClass } from '#base/port/peer-transport'
import type { NodeId } from '../core/message.ts'
import { encodeFrame } from '../wire/message-codec.ts'
import type { PeerMessage } from '../wire/peer-message.ts'

/** A frame is closed at about this size, so that no receiver is held up by one. */
const FRAME_BYTES = 1 << 20

interface Envelope {
  messages: PeerMessage[]
  bytes: number
}

export class Outbox {
  readonly #transport: PeerTransport
  readonly #control = new Map<NodeId, Envelope>()
  readonly #append = new Map<NodeId, Envelope>()

  constructor(transport: PeerTransport) {
    this.#transport = transport
  }

  push(to: NodeId, message: PeerMessage): void {
    const bytes = bulkBytes(message)
    const traffic = bytes === 0 ? 'control' : 'append'
    const envelopes = traffic === 'control' ? this.#control : this.#append
    let envelope = envelopes.get(to)
    if (envelope === undefined) {
      envelope = { messages: [], bytes: 0 }
      envelopes.set(to, envelope)
    }
    envelope.messages.push(message)
    envelope.bytes += bytes
    if (envelope.bytes >= FRAME_BYTES) {
      envelopes.delete(to)
      this.#send(to, traffic, envelope)
    }
  }

  /** Sends everything pushed since the last call. */
  flush(): void {
    this.#flush('control', this.#control)
    this.#flush('append', this.#append)
  }

  #flush(traffic: TrafficClass, envelopes: Map<NodeId, Envelope>): void {
    for (const [to, envelope] of envelopes) this.#send(to, traffic, envelope)
    envelopes.clear()
  }

  #send(to: NodeId, traffic: TrafficClass, { messages }: Envelope): void {
    this.#transport.send(to, traffic, encodeFrame(messages))
  }
}

/** Above zero for what carries entries or commands: it travels apart from what elections and reads depend on (R17). */
function bulkBytes(message: PeerMessage): number {
  switch (message.kind) {
    case 'proposeRequest':
      return message.data.length + 1
    case 'consensus': {
      if (message.message.kind !== 'appendRequest') return 0
      let bytes = 1
      for (const entry of message.message.entries) bytes += entry.data.length
      return bytes
    }
    case 'proposeResponse':
    case 'readRequest':
    case 'readResponse':
    case 'stateHash':
      return 0
    default:
      return assertNever(message)
  }
}
