// SPDX-License-Identifier: Apache-2.0
// A session that a broker believes to own: subscriptions and cursors are written side by side, each in turn, with pauses in which another broker may take the session over.
import type { Cursor, Session } from '#contract/record/session'
import type { SimRandom } from '../../random.ts'
import type { SessionHabits } from './meta-configuration.ts'
import type { CallOutcome, SessionAction, SessionLedger } from './session-ledger.ts'

export const FILTERS = ['a/#', 'b/+', 'c'] as const
const LOGS = [1, 2] as const
const STEPS_MAX = 20
const IN_FLIGHT_MAX = 3
const CLOSE_RATIO = 0.7
const SUBSCRIBE_RATIO = 0.7
const SAME_EXPIRY_RATIO = 0.6
const KEEP_WILL_RATIO = 0.6
/** Of brokers that have been told of their displacement, how many write on all the same. */
const STUBBORN_RATIO = 0.3

/** The broker that it is with. */
export interface SessionKeeper {
  readonly random: SimRandom
  readonly habits: SessionHabits
  readonly ledger: SessionLedger
  write(session: Session, action: SessionAction): Promise<CallOutcome>
  saveCursor(session: Session, cursor: Cursor): Promise<void>
  leave(session: Session, keepWill: boolean, expirySeconds: number): Promise<void>
  later(delayMs: number, act: () => Promise<void>): void
}

export class HeldSession {
  readonly #broker: SessionKeeper
  readonly #session: Session
  #ended = false

  constructor(broker: SessionKeeper, session: Session) {
    this.#broker = broker
    this.#session = session
  }

  begin(): void {
    const { random } = this.#broker
    this.#pause(() => this.#writeSubscriptions(random.range(0, STEPS_MAX)))
    this.#pause(() => this.#writeCursors(random.range(0, STEPS_MAX)))
  }

  async #writeSubscriptions(left: number): Promise<void> {
    const { random, ledger } = this.#broker
    if (left === 0) return this.#end()
    const filters = random.chance(0.3) ? [...FILTERS] : [random.pick(FILTERS)]
    const subscribes = random.chance(SUBSCRIBE_RATIO)
    const set = new Map(filters.map((filter) => [filter, subscribes ? ledger.nextValue() : 0]))
    const outcome = await this.#broker.write(this.#session, { kind: 'subscriptions', set })
    if (outcome === 'fenced' && !random.chance(STUBBORN_RATIO)) this.#ended = true
    else this.#pause(() => this.#writeSubscriptions(left - 1))
  }

  /** Saves are not told that they come too late. */
  async #writeCursors(left: number): Promise<void> {
    const { random, ledger } = this.#broker
    if (left === 0) return
    const next = ledger.nextValue()
    const inFlight = Array.from({ length: random.range(0, IN_FLIGHT_MAX) }, (_, at) => ({
      position: next + at,
      packetId: random.range(1, 65_535),
      order: at,
      qos: random.pick([1, 2] as const),
      released: random.chance(0.2),
    }))
    await this.#broker.saveCursor(this.#session, { log: random.pick(LOGS), next, seen: next, inFlight })
    this.#pause(() => this.#writeCursors(left - 1))
  }

  /** The client goes; or its connection is gone, and the broker does not notice. */
  async #end(): Promise<void> {
    const { random } = this.#broker
    if (!random.chance(CLOSE_RATIO)) return
    const { expirySeconds } = this.#session
    const expiry = random.chance(SAME_EXPIRY_RATIO) ? expirySeconds : random.pick([0, 1, 3600])
    await this.#broker.leave(this.#session, random.chance(KEEP_WILL_RATIO), expiry)
    this.#ended = true
  }

  #pause(act: () => Promise<void>): void {
    const { random, habits } = this.#broker
    this.#broker.later(random.delayMs(habits.pauseMs), async () => {
      if (!this.#ended || random.chance(STUBBORN_RATIO)) await act()
    })
  }
}
