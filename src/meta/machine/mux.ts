// SPDX-License-Identifier: Apache-2.0
// The state machine of a meta group: gives each command to the machine that knows it, and writes what they change together with the index of
// the last applied entry (RELIABILITY R8).
import { assert, must } from '#base/assert'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Kv } from '#base/port/kv'
import type { Entry, InstalledSnapshot, StateMachine, StateSnapshot } from '#raft'
import type { AppliedSignal } from '../applied-signal.ts'
import { type Applied, decodeApplied, encodeApplied, type GroupIdentity } from '../codec/applied-codec.ts'
import type { GroupKeys } from '../codec/key.ts'
import { decodeEntry } from '../command/command.ts'
import { ChangeChain } from './change-chain.ts'
import { DeclaredReads, Overlay } from './overlay.ts'
import { installPairs, SNAPSHOT_FORMAT, takeSnapshot } from './snapshot.ts'
import type { Machine } from './state-machine.ts'

/** About how much is read, applied and written at once: bounds what is in memory for it, and how long the loop is held (D13). */
const BATCH_COMMANDS = 256
const BATCH_BYTES = 1 << 18
const BARRIER = Buffer.of(1)

interface Routed {
  readonly machine: Machine<unknown>
  readonly command: unknown
  /** What must be fetched before this command is applied, for itself and for those after it. */
  reads: DeclaredReads | undefined
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
  readonly #signal: AppliedSignal
  readonly #chain = new ChangeChain()
  /** Index of the last entry whose effects are in the store. */
  #applied = 0

  constructor(kv: Kv, keys: GroupKeys, identity: GroupIdentity, machines: readonly Machine<unknown>[], signal: AppliedSignal) {
    this.#kv = kv
    this.#keys = keys
    this.#identity = identity
    this.#signal = signal
    for (const machine of machines) {
      for (const type of machine.commandTypes) {
        assert(!this.#machines.has(type), 'each type of command belongs to one machine')
        this.#machines.set(type, machine)
      }
    }
  }

  async open(): Promise<number> {
    const bytes = await this.#kv.get(this.#keys.applied)
    if (bytes !== undefined) this.#takeUp(decodeApplied(bytes))
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

  snapshot(): Promise<StateSnapshot> {
    return takeSnapshot(this.#kv, this.#keys)
  }

  async install({ index, formatVersion, chunks }: InstalledSnapshot): Promise<void> {
    if (formatVersion !== SNAPSHOT_FORMAT) throw this.#unknownFormat(formatVersion)
    this.#signal.beginReplacement()
    const found = decodeApplied(await installPairs(this.#kv, this.#keys, chunks))
    assert(found.index === index, 'a snapshot is of the index that it is announced with')
    this.#takeUp(found)
    this.#signal.endReplacement()
  }

  stateHash(index: number): number | undefined {
    return this.#chain.hashAt(index)
  }

  #takeUp(found: Applied): void {
    this.#checkIdentity(found)
    this.#applied = found.index
    this.#chain.restore(found.hash)
  }

  async #applyBatch(entries: readonly Parsed[], replies: unknown[]): Promise<void> {
    this.#declareReads(entries)
    const view = new Overlay(this.#chain)
    let applied = this.#applied
    for (const { index, commands } of entries) {
      if (index <= applied) {
        replies.push(undefined)
        continue
      }
      assert(index === applied + 1, 'committed entries are applied without a gap')
      const entryReplies = commands && new Array<unknown>(commands.length)
      for (let at = 0; entryReplies !== undefined && at < entryReplies.length; at++) {
        const { machine, command, reads } = must(commands?.[at], 'the lengths are equal')
        if (reads !== undefined) await view.fetch(this.#kv, reads)
        entryReplies[at] = machine.apply(command, view)
      }
      replies.push(entryReplies)
      this.#chain.endEntry(index)
      applied = index
    }
    if (applied === this.#applied) return
    const writes = view.writes()
    writes.push({ key: this.#keys.applied, value: encodeApplied(this.#identity, applied, this.#chain.hash) })
    await this.#kv.write(writes, { sync: false })
    this.#applied = applied
    this.#signal.raise()
  }

  /** All is fetched at once, before the first command; a command that reads a range has it fetched before its own turn, with what follows. */
  #declareReads(entries: readonly Parsed[]): void {
    let reads: DeclaredReads | undefined
    for (const { index, commands } of entries) {
      if (index <= this.#applied || commands === undefined) continue
      for (const routed of commands) {
        const ranges = reads?.ranges.length ?? 0
        const joined = reads ?? new DeclaredReads()
        routed.machine.declareReads(routed.command, joined)
        if (joined === reads && joined.ranges.length === ranges) continue
        if (joined === reads) {
          joined.ranges.length = ranges
          reads = new DeclaredReads()
          routed.machine.declareReads(routed.command, reads)
        } else {
          reads = joined
        }
        routed.reads = reads
      }
    }
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
      return { machine, command: machine.decode(type, body), reads: undefined }
    })
    return { index: entry.index, commands }
  }

  #unknownCommand(type: number, index: number): PlatformError {
    const message = `entry ${index} of meta group ${this.#keys.group} has a command of type ${type}, which this program does not know; run a newer one`
    return new PlatformError(ERROR_CODES.dataVersion, message, { detail: { group: this.#keys.group, index, type } })
  }

  #unknownFormat(version: number): PlatformError {
    const message = `a snapshot of meta group ${this.#keys.group} has format ${version}, this program reads ${SNAPSHOT_FORMAT}; run a newer one`
    return new PlatformError(ERROR_CODES.dataVersion, message, { detail: { group: this.#keys.group, version } })
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
