// SPDX-License-Identifier: Apache-2.0
// Sessions whose client is away: their wills come due, and they expire. Kept by time in memory; meta decides in the end, because every
// write names the epoch, and a client that has come back has raised it.

import { messageOf } from '#base/error'
import { Heap } from '#base/heap'
import type { Clock, Timer } from '#base/port/clock'
import type { Logger } from '#base/port/logger'
import type { MetaClient } from '#contract/client/meta-client'
import { type BrokerIdentity, EXPIRY_NEVER, type Session, type SessionKey } from '#contract/record/session'
import type { ShardStore } from '#storage'
import type { WillPublisher } from './will.ts'

interface Due {
  readonly atMs: number
  readonly order: number
  readonly kind: 'will' | 'expiry'
  readonly session: Session
}

/** Timers are set at most this far ahead: the clock may be stepped meanwhile. */
const TIMER_MS_MAX = 60_000
const RETRY_MS = 1_000
const DONE = Object.freeze({ kind: 'done' })
const PAGE = 1_000

export class AwaySessions {
  readonly #meta: MetaClient
  readonly #store: Pick<ShardStore, 'forget'>
  readonly #wills: WillPublisher
  readonly #clock: Clock
  readonly #logger: Logger
  readonly #due = new Heap<Due>((a, b) => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order))
  /** Who is away, by session uid. A due whose session is not here any more, or is another one by now, is void. */
  readonly #away = new Map<number, Session>()
  #order = 0
  #timer: Timer | undefined
  #stopped = false
  #settling: Promise<void> = Promise.resolve()

  constructor(meta: MetaClient, store: Pick<ShardStore, 'forget'>, wills: WillPublisher, clock: Clock, logger: Logger) {
    this.#meta = meta
    this.#store = store
    this.#wills = wills
    this.#clock = clock
    this.#logger = logger
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

  /** The client is back: what was due for the earlier connection is not any more. */
  returned(uid: number): void {
    this.#away.delete(uid)
  }

  async #adopt(session: Session, identity: BrokerIdentity): Promise<void> {
    if (session.owner === undefined) return this.#wait(session)
    if (session.owner.node === identity.node && session.owner.bootEpoch < identity.bootEpoch) await this.leave(session, true)
  }

  async #wait(session: Session): Promise<void> {
    const { will, expirySeconds, disconnectedAtMs } = session
    this.#away.set(session.uid, session)
    const endsAtMs = expirySeconds === EXPIRY_NEVER ? Number.POSITIVE_INFINITY : disconnectedAtMs + expirySeconds * 1000
    // A will is due after its delay or at the end of the session, whichever comes first [MQTT-3.1.3-9].
    const willAtMs = will === undefined ? Number.POSITIVE_INFINITY : Math.min(disconnectedAtMs + will.delaySeconds * 1000, endsAtMs)
    const nowMs = this.#clock.realtime()
    if (willAtMs <= nowMs) await this.#settle({ atMs: willAtMs, order: 0, kind: 'will', session })
    else if (willAtMs !== Number.POSITIVE_INFINITY) this.#push(willAtMs, 'will', session)
    if (endsAtMs <= nowMs) await this.#settle({ atMs: endsAtMs, order: 0, kind: 'expiry', session })
    else if (endsAtMs !== Number.POSITIVE_INFINITY) this.#push(endsAtMs, 'expiry', session)
  }

  #push(atMs: number, kind: Due['kind'], session: Session): void {
    this.#due.push({ atMs, order: this.#order++, kind, session })
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
    this.#settling = this.#settleDue()
  }

  async #settleDue(): Promise<void> {
    const nowMs = this.#clock.realtime()
    const ready: Due[] = []
    for (let first = this.#due.peek(); first !== undefined && first.atMs <= nowMs; first = this.#due.peek()) {
      ready.push(first)
      this.#due.pop()
    }
    await Promise.all(ready.map((due) => this.#settle(due)))
    this.#arm()
  }

  async #settle(due: Due): Promise<void> {
    const { session } = due
    if (this.#away.get(session.uid) !== session) return
    try {
      if (due.kind === 'will' && session.will !== undefined) await this.#wills.publishHeld(session, session.will)
      if (due.kind === 'expiry') await this.#end(session)
    } catch (error) {
      this.#logger.log('warn', `the ${due.kind} of a session is due and could not be settled, trying again`, {
        client: session.clientId,
        error: messageOf(error),
      })
      this.#push(this.#clock.realtime() + RETRY_MS, due.kind, session)
    }
  }

  async #end(session: Session): Promise<void> {
    // A session that lives no longer than its connection was ended in meta when it was closed, or when its will was taken.
    const lives = session.expirySeconds > 0
    const ended = lives ? await this.#meta.endSession(session, session.uid, session.epoch) : DONE
    this.#away.delete(session.uid)
    if (ended.kind === 'fenced') return
    await this.#store.forget([session.uid])
  }
}
