// SPDX-License-Identifier: Apache-2.0
// One user of the platform: connects, publishes, subscribes, disappears and comes back at random, and settles down when told to.
import type { Qos } from '../client-observer.ts'
import type { ActionWeights, WorkloadConfiguration } from '../configuration.ts'
import type { ClientSubscription, MqttClient, Will } from '../mqtt-client.ts'
import type { SimRandom } from '../random.ts'
import type { World } from '../world.ts'
import { drawFilter, type MessageSource } from './message-source.ts'

/** Mean time until a client that is offline connects again. */
const RECONNECT_MS = 400
/** Messages that a client has under way at most: beyond it, it waits for acknowledgements. */
const BACKLOG_MAX = 200
const STALL_MS_MAX = 3_000
const QOS: readonly Qos[] = [0, 1, 2]

export interface ActorOptions {
  /** Asked for after each start without a session, and never given up. */
  readonly steady: readonly ClientSubscription[]
  readonly publishes: boolean
  /** Never leaves by itself. */
  readonly faithful: boolean
  /** Never asks for a clean start. */
  readonly keepsSession: boolean
}

export class ClientActor {
  readonly client: MqttClient
  readonly #world: World
  readonly #random: SimRandom
  readonly #configuration: WorkloadConfiguration
  readonly #source: MessageSource
  readonly #options: ActorOptions
  readonly #filters = new Set<string>()
  #settling = false

  constructor(
    world: World,
    random: SimRandom,
    configuration: WorkloadConfiguration,
    client: MqttClient,
    source: MessageSource,
    options: ActorOptions,
  ) {
    this.#world = world
    this.#random = random
    this.#configuration = configuration
    this.client = client
    this.#source = source
    this.#options = options
    this.#later(random.fraction() * RECONNECT_MS)
  }

  /** From now on: connect, stay, and wait for what is under way. */
  settle(): void {
    this.#settling = true
  }

  /** Online, with nothing left to send. */
  get settled(): boolean {
    return this.client.state === 'online' && this.client.backlog === 0 && this.client.ready
  }

  #later(delayMs: number): void {
    this.#world.schedule('client', undefined, delayMs, () => this.#act())
  }

  #act(): void {
    const acts = this.client.state === 'online' && !this.#settling
    this.#later(this.#random.delayMs(acts ? this.#configuration.actionMs : RECONNECT_MS))
    if (this.client.state === 'offline') this.#connect(false)
    else if (this.client.state === 'online' && !this.#ensureSubscribed() && !this.#settling) this.#perform(this.#draw())
  }

  #connect(takeover: boolean): void {
    const { cleanStartRatio, willRatio } = this.#configuration
    const cleanStart = !this.#settling && !takeover && !this.#options.keepsSession && this.#random.chance(cleanStartRatio)
    const delaySeconds = this.#random.pick([0, 0, 1, 5])
    const will: Will | undefined = this.#random.chance(willRatio) ? { message: this.#source.will(), delaySeconds } : undefined
    this.client.connect(cleanStart, will)
  }

  /** Asks for the steady subscriptions that the session lacks. True when it had to. */
  #ensureSubscribed(): boolean {
    if (!this.client.ready) return true
    const missing = this.#options.steady.filter(({ filter }) => !this.client.isSubscribed(filter))
    if (missing.length > 0) this.client.subscribe(missing)
    return missing.length > 0
  }

  #draw(): keyof ActionWeights {
    const { weights } = this.#configuration
    const allowed = (Object.keys(weights) as (keyof ActionWeights)[]).filter((action) => this.#allows(action))
    let point = this.#random.fraction() * allowed.reduce((sum, action) => sum + weights[action], 0)
    for (const action of allowed) {
      point -= weights[action]
      if (point < 0) return action
    }
    return 'publish'
  }

  #allows(action: keyof ActionWeights): boolean {
    if (action === 'publish') return this.#options.publishes
    return !this.#options.faithful || action === 'subscribe' || action === 'stall'
  }

  #perform(action: keyof ActionWeights): void {
    switch (action) {
      case 'publish':
        this.#publish()
        break
      case 'subscribe':
        this.#subscribe()
        break
      case 'unsubscribe':
        this.#unsubscribe()
        break
      case 'disconnect':
        this.client.disconnect()
        break
      case 'reset':
      case 'vanish':
        this.client.drop(action)
        break
      case 'takeover':
        this.#connect(true)
        break
      case 'stall':
        this.client.stall(this.#random.fraction() * STALL_MS_MAX)
        break
    }
  }

  #publish(): void {
    if (!this.#options.publishes) return
    const count = this.#random.range(1, this.#configuration.burstMax)
    for (let at = 0; at < count && this.client.backlog < BACKLOG_MAX && !this.#source.exhausted; at++)
      this.client.publish(this.#source.next())
  }

  #subscribe(): void {
    const filter = drawFilter(this.#random, this.#configuration)
    const known = this.#options.steady.find((subscription) => subscription.filter === filter)
    if (known === undefined) this.#filters.add(filter)
    // A steady subscription may be asked for again, which brings its retained messages again.
    this.client.subscribe([known ?? { filter, qos: this.#random.pick(QOS) }])
  }

  #unsubscribe(): void {
    if (this.#filters.size === 0) return
    const filter = this.#random.pick([...this.#filters])
    this.#filters.delete(filter)
    this.client.unsubscribe([filter])
  }
}
