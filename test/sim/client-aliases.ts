// SPDX-License-Identifier: Apache-2.0
// Topic aliases of one connection of a client, in both directions (MQTT 5 section 3.3.2.3.4).
import type { IPublishPacket } from 'mqtt-packet'
import { must } from '#base/assert'
import type { SimRandom } from './random.ts'
import { SimFailure } from './world.ts'

export class ClientAliases {
  readonly #client: string
  readonly #random: SimRandom
  /** Most aliases that the server may give. */
  readonly #inboundMax: number
  readonly #topics = new Map<number, string>()
  readonly #aliases = new Map<string, number>()
  /** Most aliases that this side gives: 0 before CONNACK. */
  #outboundMax = 0

  constructor(client: string, random: SimRandom, inboundMax: number) {
    this.#client = client
    this.#random = random
    this.#inboundMax = inboundMax
  }

  /** CONNACK has told what the server allows. */
  begin(outboundMax: number): void {
    this.#outboundMax = outboundMax
  }

  /** Names the topic by its alias where it has one. An alias may be given to another topic at any time. */
  outgoing(packet: IPublishPacket): IPublishPacket {
    if (this.#outboundMax === 0) return packet
    const known = this.#aliases.get(packet.topic)
    const { properties } = packet
    if (known !== undefined && this.#random.chance(0.8)) return { ...packet, topic: '', properties: { ...properties, topicAlias: known } }
    const alias = known ?? this.#random.range(1, this.#outboundMax)
    for (const [topic, other] of this.#aliases) if (other === alias) this.#aliases.delete(topic)
    this.#aliases.set(packet.topic, alias)
    return { ...packet, properties: { ...properties, topicAlias: alias } }
  }

  /** The topic that a PUBLISH of the server means. */
  incoming({ topic, properties }: IPublishPacket): string {
    const alias = properties?.topicAlias
    if (alias === undefined) return topic
    if (alias === 0 || alias > this.#inboundMax) this.#violated(`topic alias ${alias}, but ${this.#inboundMax} are allowed [MQTT-3.1.2-26]`)
    if (topic === '') {
      if (!this.#topics.has(alias)) this.#violated(`topic alias ${alias} has no meaning on this connection [MQTT-3.3.2-7]`)
      return must(this.#topics.get(alias), 'an alias that is known has a topic')
    }
    this.#topics.set(alias, topic)
    return topic
  }

  #violated(rule: string): never {
    throw new SimFailure(`server to ${this.#client}: ${rule}`)
  }
}
