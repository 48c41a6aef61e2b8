// SPDX-License-Identifier: Apache-2.0
// Topic aliases towards a client (MQTT 5 section 3.3.2.3.4): the first topics that are sent get one, until the client's maximum is reached.
import type { OutgoingPublish } from '../../protocol/mqtt/index.ts'

/** Aliases that one connection may cost memory for, however many the client allows. */
const ALIASES_MAX = 256
const BY_ALIAS = Buffer.alloc(0)

export class OutboundAliases {
  readonly #limit: number
  readonly #aliases = new Map<string, number>()
  /** Given out by the packet that is being written. */
  #fresh: string | undefined

  /** `maximum`: the client's Topic Alias Maximum [MQTT-3.1.2-26]. */
  constructor(maximum: number) {
    this.#limit = Math.min(maximum, ALIASES_MAX)
  }

  /** Names the topic of a packet by its alias, or gives it one. The packet must be sent before any other is asked for. */
  apply(publish: OutgoingPublish, topic: string): void {
    this.#fresh = undefined
    const known = this.#aliases.get(topic)
    if (known !== undefined) {
      publish.topicAlias = known
      publish.topic = BY_ALIAS
    } else if (this.#aliases.size < this.#limit) {
      publish.topicAlias = this.#aliases.size + 1
      this.#fresh = topic
    }
  }

  /** The packet has been written: the client knows the alias from now on. */
  sent(): void {
    if (this.#fresh !== undefined) this.#aliases.set(this.#fresh, this.#aliases.size + 1)
  }
}
