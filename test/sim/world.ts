// SPDX-License-Identifier: Apache-2.0
// The simulated world: pops the next virtual event, runs it, lets every promise job that follows from it run, then checks.
//
// One real `setImmediate` ends an event: it comes only when the promise and next-tick queues are empty, however long the
// chains of promises are (T2). It costs 0.8 microseconds, which is less than what an event does.
import { assert } from '#base/assert'
import { type EventKind, EventQueue, type EventRank, type WorldEvent } from './event-queue.ts'
import type { Life } from './life.ts'
import { Poison } from './poison.ts'
import { SimRandom } from './random.ts'
import { Trace } from './trace.ts'

/** An invariant of the system under test is broken, or the system threw where no caller was left to catch. */
export class SimFailure extends Error {
  override readonly name = 'SimFailure'
}

export interface WorldOptions {
  readonly seed: number
  /** Keep lines of what happens. */
  readonly recording?: boolean
  /** Run by itself whenever there are events, for test suites that await ports directly. Nothing is poisoned then. */
  readonly selfRunning?: boolean
}

export class World {
  readonly seed: number
  readonly random: SimRandom
  readonly trace: Trace
  readonly #queue = new EventQueue()
  readonly #ties: SimRandom
  readonly #checkers: (() => void)[] = []
  /** What was due for processes that stand still without an end in sight, in order. */
  readonly #parked = new Map<Life, WorldEvent[]>()
  readonly #selfRunning: boolean
  readonly #setImmediate = globalThis.setImmediate
  #nowUs = 0
  #sequence = 0
  #events = 0
  #eventLife: Life | undefined
  #running = false
  #failure: unknown
  #endedDuringEvent = false
  /** Installed again before the next event. */
  #lifted: Poison | undefined

  constructor(options: WorldOptions) {
    this.seed = options.seed
    this.random = new SimRandom(options.seed)
    this.trace = new Trace(options.recording ?? false)
    this.#ties = this.random.stream('scheduler')
    this.#selfRunning = options.selfRunning ?? false
  }

  /** Virtual time since the world began, whole microseconds. */
  get nowUs(): number {
    return this.#nowUs
  }

  get nowMs(): number {
    return this.#nowUs / 1000
  }

  /** Whose the last event was: only this process can have changed by it. Undefined when it was the world's own. */
  get eventLife(): Life | undefined {
    return this.#eventLife
  }

  /** Events run so far. */
  get events(): number {
    return this.#events
  }

