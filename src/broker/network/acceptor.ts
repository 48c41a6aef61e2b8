// SPDX-License-Identifier: Apache-2.0
// Accepts connections, within the node's limit.
import type { Channel, ChannelHandler, Listener } from '#base/port/network'

export class Acceptor {
  readonly #listeners: readonly Listener[]
  readonly #connectionsMax: number
  readonly #accept: (channel: Channel) => ChannelHandler
  readonly #refused: () => void
  #connections = 0

  /** `accept` makes the handler of a connection; `refused` is told of each one over the limit. The handler says when it is gone: `released`. */
  constructor(listeners: readonly Listener[], connectionsMax: number, accept: (channel: Channel) => ChannelHandler, refused: () => void) {
    this.#listeners = listeners
    this.#connectionsMax = connectionsMax
    this.#accept = accept
    this.#refused = refused
  }

  get connections(): number {
    return this.#connections
  }

  get addresses(): readonly string[] {
    return this.#listeners.map(({ address }) => address)
  }

  async start(): Promise<void> {
    for (const listener of this.#listeners) await listener.start((channel) => this.#take(channel))
  }

  async stop(): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener.stop()))
  }

  released(): void {
    this.#connections--
  }

  #take(channel: Channel): ChannelHandler {
    // Over the limit the cheapest thing is done: nothing is read, nothing is allocated for the client.
    if (this.#connections >= this.#connectionsMax) {
      this.#refused()
      channel.destroy()
      return CLOSED
    }
    this.#connections++
    return this.#accept(channel)
  }
}

const CLOSED: ChannelHandler = Object.freeze({
  onData: () => undefined,
  onDrain: () => undefined,
  onClose: () => undefined,
})
