// SPDX-License-Identifier: Apache-2.0
// One replica of several: a core with its disk, its state machine and what it wants sent. Each step is taken by the test.
import assert from 'node:assert/strict'
import {
  CONF_NONE,
  type ConfState,
  type Entry,
  type HardState,
  type LogIndex,
  type LogStart,
  type Message,
  type NodeId,
  type Term,
} from '../../../../src/raft/core/message.ts'
import type { EntryLoad } from '../../../../src/raft/core/outbox.ts'
import { RaftCore, type RaftLimits, type RaftTiming } from '../../../../src/raft/core/raft-core.ts'
import type { Ready } from '../../../../src/raft/core/ready.ts'

export interface Disk {
  hardState: HardState
  start: LogStart
  /** Entries (start.index, last]. */
  entries: readonly Entry[]
}

export interface MemberOptions {
  readonly node: NodeId
  readonly limits: RaftLimits
  readonly timing: RaftTiming
  readonly random: (min: number, max: number) => number
}

export const NO_DISK: Disk = { hardState: { term: 0, vote: 0, commit: 0 }, start: { index: 0, term: 0, conf: CONF_NONE }, entries: [] }

export const confOf = (voters: readonly NodeId[], learners: readonly NodeId[] = []): ConfState => ({ ...CONF_NONE, voters, learners })

export class Member {
  readonly node: NodeId
  readonly #options: MemberOptions
  disk: Disk
  /** The state machine: everything applied, from index 1. What a snapshot carries. */
  applied: readonly Entry[]
  /** Undefined while the process is down. */
  core: RaftCore | undefined
  /** What is being written, and where it leaves the disk. */
  #ready: Ready | undefined
  /** Received with a snapshot whose offer was stepped, for the state machine to take over. */
  #received: readonly Entry[] = []
  /** Answers that wait for the write. */
  sent: Message[] = []
  loads: EntryLoad[] = []
  snapshotsTo: NodeId[] = []

  constructor(options: MemberOptions, disk: Disk = NO_DISK, applied: readonly Entry[] = []) {
    this.node = options.node
    this.#options = options
    this.disk = disk
    this.applied = applied
    this.start()
  }

  get up(): RaftCore {
    assert.ok(this.core, `node ${this.node} is up`)
    return this.core
  }

  get isWriting(): boolean {
    return this.#ready !== undefined
  }

  get lastDurable(): LogIndex {
    return this.disk.entries.at(-1)?.index ?? this.disk.start.index
  }

  start(): void {
    const { hardState, start } = this.disk
    this.core = new RaftCore({
      ...this.#options,
      hardState,
      start,
      lastIndex: this.lastDurable,
      applied: this.applied.length,
      confEntries: this.disk.entries.filter(({ kind }) => kind === 'conf'),
      stable: { term: (index) => this.durableTerm(index) },
    })
  }

  /** The process ends. A write that was under way is on the disk, or is not. */
  crash(isWritten: boolean): void {
    if (isWritten && this.#ready !== undefined) this.#keep(this.#ready)
    this.#ready = undefined
    this.core = undefined
    this.sent = []
    this.loads = []
    this.snapshotsTo = []
  }

  step(message: Message): void {
    this.up.step(message)
  }

  /** A snapshot was received whole, and its offer comes with it. */
  receive(offer: Extract<Message, { kind: 'snapshotOffer' }>, state: readonly Entry[]): void {
    if (this.up.wouldInstall(offer.start.index, offer.start.term)) this.#received = state
    this.up.step(offer)
  }

  /** Collects what may be sent at once. */
  collect(): void {
    const { messages, loads, snapshotsTo } = this.up.takeOutput()
    this.sent.push(...messages)
    this.loads.push(...loads)
    this.snapshotsTo.push(...snapshotsTo)
  }

  /** Takes what is to be written; it is not durable yet. */
  write(): Ready | undefined {
    if (this.#ready !== undefined || !this.up.hasReady()) return undefined
    this.#ready = this.up.ready()
    return this.#ready
  }

  /** What is being written is durable, and the core hears of it. */
  written(): void {
    const ready = this.#ready
    assert.ok(ready, 'something is being written')
    this.#keep(ready)
    this.#ready = undefined
    this.up.advance()
    for (const message of ready.messagesAfterPersist) if (message.to !== this.node) this.sent.push(message)
  }

  /** Applies one page. */
  apply(bytesMax = 1_000_000): readonly Entry[] {
    const core = this.up
    const page = core.nextCommitted(bytesMax)
    if (page === undefined) return []
    const entries = page.kind === 'held' ? page.entries : this.stored(page.from, page.to)
    this.applied = [...this.applied, ...entries]
    for (const entry of entries) if (entry.kind === 'conf') core.applyConf(entry)
    core.appliedTo(this.applied.length)
    return entries
  }

  stored(from: LogIndex, end: LogIndex): readonly Entry[] {
    return this.disk.entries.filter(({ index }) => index >= from && index < end)
  }

  durableTerm(index: LogIndex): Term | undefined {
    const { start, entries } = this.disk
    return index === start.index ? start.term : entries[index - start.index - 1]?.term
  }

  #keep({ hardState, start, snapshot, entries }: Ready): void {
    if (snapshot !== undefined) {
      assert.ok(this.#received.length >= snapshot.index, 'the snapshot that is installed was received')
      this.applied = this.#received.slice(0, snapshot.index)
    }
    const first = entries[0]?.index ?? Number.POSITIVE_INFINITY
    let stored = this.disk.entries
    if (start !== undefined) stored = this.durableTerm(start.index) === start.term ? stored.filter(({ index }) => index > start.index) : []
    if (entries.length > 0) stored = [...stored.filter(({ index }) => index < first), ...entries]
    this.disk = { hardState: hardState ?? this.disk.hardState, start: start ?? this.disk.start, entries: stored }
  }
}