  /** Puts `run` `delayMs` into the future. It is dropped if `life` has ended by then, and waits while `life` is paused. */
  schedule(kind: EventKind, life: Life | undefined, delayMs: number, run: () => void, rank: EventRank = 0): WorldEvent {
    assert(delayMs >= 0, 'nothing is scheduled in the past')
    const timeUs = this.#nowUs + Math.ceil(delayMs * 1000)
    const event: WorldEvent = { timeUs, rank, tie: this.#ties.uint32(), sequence: this.#sequence++, kind, life, run }
    this.#queue.push(event)
    if (this.#selfRunning && !this.#running) this.#startRunning()
    return event
  }

  /** A process that stood still without an end in sight goes on, with what it has missed. */
  resume(life: Life): void {
    life.pauseUntil(0)
    for (const event of this.#parked.get(life) ?? []) {
      event.timeUs = this.#nowUs
      this.#queue.push(event)
    }
    this.#parked.delete(life)
  }

  /** Runs after every event; throws when an invariant is broken. Must be cheap. */
  addChecker(check: () => void): void {
    this.#checkers.push(check)
  }

  /** Ends the run with a failure, whoever catches what. */
  fail(reason: unknown): void {
    this.#failure ??= reason
  }

  /** A process has just ended itself: what its remaining code rejects during this event has no reader. */
  processEnded(): void {
    this.#endedDuringEvent = true
  }

  /** Runs events until `done`, which is asked before each. Throws what failed. While it runs, a rejection that nobody handles is the world's. */
  async run(done: () => boolean): Promise<void> {
    const poison = new Poison()
    const onRejection = (reason: unknown): void => this.#rejected(reason)
    const others = process.listeners('unhandledRejection')
    process.removeAllListeners('unhandledRejection').on('unhandledRejection', onRejection)
    // What a microtask throws has no caller either. Node itself needs what is poisoned to go on after that.
    const onException = (reason: unknown): void => {
      poison.remove()
      this.#lifted = poison
      this.#rejected(reason)
    }
    process.on('uncaughtException', onException)
    poison.install()
    try {
      await this.#loop(done)
    } finally {
      poison.remove()
      process.off('unhandledRejection', onRejection)
      process.off('uncaughtException', onException)
      for (const other of others) process.on('unhandledRejection', other)
    }
  }

  /** Runs until `holds`, which is asked every `pollMs`. False when that takes longer than `limitMs`. */
  async reaches(limitMs: number, pollMs: number, holds: () => boolean): Promise<boolean> {
    const deadlineMs = this.nowMs + limitMs
    let outcome: 'holds' | 'late' | undefined
    const poll = (): void => {
      if (holds()) outcome = 'holds'
      else if (this.nowMs > deadlineMs) outcome = 'late'
      else this.schedule('check', undefined, pollMs, poll)
    }
    this.schedule('check', undefined, 0, poll)
    await this.run(() => outcome !== undefined)
    return outcome === 'holds'
  }

  /** Runs for a virtual duration. */
  runFor(durationMs: number): Promise<void> {
    let over = false
    this.schedule('check', undefined, durationMs, () => {
      over = true
    })
    return this.run(() => over)
  }

  /** Runs until the promise settles and returns its value. */
  async runUntil<T>(operation: Promise<T>): Promise<T> {
    let settled = false
    const finish = (): void => {
      settled = true
    }
    operation.then(finish, finish)
    await this.run(() => settled)
    return operation
  }

  async #loop(done: () => boolean): Promise<void> {
    assert(!this.#running, 'a world runs once at a time')
    this.#running = true
    try {
      await this.#turn()
      while (!done()) {
        this.#lifted?.install()
        this.#lifted = undefined
        const event = this.#queue.pop()
        if (event === undefined) throw new SimFailure('nothing will ever happen again, and the run is not done')
        if (this.#runEvent(event)) {
          await this.#turn()
          for (const check of this.#checkers) check()
        }
        if (this.#failure !== undefined) throw this.#failure
      }
    } finally {
      this.#running = false
    }
  }

  /** False when there was nothing to run. */
  #runEvent(event: WorldEvent): boolean {
    const run = event.run
    const life = event.life
    if (run === undefined || (life !== undefined && !life.alive)) return false
    if (life?.pausedUntilUs === Number.POSITIVE_INFINITY) {
      this.#park(life, event)
      return false
    }
    if (life !== undefined && life.pausedUntilUs > event.timeUs) {
      event.timeUs = life.pausedUntilUs
      this.#queue.push(event)
      return false
    }
    assert(event.timeUs >= this.#nowUs, 'virtual time never goes back')
    this.#nowUs = event.timeUs
    event.run = undefined
    this.#eventLife = life
    this.#events++
    this.#endedDuringEvent = false
    this.trace.mix(event.timeUs)
    this.trace.mix(event.kind.charCodeAt(0) * 256 + event.kind.length + (life?.node ?? 0) * 65_536)
    try {
      run()
    } catch (error) {
      this.#rejected(error)
    }
    return true
  }

  #park(life: Life, event: WorldEvent): void {
    const parked = this.#parked.get(life)
    if (parked === undefined) this.#parked.set(life, [event])
    else parked.push(event)
  }

  #rejected(reason: unknown): void {
    if (!this.#endedDuringEvent) this.fail(reason)
  }

  #turn(): Promise<void> {
    return new Promise((resolve) => {
      this.#setImmediate(resolve)
    })
  }

  #startRunning(): void {
    this.#running = true
    this.#setImmediate(() => {
      this.#running = false
      void this.#loop(() => this.#queue.size === 0)
    })
  }
}
