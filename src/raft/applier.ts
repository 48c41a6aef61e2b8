// SPDX-License-Identifier: Apache-2.0
// Gives committed entries to a state machine: in order, one call at a time, in pages of bounded size, from memory or from the log store.
import { assert } from '#base/assert'
import { errorOf, messageOf, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { CommittedPage } from './core/log.ts'
import type { Entry, GroupId, LogIndex } from './core/message.ts'
import type { LogStore } from './log-store.ts'
import type { StateMachine } from './state-machine.ts'

export interface ApplierOptions {
  readonly id: GroupId
  /** Most bytes of one call of the state machine. */
  readonly bytesMax: number
  /** What is to be applied next: the same until `applied` is told of it. */
  readonly next: () => CommittedPage | undefined
  readonly appliedIndex: () => LogIndex
  readonly applied: (entries: readonly Entry[], replies: readonly unknown[]) => void
  /** Called when a call of the state machine that took longer than its turn has been followed by all that could be. */
  readonly settled: () => void
  readonly crash: (reason: Error) => void
}

export class Applier {
  readonly #machine: StateMachine
  readonly #store: LogStore
  readonly #options: ApplierOptions
  /** Nothing is applied after a failure. 'suspended' while a snapshot takes the place of the state. */
  #state: 'idle' | 'applying' | 'suspended' | 'halted' = 'idle'

  constructor(machine: StateMachine, store: LogStore, options: ApplierOptions) {
    this.#machine = machine
    this.#store = store
    this.#options = options
  }

  get isIdle(): boolean {
    return this.#state === 'idle'
  }

  get isSuspended(): boolean {
    return this.#state === 'suspended'
  }

  get isHalted(): boolean {
    return this.#state === 'halted'
  }

  /** Applies all that it can in this turn. */
  run(): void {
    while (this.#state === 'idle') {
      const page = this.#options.next()
      if (page === undefined) break
      if (page.kind === 'held') this.#apply(page.entries)
      else this.#replay(page.from, page.to)
    }
  }

  suspend(): void {
    assert(this.#state === 'idle', 'a state machine is taken over between two calls')
    this.#state = 'suspended'
  }

  resume(): void {
    assert(this.#state === 'suspended', 'only what was suspended is resumed')
    this.#state = 'idle'
  }

  halt(): void {
    this.#state = 'halted'
  }

  #apply(entries: readonly Entry[]): void {
    this.#state = 'applying'
    let replies: readonly unknown[] | Promise<readonly unknown[]>
    try {
      replies = this.#machine.apply(entries)
    } catch (error) {
      this.#options.crash(this.#applyError(error))
      return
    }
    if (replies instanceof Promise) this.#applyLater(entries, replies)
    else this.#applied(entries, replies)
  }

  #applyLater(entries: readonly Entry[], later: Promise<readonly unknown[]>): void {
    later
      .then(
        (replies) => {
          if (this.#state === 'halted') return
          this.#applied(entries, replies)
          this.#goOn()
        },
        (error: unknown) => this.#options.crash(this.#applyError(error)),
      )
      .catch((bug: Error) => this.#options.crash(bug))
  }

  /** A page that is no longer in memory: after a restart, or when the state machine is far behind. */
  #replay(from: LogIndex, to: LogIndex): void {
    this.#state = 'applying'
    this.#store
      .read(this.#options.id, from, to, this.#options.bytesMax)
      .then(
        (entries) => {
          if (this.#state === 'halted') return
          assert(entries[0]?.index === from, 'a read of the log begins where it was asked to')
          this.#apply(entries)
          this.#goOn()
        },
        (error: unknown) => this.#options.crash(errorOf(error)),
      )
      .catch((bug: Error) => this.#options.crash(bug))
  }

  #goOn(): void {
    this.run()
    this.#options.settled()
  }

  #applied(entries: readonly Entry[], replies: readonly unknown[]): void {
    assert(replies.length === entries.length, 'a state machine gives one reply for each entry')
    this.#state = 'idle'
    this.#options.applied(entries, replies)
  }

  /** A state machine that throws has met something no replica was prepared for: to go on would be to diverge (R53). */
  #applyError(error: unknown): Error {
    const { id } = this.#options
    const applied = this.#options.appliedIndex()
    const text = `the state machine of raft group ${id} failed after entry ${applied}: ${messageOf(error)}`
    return new PlatformError(ERROR_CODES.internal, text, { cause: error, detail: { group: id, applied } })
  }
}
