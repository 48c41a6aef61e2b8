// SPDX-License-Identifier: Apache-2.0
// Stands for the broker of a node, and lives and dies with it: takes clients over whoever has them, writes for them with pauses in between, also when it has been displaced
// without knowing, and settles the wills and the ends of sessions whose client is away. It knows nothing but what meta answers.
import type { Component } from '#base/component'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Clock } from '#base/port/clock'
import type { MetaClient } from '#contract/client/meta-client'
import { type BrokerIdentity, type Cursor, EXPIRY_NEVER, type Session, type SessionKey, type Will } from '#contract/record/session'
import type { Life } from '../../life.ts'
import type { SimRandom } from '../../random.ts'
import type { World } from '../../world.ts'
import { HeldSession, type SessionKeeper } from './held-session.ts'
import type { SessionHabits } from './meta-configuration.ts'
import { bootEpochOf, type CallOutcome, type SessionAction, type SessionCall, type SessionLedger, taggedOwner } from './session-ledger.ts'

const TENANT = 'default'
const EXPIRY_SECONDS = [0, 2, 6, 3600, EXPIRY_NEVER] as const
const WILL_DELAY_SECONDS = [0, 1, 5] as const
const CLEAN_RATIO = 0.15
const WILL_RATIO = 0.6
const PAGE = 2

/** It was not done and will not be. */
const REFUSED: readonly unknown[] = [ERROR_CODES.notLeader, ERROR_CODES.notReady, ERROR_CODES.proposalDropped, ERROR_CODES.stopping]

export class SessionBroker implements Component, SessionKeeper {
  readonly name = 'sessions'
  readonly life: Life
  readonly random: SimRandom
  readonly habits: SessionHabits
  readonly ledger: SessionLedger
  readonly #world: World
  readonly #clock: Clock
  readonly #meta: MetaClient
  #identity: BrokerIdentity | undefined
  #stopped = false
  #open = 0

  constructor(world: World, random: SimRandom, life: Life, clock: Clock, meta: MetaClient, ledger: SessionLedger, habits: SessionHabits) {
    this.#world = world
    this.random = random
    this.life = life
    this.#clock = clock
    this.#meta = meta
    this.ledger = ledger
    this.habits = habits
  }

  /** A node serves although its broker cannot be told who is there. */
  async start(): Promise<void> {
    void this.#begin()
  }

  async stop(): Promise<void> {
    this.rest()
  }

  /** Begins nothing any more. */
  rest(): void {
    this.#stopped = true
  }

  get stopped(): boolean {
    return this.#stopped
  }

  /** It has nothing under way. */
  get idle(): boolean {
    return this.#stopped && this.#open === 0
  }

  get ready(): boolean {
    return this.#identity !== undefined && !this.#stopped && this.life.alive
  }

  now(): number {
    return this.#clock.realtime()
  }

