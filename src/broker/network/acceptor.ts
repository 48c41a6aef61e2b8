// SPDX-License-Identifier: Apache-2.0
// Accepts connections, within the limits of the node, of each listener and of each address, and no more in a second than can be served.
import { hostOf } from '#base/address'
import type { ListenerSettings } from '#base/config/listener'
import type { Clock } from '#base/port/clock'
import type { Channel, ChannelHandler } from '#base/port/network'
import type { Limit } from '../metric/operation-metrics.ts'
import type { ListenerSet } from './listener-set.ts'
import { RateLimit } from './rate-limit.ts'

export interface AcceptLimits {
  /** In a second; 0: no limit. */
  readonly maxConnectRate: number
  /** 0: no limit. */
  readonly connectionsPerIpMax: number
}

/** A connection that would have to wait for longer is turned away: its client has lost patience by then, or will soon. */
const WAIT_MS_MAX = 5_000

export class Acceptor {
  readonly #listeners: ListenerSet
  readonly #connectionsMax: number
  readonly #accept: (channel: Channel, listener: ListenerSettings) => ChannelHandler
  readonly #refused: (limit: Limit | undefined) => void
  readonly #limits: () => AcceptLimits
  readonly #clock: Clock
  readonly #rate: RateLimit
  readonly #counts = new Map<ListenerSettings, number>()
  /** Connections by address. */
  readonly #sources = new Map<string, number>()
  #connections = 0

  /** `accept` makes the handler of a connection; `refused` is told of each one over a limit, which has no name when it is one of the numbers of connections. The handler says when it is gone: `released`. */
  constructor(
    listeners: ListenerSet,
    connectionsMax: number,
    accept: (channel: Channel, listener: ListenerSettings) => ChannelHandler,
    refused: (limit: Limit | undefined) => void,
    limits: () => AcceptLimits,
    clock: Clock,
  ) {
    this.#listeners = listeners
    this.#connectionsMax = connectionsMax
    this.#accept = accept
    this.#refused = refused
    this.#limits = limits
    this.#clock = clock
    this.#rate = new RateLimit(clock)
  }

  get connections(): number {
    return this.#connections
  }

  start(): Promise<void> {
    return this.#listeners.start((channel, listener) => this.#take(channel, listener))
  }

  stop(): Promise<void> {
    return this.#listeners.stop()
  }

  released(channel: Channel, listener: ListenerSettings): void {
    const source = hostOf(channel.remote)
    const left = (this.#sources.get(source) ?? 0) - 1
    if (left > 0) this.#sources.set(source, left)
    else this.#sources.delete(source)
    this.#connections--
    this.#counts.set(listener, this.#countOf(listener) - 1)
  }

  #take(channel: Channel, listener: ListenerSettings): ChannelHandler {
    const count = this.#countOf(listener)
    // Over a limit the cheapest thing is done: nothing is read, nothing is allocated for the client.
    if (this.#connections >= this.#connectionsMax || count >= listener.connectionsMax) {
      return this.#refuse(channel, undefined)
    }
    const { maxConnectRate, connectionsPerIpMax } = this.#limits()
    const source = hostOf(channel.remote)
    const fromSource = this.#sources.get(source) ?? 0
    if (connectionsPerIpMax > 0 && fromSource >= connectionsPerIpMax) return this.#refuse(channel, 'connections_per_ip')
    const waitMs = this.#rate.take(1, maxConnectRate)
    if (waitMs > WAIT_MS_MAX) {
      this.#rate.take(-1, maxConnectRate)
      return this.#refuse(channel, 'connect_rate')
    }
    if (waitMs > 0) {
      // Nothing is read from it, so nothing is done for it.
      channel.pause()
      this.#clock.after(waitMs, () => channel.resume())
    }
    this.#sources.set(source, fromSource + 1)
    this.#connections++
    this.#counts.set(listener, count + 1)
    return this.#accept(channel, listener)
  }

  #refuse(channel: Channel, limit: Limit | undefined): ChannelHandler {
    this.#refused(limit)
    channel.destroy('tryLater')
    return CLOSED
  }

  #countOf(listener: ListenerSettings): number {
    return this.#counts.get(listener) ?? 0
  }
}

const CLOSED: ChannelHandler = Object.freeze({
  onData: () => undefined,
  onDrain: () => undefined,
  onClose: () => undefined,
})
