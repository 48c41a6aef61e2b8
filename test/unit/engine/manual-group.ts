// SPDX-License-Identifier: Apache-2.0
// A Raft group as the engine sees it, without a disk.
import assert from 'node:assert/strict'
import { crc32c } from '#base/crc32c'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { ProposalWaiter, Proposer } from '#engine'
import type { Entry, EntryPiece, StateMachine } from '#raft'

/** Resolves when every promise that can go on has done so: fakes complete within microtasks. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** A group of one voter whose commits are made by hand. */
export class ManualGroup implements Proposer {
  readonly machine: StateMachine
  /** Committed entries; they outlive a crash. */
  readonly entries: Entry[]
  /** What the next proposals are refused with. */
  refusal: PlatformError | undefined
  term: number
  /** Entries up to it are no longer in the log. */
  compactedTo = 0
  /** Of each entry as it was written. */
  readonly #sums: number[]
  #waiting: { readonly data: Buffer; readonly waiter: ProposalWaiter }[] = []

  constructor(machine: StateMachine, entries: readonly Entry[]) {
    this.machine = machine
    this.entries = [...entries]
    this.#sums = entries.map(({ data }) => crc32c(data))
    this.term = (entries.at(-1)?.term ?? 0) + 1
  }

  get waitingCount(): number {
    return this.#waiting.length
  }

  propose(data: Buffer, waiter: ProposalWaiter): void {
    if (this.refusal !== undefined) waiter.failed(this.refusal)
    else this.#waiting.push({ data, waiter })
  }

  /** Lets the log begin where the machine says. */
  compact(): void {
    this.compactedTo = Math.max(this.compactedTo, Math.min(this.machine.neededFrom ?? 1, this.entries.length + 1) - 1)
  }

  /** Pieces as a log store reads them. */
  async readPieces(pieces: readonly EntryPiece[]): Promise<readonly Buffer[]> {
    return pieces.map(({ index, offset, length }, at) => {
      assert.ok(index >= (pieces[at - 1]?.index ?? 0), 'the entries of pieces ascend')
      if (index <= this.compactedTo) throw new PlatformError(ERROR_CODES.offsetOutOfRange, `entry ${index} is gone`)
      return (this.entries[index - 1] as Entry).data.subarray(offset, offset + length)
    })
  }

  /** Entries as a log store reads them. */
  async read(from: number, to: number, bytesMax: number): Promise<readonly Entry[]> {
    if (from <= this.compactedTo) throw new PlatformError(ERROR_CODES.offsetOutOfRange, `entry ${from} is gone`)
    const entries = this.entries.slice(from - 1, to - 1)
    let count = 0
    for (let bytes = 0; count < entries.length; count++) {
      const { index, data } = entries[count] as Entry
      bytes += data.length
      if (count > 0 && bytes > bytesMax) break
      if (crc32c(data) !== this.#sums[index - 1]) throw new PlatformError(ERROR_CODES.dataDamaged, `entry ${index} is damaged`)
    }
    return entries.slice(0, count)
  }

  /** Opens the machine, applies again what it does not have, and makes it leader. */
  async start(): Promise<void> {
    const applied = await this.machine.open()
    const missing = this.entries.filter((entry) => entry.index > applied)
    if (missing.length > 0) await this.machine.apply(missing)
    await this.#apply([this.#entry(Buffer.alloc(0), 'empty')])
    this.machine.onLeader?.(this.term)
  }

  /** Commits and applies the oldest proposals in one call, all of them by default, then answers. */
  async commit(count = this.#waiting.length): Promise<void> {
    const taken = this.#waiting.splice(0, count)
    if (taken.length === 0) return
    const entries = taken.map(({ data }, at) => this.#entry(data, 'normal', at))
    const replies = await this.#apply(entries)
    taken.forEach(({ waiter }, at) => {
      waiter.committed((entries[at] as Entry).index, replies[at])
    })
    await settled()
  }

  /** Loses what was not committed, and leadership; leads again in a later term. */
  async lose(): Promise<void> {
    this.machine.onFollower?.()
    for (const { waiter } of this.#waiting.splice(0))
      waiter.failed(new PlatformError(ERROR_CODES.outcomeUnknown, 'another leader took over'))
    this.term++
    await this.#apply([this.#entry(Buffer.alloc(0), 'empty')])
    this.machine.onLeader?.(this.term)
    await settled()
  }

  #entry(data: Buffer, kind: 'empty' | 'normal', ahead = 0): Entry {
    return { index: this.entries.length + 1 + ahead, term: this.term, kind, data }
  }

  async #apply(entries: readonly Entry[]): Promise<readonly unknown[]> {
    // The log keeps copies: what is applied again after a crash is read from a disk.
    for (const entry of entries) {
      this.entries.push({ ...entry, data: Buffer.from(entry.data) })
      this.#sums.push(crc32c(entry.data))
    }
    return await this.machine.apply(entries)
  }
}