  /** Takes a client over. */
  async visit(clientId: string, cleanStart: boolean): Promise<void> {
    const identity = this.#identity
    if (identity === undefined) return
    const { ledger, random } = this
    const tag = ledger.nextTag()
    const will = random.chance(WILL_RATIO) ? willOf(tag, random.pick(WILL_DELAY_SECONDS)) : undefined
    const owner = taggedOwner(identity, tag)
    const expirySeconds = random.pick(EXPIRY_SECONDS)
    const request = { tenant: TENANT, clientId, owner, cleanStart, expirySeconds, will, nowMs: this.now() }
    const opening = ledger.opening(tag, request, this.#world.nowMs)
    const told = await this.#tried(() => this.#meta.openSession(request))
    if (typeof told === 'string') return
    ledger.told(opening, told, this.#world.nowMs)
    new HeldSession(this, told.session).begin()
  }

  async write({ clientId, uid, epoch }: Session, action: SessionAction): Promise<CallOutcome> {
    const call = this.ledger.call(clientId, epoch, action, this.#world.nowMs)
    call.outcome = await this.#tried(() => this.#ask({ tenant: TENANT, clientId }, uid, call))
    if (call.outcome !== 'unknown') call.returned = this.#world.nowMs
    return call.outcome
  }

  async saveCursor({ uid, epoch }: Session, cursor: Cursor): Promise<void> {
    const saving = this.ledger.saving(uid, epoch, cursor, this.#world.nowMs)
    saving.outcome = await this.#tried(async () => {
      await this.#meta.saveCursors([{ uid, epoch, cursors: [cursor] }])
      return 'done' as const
    })
    if (saving.outcome !== 'unknown') saving.returned = this.#world.nowMs
  }

  /** In the life of the node, unless the broker rests by then. */
  later(delayMs: number, act: () => Promise<void>): void {
    this.#world.schedule('client', this.life, delayMs, () => {
      if (!this.#stopped) void act()
    })
  }

  /** The client is away: what becomes due meanwhile is settled, unless somebody has taken the session over. */
  settle(session: Session): void {
    const { will, expirySeconds, disconnectedAtMs } = session
    const endsInMs = expirySeconds === EXPIRY_NEVER ? Number.POSITIVE_INFINITY : disconnectedAtMs + expirySeconds * 1000 - this.now()
    if (will !== undefined) {
      const dueInMs = Math.min(endsInMs, disconnectedAtMs + will.delaySeconds * 1000 - this.now())
      this.later(Math.max(0, dueInMs), async () => {
        await this.write(session, { kind: 'takeWill' })
      })
    }
    if (expirySeconds > 0 && endsInMs !== Number.POSITIVE_INFINITY) {
      this.later(Math.max(0, endsInMs), async () => {
        // The clock may have been set meanwhile.
        if (disconnectedAtMs + expirySeconds * 1000 <= this.now()) await this.write(session, { kind: 'end' })
      })
    }
  }

  /** As a broker does when it starts: sessions of an earlier life of it have lost their connection, and those of nobody wait. */
  async #begin(): Promise<void> {
    const { life, habits } = this
    const identity = await this.#tried(() => this.#meta.registerNode(life.node, this.now()))
    if (typeof identity === 'string') return
    this.#identity = identity
    for (const session of await this.#list()) {
      if (session.owner === undefined) this.settle(session)
      else if (session.owner.node === life.node && bootEpochOf(session.owner) < identity.bootEpoch) await this.leave(session, true)
    }
    this.later(this.random.delayMs(habits.visitMs), () => this.#act())
  }

  async leave(session: Session, keepWill: boolean, expirySeconds = session.expirySeconds): Promise<void> {
    const nowMs = this.now()
    const outcome = await this.write(session, { kind: 'close', nowMs, expirySeconds, keepWill })
    if (outcome !== 'done') return
    this.settle({ ...session, owner: undefined, disconnectedAtMs: nowMs, expirySeconds, will: keepWill ? session.will : undefined })
  }

  async #act(): Promise<void> {
    const { random, habits } = this
    const clientId = clientOf(random.range(0, habits.clients - 1))
    // Nobody waits for it: a broker has many clients at once.
    if (random.chance(habits.listRatio)) void this.#list()
    else void this.visit(clientId, random.chance(CLEAN_RATIO))
    this.later(random.delayMs(habits.visitMs), () => this.#act())
  }

  /** None when they could not be read. */
  async #list(): Promise<readonly Session[]> {
    const called = this.#world.nowMs
    const sessions: Session[] = []
    for (let after: SessionKey | undefined; ; after = sessions.at(-1)) {
      const page = await this.#tried(() => this.#meta.sessions(after, PAGE))
      if (typeof page === 'string') return []
      if (page.length === 0) break
      sessions.push(...page)
    }
    this.ledger.listings.push({ called, returned: this.#world.nowMs, sessions })
    return sessions
  }

  async #ask(key: SessionKey, uid: number, call: SessionCall): Promise<'done' | 'fenced'> {
    const meta = this.#meta
    const { epoch, action } = call
    switch (action.kind) {
      case 'subscriptions': {
        const added = [...action.set].filter(([, identifier]) => identifier > 0)
        if (added.length === 0) return (await meta.unsubscribe(key, epoch, [...action.set.keys()])).kind
        const subscriptions = added.map(([filter, identifier]) => ({ ...PLAIN, filter, identifier }))
        return (await meta.subscribe(key, epoch, subscriptions)).kind
      }
      case 'close': {
        const { nowMs, expirySeconds, keepWill } = action
        return (await meta.closeSession({ ...key, epoch, nowMs, expirySeconds, keepWill })).kind
      }
      case 'takeWill':
        call.will = await meta.takeWill(key, uid, epoch)
        return call.will === undefined ? 'fenced' : 'done'
      case 'end':
        return (await meta.endSession(key, uid, epoch)).kind
    }
  }

  async #tried<T>(call: () => Promise<T>): Promise<T | 'refused' | 'unknown'> {
    this.#open++
    try {
      return await call()
    } catch (error) {
      if (isPlatformError(error, ERROR_CODES.outcomeUnknown)) return 'unknown'
      if (!isPlatformError(error) || !REFUSED.includes(error.code)) this.#world.fail(error)
      return 'refused'
    } finally {
      this.#open--
    }
  }
}

export const clientOf = (at: number): string => `client-${at + 1}`

const PLAIN = { qos: 1, noLocal: false, retainAsPublished: false, since: [] } as const

const willOf = (tag: number, delaySeconds: number): Will => ({
  topic: 'will',
  qos: 1,
  retain: false,
  payload: Buffer.from(String(tag)),
  headers: Buffer.alloc(0),
  delaySeconds,
  messageExpirySeconds: undefined,
})
