// SPDX-License-Identifier: Apache-2.0
// A client that reads all retained values, as a new subscriber sees them.
import { ClientConnection } from './client-connection.ts'
import type { SimNetwork } from './network.ts'
import type { SimRandom } from './random.ts'
import { SimFailure, type World } from './world.ts'

export class RetainedReader {
  readonly values = new Map<string, string>()
  /** Whatever is read was sent after this. */
  readonly connectingSinceMs: number
  readonly #connection: ClientConnection
  /** Virtual time at which the last value came; undefined before SUBACK. */
  #quietSinceMs: number | undefined

  constructor(world: World, network: SimNetwork, random: SimRandom, port: number, filter: string) {
    this.connectingSinceMs = world.nowMs
    const options = { client: 'retained-reader', port, version: 4, keepAliveMs: 30_000 } as const
    const connection: ClientConnection = new ClientConnection(world, network, random, options, {
      opened: () =>
        connection.send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 4, clientId: options.client, clean: true, keepalive: 30 }),
      packet: (packet) => {
        if (packet.cmd === 'connack') connection.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: filter, qos: 0 }] })
        if (packet.cmd === 'suback' || packet.cmd === 'publish') this.#quietSinceMs = world.nowMs
        if (packet.cmd !== 'publish') return
        if (!packet.retain) throw new SimFailure(`a retained value came without RETAIN [MQTT-3.3.1-8]: ${packet.topic}`)
        if (this.values.has(packet.topic)) throw new SimFailure(`two retained values of ${packet.topic} [MQTT-3.3.1-6]`)
        this.values.set(packet.topic, packet.payload.toString())
      },
      lost: (reason) => {
        throw new SimFailure(`the reader of retained values lost its connection: ${reason}`)
      },
    })
    this.#connection = connection
  }

  close(): void {
    this.#connection.drop('reset')
  }

  quietSinceMs(): number | undefined {
    return this.#quietSinceMs
  }
}
