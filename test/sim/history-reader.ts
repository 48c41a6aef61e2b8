// SPDX-License-Identifier: Apache-2.0
// A client that reads what is stored, from a place on, with a subscription that replays (DESIGN D8).
import { ClientConnection } from './client-connection.ts'
import type { SimNetwork } from './network.ts'
import type { SimRandom } from './random.ts'
import { SimFailure, type World } from './world.ts'

/** A message with its place. What passes by without being stored has none, and is left out. */
export interface HistoryEntry {
  readonly topic: string
  readonly payload: string
  readonly offset: number
}

export interface HistoryReaderOptions {
  readonly port: number
  readonly filter: string
  readonly replayFrom: string
}

const CLIENT = 'history-reader'

export class HistoryReader {
  /** In the order of arrival. */
  readonly entries: HistoryEntry[] = []
  /** Whatever is read was sent after this. */
  readonly connectingSinceMs: number
  readonly #connection: ClientConnection
  #quietSinceMs: number | undefined

  constructor(world: World, network: SimNetwork, random: SimRandom, { port, filter, replayFrom }: HistoryReaderOptions) {
    this.connectingSinceMs = world.nowMs
    const options = { client: CLIENT, port, version: 5, keepAliveMs: 30_000 } as const
    const connection: ClientConnection = new ClientConnection(world, network, random, options, {
      opened: () =>
        connection.send({ cmd: 'connect', protocolId: 'MQTT', protocolVersion: 5, clientId: CLIENT, clean: true, keepalive: 30 }),
      packet: (packet) => {
        if (packet.cmd === 'connack') {
          const properties = { userProperties: { 'replay-from': replayFrom } }
          connection.send({ cmd: 'subscribe', messageId: 1, subscriptions: [{ topic: filter, qos: 1 }], properties })
        }
        if (packet.cmd === 'suback' || packet.cmd === 'publish') this.#quietSinceMs = world.nowMs
        if (packet.cmd !== 'publish') return
        if (packet.qos === 1) connection.send({ cmd: 'puback', messageId: packet.messageId ?? 0 })
        if (packet.retain)
          throw new SimFailure(`a replay brings retained messages in their place in history, without RETAIN: ${packet.topic}`)
        const offset = packet.properties?.userProperties?.['offset']
        if (offset === undefined) return
        this.entries.push({ topic: packet.topic, payload: packet.payload.toString(), offset: Number(offset) })
      },
      lost: (reason) => {
        throw new SimFailure(`the reader of history lost its connection: ${reason}`)
      },
    })
    this.#connection = connection
  }

  close(): void {
    this.#connection.drop('reset')
  }

  /** Virtual time at which the last message came; undefined before SUBACK. */
  quietSinceMs(): number | undefined {
    return this.#quietSinceMs
  }
}
