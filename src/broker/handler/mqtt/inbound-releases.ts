// SPDX-License-Identifier: Apache-2.0
// QoS 2 messages of the client between PUBLISH and PUBREL, by packet id (MQTT 5 section 4.3.3).
import type { LogId } from '#contract/client/engine-client'

export interface InboundRelease {
  readonly log: LogId
  /** Published on this connection: counts against the Receive Maximum until PUBCOMP (section 4.9). */
  readonly counted: boolean
  stored: boolean
  /** PUBREL came before the message was stored: it is settled after it. */
  releasing: boolean
  /** Tags of repetitions that came before the first one was stored: each is answered too. */
  readonly repeated: number[]
}

export class InboundReleases {
  readonly #releases = new Map<number, InboundRelease>()
  #counted = 0

  /** Messages that count against the Receive Maximum. */
  get counted(): number {
    return this.#counted
  }

  get(packetId: number): InboundRelease | undefined {
    return this.#releases.get(packetId)
  }

  /** A message of this connection. */
  begin(packetId: number, log: LogId): void {
    this.#counted++
    this.#releases.set(packetId, { log, counted: true, stored: false, releasing: false, repeated: [] })
  }

  /** A message of an earlier connection, which its log remembers. */
  restore(packetId: number, log: LogId): void {
    this.#releases.set(packetId, { log, counted: false, stored: true, releasing: false, repeated: [] })
  }

  end(packetId: number): void {
    const release = this.#releases.get(packetId)
    if (release?.counted) this.#counted--
    this.#releases.delete(packetId)
  }
}
