// SPDX-License-Identifier: Apache-2.0
// The simulated network: listeners of nodes, and connections of clients to them. How bytes travel is in connection.ts.
import { assert } from '#base/assert'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Channel, ChannelHandler, Listener, ListenOptions, Network } from '#base/port/network'
import { type ConnectionConditions, type Endpoint, SimConnection } from './connection.ts'
import { type Life, never } from './life.ts'
import type { SimRandom } from './random.ts'
import type { World } from './world.ts'

export interface NetworkConditions extends ConnectionConditions {
  /** Probability that the connections of a node that loses power stay half-open instead of being reset. */
  readonly halfOpenRatio: number
}

export interface ConnectCallbacks {
  /** The connection is there. Returns who is told what happens on it. */
  opened(endpoint: Endpoint): ChannelHandler
  /** Nobody listens. */
  refused(): void
}

interface Binding {
  readonly life: Life
  readonly accept: (channel: Channel) => ChannelHandler
}

export class SimNetwork {
  readonly #world: World
  readonly #random: SimRandom
  readonly #conditions: NetworkConditions
  readonly #bindings = new Map<number, Binding>()
  readonly #connections = new Set<SimConnection>()
  #dialled = 0

  constructor(world: World, random: SimRandom, conditions: NetworkConditions) {
    this.#world = world
    this.#random = random
    this.#conditions = conditions
  }

  /** Connections that are not closed on both sides. */
  get connectionCount(): number {
    return this.#connections.size
  }

  /** The port as one incarnation of a node sees it. */
  forLife(life: Life): Network {
    return { listener: (options) => new SimListener(this, life, options) }
  }

  connect(port: number, callbacks: ConnectCallbacks): void {
    this.#world.schedule('network', undefined, this.#random.delayMs(this.#conditions.delayMs), () => this.#arrive(port, callbacks))
  }

  /** The node's process is gone: its peers are reset, or, after a power loss, may hear nothing for long. */
  end(life: Life, powerLost: boolean): void {
    for (const [port, binding] of this.#bindings) if (binding.life === life) this.#bindings.delete(port)
    for (const connection of this.#connections) {
      if (connection.life === life) connection.serverLost(powerLost && this.#random.chance(this.#conditions.halfOpenRatio))
    }
  }

  /** False when the port is taken. */
  bind(port: number, binding: Binding): boolean {
    if (this.#bindings.has(port)) return false
    this.#bindings.set(port, binding)
    return true
  }

  unbind(port: number, life: Life): void {
    if (this.#bindings.get(port)?.life === life) this.#bindings.delete(port)
  }

  #arrive(port: number, callbacks: ConnectCallbacks): void {
    const binding = this.#bindings.get(port)
    if (binding === undefined) {
      callbacks.refused()
      return
    }
    const remote = `10.0.${(this.#dialled >> 8) & 0xff}.${this.#dialled & 0xff}:${20_000 + (this.#dialled % 40_000)}`
    this.#dialled++
    const forget = (): void => {
      this.#connections.delete(connection)
    }
    const connection: SimConnection = new SimConnection(this.#world, this.#random, this.#conditions, binding.life, remote, forget)
    this.#connections.add(connection)
    connection.client.accept(callbacks.opened(connection.client))
    // The system completes the connection; the process sees it when its turn comes.
    this.#world.schedule('network', binding.life, 0, () => {
      if (!connection.server.closed) connection.server.accept(binding.accept(connection.server))
    })
  }
}

class SimListener implements Listener {
  readonly address: string
  readonly #network: SimNetwork
  readonly #life: Life
  readonly #port: number

  constructor(network: SimNetwork, life: Life, options: ListenOptions) {
    this.#network = network
    this.#life = life
    assert(options.transport === 'tcp', 'the simulated network carries bare bytes only')
    this.#port = options.port
    this.address = `${options.host}:${options.port}`
  }

  start(accept: (channel: Channel) => ChannelHandler): Promise<void> {
    if (!this.#life.alive) return never()
    if (this.#network.bind(this.#port, { life: this.#life, accept })) return Promise.resolve()
    return Promise.reject(new PlatformError(ERROR_CODES.addressInUse, `listen on ${this.address}: another listener has it`))
  }

  stop(): Promise<void> {
    if (!this.#life.alive) return never()
    this.#network.unbind(this.#port, this.#life)
    return Promise.resolve()
  }

  setTls(): void {
    assert(false, 'a listener without TLS shows no certificates')
  }
}
