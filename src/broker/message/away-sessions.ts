// SPDX-License-Identifier: Apache-2.0
// Sessions whose client is away: their wills come due, and they expire. Kept by time in memory; meta decides in the end, because every
// write names the epoch, and a client that has come back has raised it.
//
// A will leaves its session only by being published (Q13): what is due is settled before the session expires, and before its client is given a session again.

import { messageOf } from '#base/error'
import { Heap } from '#base/heap'
import type { Clock, Timer } from '#base/port/clock'
import type { Logger } from '#base/port/logger'
import type { MetaClient } from '#contract/client/meta-client'
import { type BrokerIdentity, EXPIRY_NEVER, type Session, type SessionKey, SHARE_TENANT, type Will } from '#contract/record/session'
import type { ShardStore } from '#storage'
import type { BrokerEvents } from './events.ts'
import type { ShareGroups } from './share-groups.ts'
import type { WillPublisher } from './will.ts'

/** Names its session and holds nothing of it: it may lie in the heap long after the client has come back. */
interface Due {
  readonly atMs: number
  readonly order: number
  readonly kind: 'will' | 'expiry'
  /** Of its session. */
  readonly name: string
  readonly epoch: number
}

/** Timers are set at most this far ahead: the clock may be stepped meanwhile. */
const TIMER_MS_MAX = 60_000
const RETRY_MS = 1_000
/** Dues that may be void before the heap is swept. */
const DUES_MIN = 1_000
const DONE = Object.freeze({ kind: 'done' })
const PAGE = 1_000

export class AwaySessions {
  readonly #meta: MetaClient
  readonly #store: Pick<ShardStore, 'forget'>
  readonly #wills: WillPublisher
  readonly #shares: Pick<ShareGroups, 'ending' | 'ended'>
  readonly #events: Pick<BrokerEvents, 'tell'>
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #due = new Heap<Due>((a, b) => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order))
  /** Who is away, with the will that is not yet published. A due whose session is not here any more, or has another epoch by now, is void. */
  readonly #away = new Map<string, Session>()
  /** Wills that are being published: whoever finds one due meanwhile waits for it. */
  readonly #publishing = new Map<Session, Promise<void>>()
  #order = 0
  #timer: Timer | undefined
  #stopped = false
  #settling: Promise<void> = Promise.resolve()

  constructor(
    meta: MetaClient,
    store: Pick<ShardStore, 'forget'>,
    wills: WillPublisher,
    shares: Pick<ShareGroups, 'ending' | 'ended'>,
    events: Pick<BrokerEvents, 'tell'>,
    clock: Clock,
    logger: Logger,
  ) {
    this.#meta = meta
    this.#store = store
    this.#wills = wills
    this.#shares = shares
    this.#events = events
    this.#clock = clock
    this.#logger = logger
  }

  /** Sessions that wait for their client. */
  get size(): number {
    return this.#away.size
  }

  /** Takes up what an earlier life of this node left: its open sessions have lost their connection now, the others go on waiting. */
  async start(identity: BrokerIdentity): Promise<void> {
    let after: SessionKey | undefined
    for (;;) {
      const page = await this.#meta.sessions(after, PAGE)
      await Promise.all(page.map((session) => this.#adopt(session, identity)))
      if (page.length < PAGE) return
      after = page[page.length - 1]
    }
  }

  async stop(): Promise<void> {
    this.#stopped = true
    this.#timer?.cancel()
    await this.#settling
  }

  /**
   * The connection of `session` is gone. Closes the session in meta and settles what is due at once: resolves when that is committed.
   * `keepWill` is false after a proper goodbye. False when another broker has taken the session over.
   */
  async leave(session: Session, keepWill: boolean): Promise<boolean> {
    const nowMs = this.#clock.realtime()
    const { tenant, clientId, epoch, expirySeconds } = session
    const written = await this.#meta.closeSession({ tenant, clientId, epoch, nowMs, expirySeconds, keepWill })
    if (written.kind === 'fenced') return false
    await this.#wait({ ...session, owner: undefined, disconnectedAtMs: nowMs, will: keepWill ? session.will : undefined })
    return true
  }

  /**
   * The client is about to be given a session, and a clean start ends the earlier one. Publishes the will that is due by that, or by `nowMs`. Were it left to
   * whoever finds it replaced in meta, a crash in between would lose it. Rejects when the will cannot be stored.
   */
  async settleBefore(key: SessionKey, cleanStart: boolean, nowMs: number): Promise<void> {
    const session = this.#away.get(nameOf(key))
    if (session?.will !== undefined && (cleanStart || willAtMs(session) <= nowMs)) await this.#publishWill(session, session.will)
  }

  /** The client is back: what was not yet due for the earlier connection will not be. */
  returned(key: SessionKey): void {
    this.#away.delete(nameOf(key))
  }

  async #adopt(session: Session, identity: BrokerIdentity): Promise<void> {
    if (session.tenant === SHARE_TENANT) return
    if (session.owner === undefined) return this.#wait(session)
    if (session.owner.node === identity.node && session.owner.bootEpoch < identity.bootEpoch) await this.leave(session, true)
  }

  async #wait(session: Session): Promise<void> {
    this.#away.set(nameOf(session), session)
    await this.#settleOrPush('will', willAtMs(session), session)
    await this.#settleOrPush('expiry', endsAtMs(session), session)
  }

