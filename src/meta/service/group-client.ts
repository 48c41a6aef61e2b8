// SPDX-License-Identifier: Apache-2.0
// The way to one meta group: commands of one turn go in as one entry (D9), reads see all that was committed before them.
import { assert, must } from '#base/assert'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Kv } from '#base/port/kv'
import type { Counter } from '#base/port/metrics'
import { GroupKeys } from '../codec/key.ts'
import { type Command, encodeEntry, type RawCommand } from '../command/command.ts'
import type { ProposalWaiter, Proposer } from './proposer.ts'

/** An entry is closed at this size: it is applied in one go, which must not hold the loop for long (D13). */
const ENTRY_BYTES = 1 << 18
const ENTRY_COMMANDS = 256

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
  readonly kv: Kv
  readonly #proposer: Proposer
  readonly #counters: GroupCounters
  /** Submitted in this turn; goes out with the next microtask. */
  #submitted: Submitted[] = []
  #inFlight = 0
  #stopping = false
  #idle: (() => void) | undefined

  constructor(proposer: Proposer, kv: Kv, counters: GroupCounters) {
    this.keys = new GroupKeys(proposer.id)
    this.kv = kv
    this.#proposer = proposer
    this.#counters = counters
  }

  /** Resolves with the reply once the command is committed and applied. */
  submit<Reply>(command: Command<Reply>): Promise<Reply> {
    if (this.#stopping) return Promise.reject(stopping())
    return new Promise((resolve, reject) => {
      if (this.#submitted.length === 0) queueMicrotask(() => this.#flush())
      this.#submitted.push({ type: command.type, body: command.body, resolve: resolve as (reply: unknown) => void, reject })
      this.#inFlight++
    })
  }

  /** Resolves when a read of the store sees all that was committed before the call. */
  barrier(): Promise<void> {
    return this.#stopping ? Promise.reject(stopping()) : this.#proposer.readIndex()
  }

  /** Refuses new commands; resolves when the outcome of all earlier ones is known. */
  stop(): Promise<void> {
    this.#stopping = true
    if (this.#inFlight === 0) return Promise.resolve()
    return new Promise((resolve) => {
      this.#idle = resolve
    })
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
    this.#proposer.propose(encodeEntry(commands), new EntryWaiter(this, commands))
  }
}

/** Deals the replies to an entry out to those who submitted its commands. */
class EntryWaiter implements ProposalWaiter {
  readonly #client: GroupClient
  readonly #commands: readonly Submitted[]

  constructor(client: GroupClient, commands: readonly Submitted[]) {
    this.#client = client
    this.#commands = commands
  }

  committed(_index: number, reply: unknown): void {
    const replies = reply as readonly unknown[]
    assert(replies.length === this.#commands.length, 'an entry has one reply for each command')
    for (const [at, reply] of replies.entries()) must(this.#commands[at], 'the lengths are equal').resolve(reply)
    this.#client.settled(this.#commands.length)
  }

  failed(error: PlatformError): void {
    for (const command of this.#commands) command.reject(error)
    this.#client.settled(this.#commands.length)
  }
}

const stopping = (): PlatformError => new PlatformError(ERROR_CODES.stopping, 'the meta service of this node is stopping; ask another node')
