// SPDX-License-Identifier: Apache-2.0
// Drives one group: hands the core's work to the write pipeline, applies what is committed, and answers who waited for it.
import { assert, must } from '#base/assert'
import { messageOf, PlatformError } from '#base/error'
import { ERROR_CODES, type ErrorCode } from '#base/error-code'
import { type Entry, type GroupId, type LogIndex, type NodeId, TERM_NONE, type Term } from './core/message.ts'
import { RaftCore, type RaftLimits, type RefusedReason } from './core/raft-core.ts'
import type { ReadNumber } from './core/read-index.ts'
import type { Ready } from './core/ready.ts'
import type { LogStore, RecoveredGroup } from './log-store.ts'
import { PendingProposals, type ProposalWaiter } from './pending-proposals.ts'
import type { StateMachine } from './state-machine.ts'

/** A replicated group, for those who write to it and read from it. */
export interface RaftGroup {
  readonly id: GroupId
  /** Whether this replica leads and has applied all entries of earlier terms. */
  readonly leads: boolean
  readonly term: Term
  readonly applied: LogIndex
  /**
   * Proposes a command, which must not change any more. The waiter is told once: at the earliest when the entry is durable and
   * applied, or at once when the proposal is refused.
   */
  propose(data: Buffer, waiter: ProposalWaiter): void
  /** Resolves when everything committed at the time of the call is applied. Rejects with notLeader, proposalDropped, notReady or stopping. */
  readIndex(): Promise<void>
}

export interface GroupOptions {
  readonly id: GroupId
  readonly node: NodeId
  readonly limits: RaftLimits
  /** Most bytes of one call of the state machine. */
  readonly applyBytesMax: number
  /** The group has something to write. */
  readonly schedule: (group: GroupDriver) => void
  readonly onRefused: () => void
  readonly crash: (reason: Error) => void
}

interface Watcher {
  readonly isDue: () => boolean
  readonly resolve: () => void
  readonly reject: (reason: Error) => void
}

export class GroupDriver implements RaftGroup {
  readonly #machine: StateMachine
  readonly #store: LogStore
  readonly #options: GroupOptions
  /** Undefined until the group is restored. */
  #core: RaftCore | undefined
  #inFlight: Ready | undefined
  /** One call of the state machine at a time; none after a failure. */
  #state: 'idle' | 'applying' | 'halted' = 'idle'
  #haltReason: Error | undefined
  #stopping = false
  readonly #proposals = new PendingProposals()
  readonly #reads = new Map<ReadNumber, { resolve: () => void; reject: (error: PlatformError) => void }>()
  #watchers: Watcher[] = []
  /** The term whose leadership the state machine was told of, or TERM_NONE. */
  #announcedTerm: Term = TERM_NONE
  /** The start of the log in the store. */
  #durableStart: LogIndex = 0

  constructor(machine: StateMachine, store: LogStore, options: GroupOptions) {
    this.#machine = machine
    this.#store = store
    this.#options = options
  }

  get id(): GroupId {
    return this.#options.id
  }

  get machine(): StateMachine {
    return this.#machine
  }

  get leads(): boolean {
    return this.#announcedTerm !== TERM_NONE
  }

  get term(): Term {
    return this.#core?.term ?? TERM_NONE
  }

  get applied(): LogIndex {
    return this.#core?.applied ?? 0
  }

  get needsTicks(): boolean {
    return this.#core?.needsTicks ?? false
  }

  propose(data: Buffer, waiter: ProposalWaiter): void {
    const core = this.#core
    if (core === undefined || this.#stopping) {
      this.#refuse(waiter, this.#unavailable())
      return
    }
    const outcome = core.propose(data)
    if (outcome.kind === 'refused') {
      this.#refuse(waiter, this.#refusal(outcome.reason))
      return
    }
    this.#proposals.add(outcome.index, outcome.term, waiter)
    this.#options.schedule(this)
  }

