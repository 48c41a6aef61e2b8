// SPDX-License-Identifier: Apache-2.0
// The brokers of all nodes, one for each process, and what they have done.
import { must } from '#base/assert'
import type { Clock } from '#base/port/clock'
import type { MetaClient } from '#contract/client/meta-client'
import type { Life } from '../../life.ts'
import type { SimRandom } from '../../random.ts'
import type { World } from '../../world.ts'
import type { SessionHabits } from './meta-configuration.ts'
import { clientOf, SessionBroker } from './session-broker.ts'
import { SessionLedger } from './session-ledger.ts'

export class SessionWorkload {
  readonly ledger = new SessionLedger()
  readonly #world: World
  readonly #random: SimRandom
  readonly #habits: SessionHabits
  /** Of processes that run. */
  readonly #brokers = new Map<number, SessionBroker>()
  #resting = false

  constructor(world: World, random: SimRandom, habits: SessionHabits) {
    this.#world = world
    this.#random = random
    this.#habits = habits
  }

  /** The broker of a process that begins. */
  brokerFor(life: Life, clock: Clock, meta: MetaClient): SessionBroker {
    const random = this.#random.stream(`broker ${life.node}`)
    const broker = new SessionBroker(this.#world, random, life, clock, meta, this.ledger, this.#habits)
    if (this.#resting) broker.rest()
    this.#brokers.set(life.node, broker)
    return broker
  }

  /** How often each client was taken over. */
  visits(): readonly number[] {
    return this.#clients().map((clientId) => this.ledger.toldOf(clientId))
  }

  rest(): void {
    this.#resting = true
    for (const broker of this.#brokers.values()) broker.rest()
  }

  get idle(): boolean {
    return [...this.#brokers.values()].every((broker) => !broker.life.alive || broker.idle)
  }

  /** Takes every client over once more, so that it is seen what its last owner has left. */
  async visitAll(): Promise<void> {
    const brokers = [...this.#brokers.values()].filter(({ ready }) => ready)
    for (const clientId of this.#clients()) await must(brokers[0], 'a broker runs').visit(clientId, false)
  }

  #clients(): readonly string[] {
    return Array.from({ length: this.#habits.clients }, (_, at) => clientOf(at))
  }
}
