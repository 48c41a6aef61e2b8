// SPDX-License-Identifier: Apache-2.0
// A member of a shared group: takes its seat, acknowledges what comes, leaves and comes back, and settles down when told to.
import type { ShareChecker } from '../checker/share-checker.ts'
import type { Qos } from '../client-observer.ts'
import type { MqttClient } from '../mqtt-client.ts'
import type { SimRandom } from '../random.ts'
import type { World } from '../world.ts'

export interface WorkerOptions {
  readonly qos: Qos
  /** Keeps its session and its subscription for the whole run. */
  readonly keeper: boolean
  /** Mean time between two departures; undefined for a worker that never leaves by itself. */
  readonly leavesMs: number | undefined
}

const RECONNECT_MS = 600
const WATCH_MS = 300

export class WorkerActor {
  readonly client: MqttClient
  readonly #world: World
  readonly #random: SimRandom
  readonly #checker: ShareChecker
  readonly #options: WorkerOptions
  #settling = false

  constructor(world: World, random: SimRandom, client: MqttClient, checker: ShareChecker, options: WorkerOptions) {
    this.client = client
    this.#world = world
    this.#random = random
    this.#checker = checker
    this.#options = options
    this.#later(random.fraction() * RECONNECT_MS)
  }

  /** From now on: be there, and take what comes. */
  settle(): void {
    this.#settling = true
  }

  get settled(): boolean {
    return this.client.state === 'online' && this.client.ready && this.client.isSubscribed(this.#checker.name)
  }

  #later(delayMs: number): void {
    this.#world.schedule('client', undefined, delayMs, () => this.#act())
  }

  #act(): void {
    const { client } = this
    const { leavesMs, keeper } = this.#options
    if (client.state === 'offline') {
      const cleanStart = !keeper && !this.#settling && this.#random.chance(0.2)
      client.connect(cleanStart, undefined)
    } else if (client.state === 'online' && client.ready && !client.isSubscribed(this.#checker.name)) {
      client.subscribe([{ filter: this.#checker.name, qos: this.#options.qos }])
    } else if (client.state === 'online' && !this.#settling && leavesMs !== undefined && this.#random.chance(WATCH_MS / leavesMs))
      this.#leave()
    this.#later(this.#random.delayMs(client.state === 'offline' ? RECONNECT_MS : WATCH_MS))
  }

  #leave(): void {
    const { client } = this
    const ways = ['disconnect', 'reset', 'vanish', 'takeover', ...(this.#options.keeper ? [] : ['unsubscribe'])] as const
    switch (this.#random.pick(ways)) {
      case 'disconnect':
        client.disconnect()
        break
      case 'reset':
        client.drop('reset')
        break
      case 'vanish':
        client.drop('vanish')
        break
      case 'takeover':
        client.connect(false, undefined)
        break
      default:
        client.unsubscribe([this.#checker.name])
    }
  }
}