  readIndex(): Promise<void> {
    const core = this.#core
    if (core === undefined || this.#stopping) return Promise.reject(this.#unavailable())
    const outcome = core.readIndex()
    if (outcome.kind === 'refused') return Promise.reject(this.#refusal(outcome.reason))
    return new Promise((resolve, reject) => {
      this.#reads.set(outcome.read, { resolve, reject })
      this.#settleReads(core)
    })
  }

  /** Takes up where the log store and the state machine stand. What is committed above the state machine is applied from the log. */
  restore(recovered: RecoveredGroup, applied: LogIndex): void {
    assert(this.#core === undefined, 'a group is restored once')
    const { hardState, start, lastIndex } = recovered
    const { id, node, limits } = this.#options
    const stable = { term: (index: LogIndex): Term | undefined => this.#store.term(id, index) }
    this.#core = new RaftCore({ node, hardState, start, lastIndex, applied, stable, limits })
    this.#durableStart = start.index
    this.applyCommitted()
  }

  tick(): void {
    const core = this.#restored
    core.tick()
    if (core.hasReady()) this.#options.schedule(this)
  }

  collect(): Ready | undefined {
    const core = this.#restored
    if (!core.hasReady()) return undefined
    this.#inFlight = core.ready()
    return this.#inFlight
  }

  written(): void {
    const core = this.#restored
    const ready = must(this.#inFlight, 'only what was collected is written')
    this.#inFlight = undefined
    if (ready.start !== undefined) this.#durableStart = ready.start.index
    core.advance()
    if (core.hasReady()) this.#options.schedule(this)
  }

  applyCommitted(): void {
    const core = this.#restored
    while (this.#state === 'idle') {
      const page = core.nextCommitted(this.#options.applyBytesMax)
      if (page === undefined) break
      if (page.kind === 'held') this.#apply(core, page.entries)
      else this.#replay(core, page.from, page.to)
    }
    this.#look()
  }

  /** Resolves when this replica leads and has applied all entries of earlier terms. */
  serving(): Promise<void> {
    return this.#until(() => this.leads)
  }

  async compact(): Promise<void> {
    const core = this.#restored
    const covered = await this.#machine.persist()
    // A state machine that is applying may cover more than it has said.
    const index = Math.min(covered, core.applied)
    if (!core.compact(index)) return
    this.#options.schedule(this)
    await this.#until(() => this.#durableStart >= index)
  }

  /** Takes no proposals and reads any more. */
  refuse(): void {
    this.#stopping = true
  }

  /** Resolves when everything accepted is durable, applied and answered. */
  settled(): Promise<void> {
    const core = this.#restored
    const owesNothing = (): boolean => this.#proposals.count === 0 && this.#reads.size === 0
    return this.#until(() => this.#state === 'idle' && this.#inFlight === undefined && !core.hasReady() && owesNothing())
  }

  /** The process is ending: nothing is applied or answered any more. */
  halt(reason: Error): void {
    this.#state = 'halted'
    this.#haltReason = reason
    for (const watcher of this.#watchers) watcher.reject(reason)
    this.#watchers = []
  }

  get #restored(): RaftCore {
    return must(this.#core, 'a group is driven only after it was restored')
  }

  #apply(core: RaftCore, entries: readonly Entry[]): void {
    this.#state = 'applying'
    let replies: readonly unknown[] | Promise<readonly unknown[]>
    try {
      replies = this.#machine.apply(entries)
    } catch (error) {
      this.#options.crash(this.#applyError(error))
      return
    }
    if (replies instanceof Promise) this.#applyLater(core, entries, replies)
    else this.#applied(core, entries, replies)
  }

  #applyLater(core: RaftCore, entries: readonly Entry[], later: Promise<readonly unknown[]>): void {
    later
      .then(
        (replies) => {
          if (this.#state === 'halted') return
          this.#applied(core, entries, replies)
          this.applyCommitted()
        },
        (error: unknown) => this.#options.crash(this.#applyError(error)),
      )
      .catch((bug: Error) => this.#options.crash(bug))
  }

  /** Applies a page that is no longer in memory: after a restart, or when the state machine is far behind. */
  #replay(core: RaftCore, from: LogIndex, to: LogIndex): void {
    this.#state = 'applying'
    this.#store
      .read(this.id, from, to, this.#options.applyBytesMax)
      .then(
        (entries) => {
          if (this.#state === 'halted') return
          assert(entries[0]?.index === from, 'a read of the log begins where it was asked to')
          this.#apply(core, entries)
          this.applyCommitted()
        },
        (error: unknown) => this.#options.crash(error instanceof Error ? error : new Error(messageOf(error))),
      )
      .catch((bug: Error) => this.#options.crash(bug))
  }

  #applied(core: RaftCore, entries: readonly Entry[], replies: readonly unknown[]): void {
    assert(replies.length === entries.length, 'a state machine gives one reply for each entry')
    this.#state = 'idle'
    core.appliedTo(must(entries.at(-1), 'a page has at least one entry').index)
    for (let at = 0; at < entries.length; at++) this.#proposals.settle(entries[at] as Entry, replies[at])
    this.#announce(core)
    this.#settleReads(core)
  }

  /** Tells the state machine when leadership begins, and when it has ended. */
  #announce(core: RaftCore): void {
    if (this.#announcedTerm !== TERM_NONE && (core.role !== 'leader' || core.term !== this.#announcedTerm)) {
      this.#announcedTerm = TERM_NONE
      this.#machine.onFollower?.()
    }
    if (this.#announcedTerm === TERM_NONE && core.servesTerm) {
      this.#announcedTerm = core.term
      this.#machine.onLeader?.(core.term)
    }
  }

  #settleReads(core: RaftCore): void {
    if (this.#reads.size === 0) return
    for (const { read, kind } of core.takeReads()) {
      const waiter = must(this.#reads.get(read), 'every read has somebody who waits for it')
      this.#reads.delete(read)
      if (kind === 'servable') waiter.resolve()
      else waiter.reject(this.#refusal('notLeader'))
    }
  }

  #until(isDue: () => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      if (this.#haltReason !== undefined) return reject(this.#haltReason)
      this.#watchers.push({ isDue, resolve, reject })
      this.#look()
    })
  }

  #look(): void {
    if (this.#watchers.length === 0) return
    this.#watchers = this.#watchers.filter((watcher) => {
      if (!watcher.isDue()) return true
      watcher.resolve()
      return false
    })
  }

  #refuse(waiter: ProposalWaiter, error: PlatformError): void {
    this.#options.onRefused()
    waiter.failed(error)
  }

  #unavailable(): PlatformError {
    return this.#stopping
      ? this.#error(ERROR_CODES.stopping, 'is stopping; ask another node or try again later')
      : this.#error(ERROR_CODES.notReady, 'is not restored yet; try again later')
  }

  #refusal(reason: RefusedReason): PlatformError {
    return reason === 'notLeader'
      ? this.#error(ERROR_CODES.notLeader, 'is not led by this node; send the request to its leader')
      : this.#error(ERROR_CODES.proposalDropped, 'has too much unfinished work; slow down and try again')
  }

  #error(code: ErrorCode, text: string): PlatformError {
    return new PlatformError(code, `raft group ${this.id} ${text}`, { detail: { group: this.id } })
  }

  /** A state machine that throws has met something no replica was prepared for: to go on would be to diverge (R53). */
  #applyError(error: unknown): Error {
    const text = `the state machine of raft group ${this.id} failed after entry ${this.applied}: ${messageOf(error)}`
    return new PlatformError(ERROR_CODES.internal, text, { cause: error, detail: { group: this.id, applied: this.applied } })
  }
}
