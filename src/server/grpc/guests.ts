// SPDX-License-Identifier: Apache-2.0
// Nodes that send frames here and are not known by an address yet: they are answered where they say they are, as long as they send. A replica that was
// away while members came and went learns who they are from its leader, which it can hear only if it can answer.
import type { NodeId } from '#base/port/peer-transport'

interface Guest {
  readonly address: string
  /** Streams of frames of it that are open. */
  streams: number
}

export class Guests {
  readonly #guests = new Map<NodeId, Guest>()
  readonly #onChange: () => void

  constructor(onChange: () => void) {
    this.#onChange = onChange
  }

  get addresses(): ReadonlyMap<NodeId, string> {
    return new Map([...this.#guests].map(([node, { address }]) => [node, address]))
  }

  /** A stream of it has begun. Gives what is to be called once when the stream is over. */
  enter(node: NodeId, address: string): () => void {
    const before = this.#guests.get(node)
    const guest = before?.address === address ? before : { address, streams: 0 }
    guest.streams++
    if (guest !== before) {
      this.#guests.set(node, guest)
      this.#onChange()
    }
    return () => {
      guest.streams--
      if (guest.streams > 0 || this.#guests.get(node) !== guest) return
      this.#guests.delete(node)
      this.#onChange()
    }
  }
}
