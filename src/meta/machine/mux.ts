// SPDX-License-Identifier: Apache-2.0
// The state machine of a meta group: gives each command to the machine that knows it, and writes what they change together with the index of
// the last applied entry (RELIABILITY R8).
import { assert, must } from '#base/assert'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Kv } from '#base/port/kv'
import type { Entry, StateMachine } from '#raft'
import { decodeApplied, encodeApplied, type GroupIdentity } from '../codec/applied-codec.ts'
import type { GroupKeys } from '../codec/key.ts'
import { decodeEntry } from '../command/command.ts'
import { DeclaredReads } from './overlay.ts'
import type { Machine } from './state-machine.ts'

/** About how much is read, applied and written at once: bounds what is in memory for it, and how long the loop is held (D13). */
const BATCH_COMMANDS = 256
const BATCH_BYTES = 1 << 18
const BARRIER = Buffer.of(1)

interface Routed {
  readonly machine: Machine<unknown>
  readonly command: unknown
}

interface Parsed {
  readonly index: number
  /** Undefined for an entry that carries none. */
  readonly commands: readonly Routed[] | undefined
}

/** The reply to an entry is the list of the replies to its commands. */
export class MuxStateMachine implements StateMachine {
  readonly #kv: Kv
  readonly #keys: GroupKeys
  readonly #identity: GroupIdentity
  readonly #machines = new Map<number, Machine<unknown>>()
  /** Index of the last entry whose effects are in the store. */
  #applied = 0

  constructor(kv: Kv, keys: GroupKeys, identity: GroupIdentity, machines: readonly Machine<unknown>[]) {
    this.#kv = kv
    this.#keys = keys
    this.#identity = identity
    for (const machine of machines) {
      for (const type of machine.commandTypes) {
        assert(!this.#machines.has(type), 'each type of command belongs to one machine')
        this.#machines.set(type, machine)
      }
    }
  }

  async open(): Promise<number> {
    const bytes = await this.#kv.get(this.#keys.applied)
    if (bytes !== undefined) {
      const found = decodeApplied(bytes)
      this.#checkIdentity(found)
      this.#applied = found.index
    }
    return this.#applied
  }

  async apply(entries: readonly Entry[]): Promise<readonly unknown[]> {
    const replies: unknown[] = []
    while (replies.length < entries.length) {
      const batch = this.#nextBatch(entries, replies.length)
      await this.#applyBatch(batch, replies)
    }
    return replies
  }

  /** A synced write makes all before it durable. It has a key of its own: the applied index is written by `apply` alone, which may be under way. */
  async persist(): Promise<number> {
    const covered = this.#applied
    await this.#kv.write([{ key: this.#keys.barrier, value: BARRIER }], { sync: true })
    return covered
  }

  async #applyBatch(entries: readonly Parsed[], replies: unknown[]): Promise<void> {
    const reads = new DeclaredReads()
    for (const { index, commands } of entries) {
      if (index <= this.#applied || commands === undefined) continue
      for (const { machine, command } of commands) machine.declareReads(command, reads)
    }
    const view = await reads.fetch(this.#kv)
    let applied = this.#applied
    for (const { index, commands } of entries) {
      if (index <= applied) {
        replies.push(undefined)
        continue
      }
      assert(index === applied + 1, 'committed entries are applied without a gap')
      replies.push(commands?.map(({ machine, command }) => machine.apply(command, view)))
      applied = index
    }
    if (applied === this.#applied) return
    const writes = view.writes()
    writes.push({ key: this.#keys.applied, value: encodeApplied(this.#identity, applied) })
    await this.#kv.write(writes, { sync: false })
    this.#applied = applied
  }

  /** At least one entry, from the one at `from` on. */
  #nextBatch(entries: readonly Entry[], from: number): readonly Parsed[] {
    const batch: Parsed[] = []
    let commands = 0
    let bytes = 0
    for (let at = from; at < entries.length && commands < BATCH_COMMANDS && bytes < BATCH_BYTES; at++) {
      const entry = must(entries[at], 'below the length')
      const parsed = this.#parse(entry)
      batch.push(parsed)
      commands += parsed.commands?.length ?? 0
      bytes += entry.data.length
    }
    return batch
  }

  #parse(entry: Entry): Parsed {
    if (entry.kind !== 'normal') return { index: entry.index, commands: undefined }
    const commands = decodeEntry(entry.data).map(({ type, body }) => {
      const machine = this.#machines.get(type)
      if (machine === undefined) throw this.#unknownCommand(type, entry.index)
      return { machine, command: machine.decode(type, body) }
    })
    return { index: entry.index, commands }
  }

  #unknownCommand(type: number, index: number): PlatformError {
    const message = `entry ${index} of meta group ${this.#keys.group} has a command of type ${type}, which this program does not know; run a newer one`
    return new PlatformError(ERROR_CODES.dataVersion, message, { detail: { group: this.#keys.group, index, type } })
  }

  #checkIdentity(found: GroupIdentity): void {
    const { kind, ordinal, groupCount } = this.#identity
    const message =
      `meta group ${this.#keys.group} was made as ${found.kind} group ${found.ordinal + 1} of ${found.groupCount}, ` +
      `and is opened as ${kind} group ${ordinal + 1} of ${groupCount}; the number of meta groups cannot be changed`
    const same = found.kind === kind && found.ordinal === ordinal && found.groupCount === groupCount
    if (!same) throw new PlatformError(ERROR_CODES.configInvalid, message, { detail: { group: this.#keys.group } })
  }
}
