// SPDX-License-Identifier: Apache-2.0
// The way to one meta group, wherever it is led: commands of one turn go in as one entry (D9), reads see all that was committed before them. While
// the group has no leader both are tried again for a while, as long as it is certain that nothing was done.
import { assert, must } from '#base/assert'
import { isPlatformError, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Clock, Timer } from '#base/port/clock'
import type { Kv } from '#base/port/kv'
import type { Counter } from '#base/port/metrics'
import type { AppliedSignal } from '../applied-signal.ts'
import { GroupKeys } from '../codec/key.ts'
import { type Command, encodeEntry, type RawCommand } from '../command/command.ts'
import type { ProposalWaiter, Proposer } from './proposer.ts'
import { ReplicaReads } from './replica-reads.ts'
import type { VersionGate } from './version-gate.ts'

/** An entry is closed at this size: it is applied in one go, which must not hold the loop for long (D13). */
const ENTRY_BYTES = 1 << 18
const ENTRY_COMMANDS = 256
/** Longer than an election takes when all goes well. */
const RETRY_MS = 5000
const RETRY_DELAY_MS = 50

/** What the clients of all groups of a node share. */
export interface GroupClientPorts {
  readonly kv: Kv
  readonly clock: Clock
  readonly gate: VersionGate
}

export interface GroupCounters {
  readonly commands: Counter
  readonly entries: Counter
}

interface Submitted extends RawCommand {
  readonly resolve: (reply: unknown) => void
  readonly reject: (error: PlatformError) => void
}

export class GroupClient {
  readonly keys: GroupKeys
  readonly kv: ReplicaReads
  readonly #proposer: Proposer
  readonly #clock: Clock
  readonly #gate: VersionGate
  readonly #counters: GroupCounters
  /** Submitted in this turn; goes out with the next microtask. */
  #submitted: Submitted[] = []
  #inFlight = 0
  #stopping = false
  #idle: (() => void) | undefined
  /** Entries and reads that are tried again when their timer fires, and at once when the service stops. */
  readonly #delayed = new Map<() => void, Timer>()

  /** `signal` is that of the state machine of the group. */
  constructor(proposer: Proposer, signal: AppliedSignal, { kv, clock, gate }: GroupClientPorts, counters: GroupCounters) {
    this.keys = new GroupKeys(proposer.id)
    this.kv = new ReplicaReads(kv, signal)
    this.#proposer = proposer
    this.#clock = clock
    this.#gate = gate
    this.#counters = counters
  }

  /** Whether this node leads the group, and does what needs doing once in the cluster. */
  get leads(): boolean {
    return this.#proposer.leads
  }

  /** Resolves with the reply once the command is committed and applied. */
  submit<Reply>(command: Command<Reply>): Promise<Reply> {
    if (this.#stopping) return Promise.reject(stopping())
    const refusal = this.#gate.refusal(command)
    if (refusal !== undefined) return Promise.reject(refusal)
    return new Promise((resolve, reject) => {
      if (this.#submitted.length === 0) queueMicrotask(() => this.#flush())
      this.#submitted.push({ type: command.type, body: command.body, resolve: resolve as (reply: unknown) => void, reject })
      this.#inFlight++
    })
  }

  /** Resolves when a read of the store sees all that was committed before the call. */
  async barrier(): Promise<void> {
    const giveUpAtMs = this.#clock.monotonic() + RETRY_MS
    for (;;) {
      if (this.#stopping) throw stopping()
      try {
        return await this.#proposer.readIndex()
      } catch (error) {
        if (!isPlatformError(error) || !this.mayRetry(error, giveUpAtMs)) throw error
      }
      await new Promise<void>((resolve) => this.later(resolve))
    }
  }

  /** Refuses new commands; resolves when the outcome of all earlier ones is known. */
  stop(): Promise<void> {
    this.#stopping = true
    for (const [again, timer] of this.#delayed) {
      timer.cancel()
      again()
    }
    this.#delayed.clear()
    if (this.#inFlight === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#idle = resolve
    })
  }

  /** It has no leader at the moment, or none that this node knows; nothing was done. */
  mayRetry({ code }: PlatformError, giveUpAtMs: number): boolean {
    const undone = code === ERROR_CODES.notLeader || code === ERROR_CODES.notReady
    return undone && !this.#stopping && this.#clock.monotonic() < giveUpAtMs
  }

  later(again: () => void): void {
    const timer = this.#clock.after(RETRY_DELAY_MS, () => {
      this.#delayed.delete(again)
      again()
    })
    this.#delayed.set(again, timer)
  }

  settled(count: number): void {
    this.#inFlight -= count
    assert(this.#inFlight >= 0, 'each command is settled once')
    if (this.#inFlight === 0) this.#idle?.()
  }

  #flush(): void {
    const all = this.#submitted
    this.#submitted = []
    this.#counters.commands.add(all.length)
    let from = 0
    let bytes = 0
    for (const [at, { body }] of all.entries()) {
      if (at > from && (bytes + body.length > ENTRY_BYTES || at - from === ENTRY_COMMANDS)) {
        this.#propose(all.slice(from, at))
        from = at
        bytes = 0
      }
      bytes += body.length
    }
    this.#propose(all.slice(from))
  }

  #propose(commands: readonly Submitted[]): void {
    this.#counters.entries.add(1)
    new EntryWaiter(this, this.#proposer, commands, this.#clock.monotonic() + RETRY_MS).propose()
  }
}

/** Brings an entry to its group, and deals the replies out to those who submitted its commands. */
class EntryWaiter implements ProposalWaiter {
  readonly #client: GroupClient
  readonly #proposer: Proposer
  readonly #commands: readonly Submitted[]
  readonly #data: Buffer
  readonly #giveUpAtMs: number

  constructor(client: GroupClient, proposer: Proposer, commands: readonly Submitted[], giveUpAtMs: number) {
    this.#client = client
    this.#proposer = proposer
    this.#commands = commands
    this.#data = encodeEntry(commands)
    this.#giveUpAtMs = giveUpAtMs
  }

  propose(): void {
    this.#proposer.propose(this.#data, this)
  }

  committed(_index: number, reply: unknown): void {
    const replies = reply as readonly unknown[]
    assert(replies.length === this.#commands.length, 'an entry has one reply for each command')
    for (const [at, reply] of replies.entries()) must(this.#commands[at], 'the lengths are equal').resolve(reply)
    this.#client.settled(this.#commands.length)
  }

  failed(error: PlatformError): void {
    if (this.#client.mayRetry(error, this.#giveUpAtMs)) {
      this.#client.later(() => this.propose())
      return
    }
    for (const command of this.#commands) command.reject(error)
    this.#client.settled(this.#commands.length)
  }
}

const stopping = (): PlatformError => new PlatformError(ERROR_CODES.stopping, 'the meta service of this node is stopping; ask another node')