  async #settleOrPush(kind: Due['kind'], atMs: number, session: Session): Promise<void> {
    if (atMs <= this.#clock.realtime()) await this.#settle(kind, nameOf(session), session.epoch)
    else if (atMs !== Number.POSITIVE_INFINITY) this.#push(atMs, kind, nameOf(session), session.epoch)
  }

  #push(atMs: number, kind: Due['kind'], name: string, epoch: number): void {
    if (this.#due.size > DUES_MIN + 4 * this.#away.size) this.#sweep()
    this.#due.push({ atMs, order: this.#order++, kind, name, epoch })
    this.#arm()
  }

  #arm(): void {
    this.#timer?.cancel()
    const first = this.#due.peek()
    if (first === undefined || this.#stopped) return
    const waitMs = Math.min(Math.max(first.atMs - this.#clock.realtime(), 0), TIMER_MS_MAX)
    this.#timer = this.#clock.after(waitMs, this.#fire)
  }

  readonly #fire = (): void => {
    const before = this.#settling
    this.#settling = this.#settleDue().then(() => before)
  }

  async #settleDue(): Promise<void> {
    const nowMs = this.#clock.realtime()
    const ready: Due[] = []
    for (let first = this.#due.peek(); first !== undefined && first.atMs <= nowMs; first = this.#due.peek()) {
      ready.push(first)
      this.#due.pop()
    }
    await Promise.all(ready.map(({ kind, name, epoch }) => this.#settle(kind, name, epoch)))
    this.#arm()
  }

  /** Lets go of dues that are void. */
  #sweep(): void {
    const live: Due[] = []
    for (let due = this.#due.pop(); due !== undefined; due = this.#due.pop()) {
      if (this.#away.get(due.name)?.epoch === due.epoch) live.push(due)
    }
    for (const due of live) this.#due.push(due)
  }

  async #settle(kind: Due['kind'], name: string, epoch: number): Promise<void> {
    const session = this.#away.get(name)
    if (session?.epoch !== epoch) return
    try {
      if (session.will !== undefined) await this.#publishWill(session, session.will)
      if (kind === 'expiry') await this.#end(session)
    } catch (error) {
      this.#logger.log('warn', `the ${kind} of a session is due and could not be settled, trying again`, {
        client: session.clientId,
        error: messageOf(error),
      })
      this.#push(this.#clock.realtime() + RETRY_MS, kind, name, epoch)
    }
  }

  #publishWill(session: Session, will: Will): Promise<void> {
    const known = this.#publishing.get(session)
    if (known !== undefined) return known
    const name = nameOf(session)
    const published = this.#wills
      .publishHeld(session, will)
      .then(() => {
        if (this.#away.get(name) === session) this.#away.set(name, { ...session, will: undefined })
      })
      .finally(() => this.#publishing.delete(session))
    this.#publishing.set(session, published)
    return published
  }

  async #end(session: Session): Promise<void> {
    // A session that lives no longer than its connection was ended in meta when it was closed, or when its will was taken.
    const lives = session.expirySeconds > 0
    await this.#shares.ending(session.clientId)
    const ended = lives ? await this.#meta.endSession(session, session.uid, session.epoch) : DONE
    const name = nameOf(session)
    if (this.#away.get(name)?.epoch === session.epoch) this.#away.delete(name)
    if (ended.kind === 'fenced') return
    if (lives) this.#events.tell('sessionExpired', session.clientId, {})
    this.#shares.ended([session.uid])
    await this.#store.forget([session.uid])
  }
}

/** Neither a tenant nor a client id has a NUL in it. */
const nameOf = ({ tenant, clientId }: SessionKey): string => `${tenant}\0${clientId}`

/** When the session of a client that is away ends; Infinity for never. */
const endsAtMs = ({ expirySeconds, disconnectedAtMs }: Session): number =>
  expirySeconds === EXPIRY_NEVER ? Number.POSITIVE_INFINITY : disconnectedAtMs + expirySeconds * 1000

/** A will is due after its delay or at the end of the session, whichever comes first [MQTT-3.1.3-9]; Infinity without one. */
const willAtMs = (session: Session): number =>
  session.will === undefined
    ? Number.POSITIVE_INFINITY
    : Math.min(session.disconnectedAtMs + session.will.delaySeconds * 1000, endsAtMs(session))
