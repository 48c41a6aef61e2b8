// SPDX-License-Identifier: Apache-2.0
// A log store whose writes the test completes, a state machine that records, and the ports of a host.
import assert from 'node:assert/strict'
import type { Entry, GroupId, HardState, LogIndex, LogStart, Term } from '../../../src/raft/core/message.ts'
import type { RaftHostPorts } from '../../../src/raft/host.ts'
import type { GroupWrite, LogPressure, LogStore, RecoveredGroup } from '../../../src/raft/log-store.ts'
import type { ProposalWaiter } from '../../../src/raft/pending-proposals.ts'
import type { InstalledSnapshot, StateMachine, StateSnapshot } from '../../../src/raft/state-machine.ts'

interface StoredGroup {
  hardState: HardState
  start: LogStart
  entries: readonly Entry[]
}

/** Writes are durable at once, or with `manual`, when `complete` says so. Content passes to the store of a next life by `content`. */
export class FakeLogStore implements LogStore {
  readonly content: Map<GroupId, StoredGroup>
  readonly writes: { readonly batch: readonly GroupWrite[]; readonly sync: boolean }[] = []
  /** Bytes that it says it holds, and who keeps them. */
  held: LogPressure = { bytes: 0, holders: [] }
  manual = false
  reclaims = 0
  closed = false
  #finish: ((error?: Error) => void) | undefined

  constructor(content: Map<GroupId, StoredGroup> = new Map()) {
    this.content = content
  }

  /** The store as the next process finds it. */
  next(): FakeLogStore {
    return new FakeLogStore(this.content)
  }

  /** The write in flight ends. */
  complete(error?: Error): void {
    assert.ok(this.#finish, 'a write is in flight')
    this.#finish(error)
  }

  get isWriting(): boolean {
    return this.#finish !== undefined
  }

  async open(): Promise<readonly RecoveredGroup[]> {
    return [...this.content].map(([group, { hardState, start, entries }]) => ({
      group,
      hardState,
      start,
      lastIndex: entries.at(-1)?.index ?? start.index,
      confEntries: entries.filter(({ kind }) => kind === 'conf'),
    }))
  }

  write(batch: readonly GroupWrite[], { sync }: { readonly sync: boolean }): Promise<void> {
    assert.equal(this.#finish, undefined, 'one write at a time')
    this.writes.push({ batch, sync })
    if (!this.manual) {
      for (const write of batch) this.#keep(write)
      return Promise.resolve()
    }
    return new Promise((resolve, reject) => {
      this.#finish = (error) => {
        this.#finish = undefined
        if (error !== undefined) return reject(error)
        for (const write of batch) this.#keep(write)
        resolve()
      }
    })
  }

  term(group: GroupId, index: LogIndex): Term | undefined {
    const stored = this.content.get(group)
    if (stored?.start.index === index) return stored.start.term
    return stored?.entries.find((entry) => entry.index === index)?.term
  }

  readPieces(): Promise<readonly Buffer[]> {
    return Promise.reject(new Error('nobody reads pieces here'))
  }

  /** One entry a page, so that every replay has to page. */
  async read(group: GroupId, from: LogIndex, to: LogIndex): Promise<readonly Entry[]> {
    const entries = this.content.get(group)?.entries.filter(({ index }) => index >= from && index < to) ?? []
    return entries.slice(0, 1)
  }

  pressure(): LogPressure {
    return this.held
  }

  async reclaim(): Promise<void> {
    this.reclaims++
  }

  async close(): Promise<void> {
    this.closed = true
  }

  #keep({ group, entries, hardState, start, dropped }: GroupWrite): void {
    if (dropped) {
      this.content.delete(group)
      return
    }
    const stored = this.content.get(group)
    const kept = { hardState: hardState ?? stored?.hardState, start: start ?? stored?.start }
    assert.ok(kept.hardState && kept.start, 'a group begins with a hard state and a start')
    const first = entries[0]?.index ?? Number.POSITIVE_INFINITY
    const before = stored?.entries.filter(({ index }) => index < first) ?? []
    const after = [...before, ...entries].filter(({ index }) => index > (kept.start?.index ?? 0))
    this.content.set(group, { hardState: kept.hardState, start: kept.start, entries: after })
  }
}

/** Records commands in order and replies with each in capitals. */
export class RecordingMachine implements StateMachine {
  readonly commands: string[] = []
  readonly events: string[] = []
  applied: LogIndex
  /** What a crash would leave. */
  durable: LogIndex
  /** When set, `apply` waits for it. */
  gate: Promise<void> | undefined
  fault: Error | undefined
  /** What it says its state was worth, by index. */
  readonly hashes = new Map<LogIndex, number>()
  /** Entries of each call. */
  readonly calls: number[] = []

  constructor(applied: LogIndex = 0) {
    this.applied = applied
    this.durable = applied
  }

  async open(): Promise<LogIndex> {
    return this.applied
  }

  apply(entries: readonly Entry[]): readonly unknown[] | Promise<readonly unknown[]> {
    if (this.fault !== undefined) throw this.fault
    this.calls.push(entries.length)
    const replies = (): readonly unknown[] => entries.map((entry) => this.#applyOne(entry))
    return this.gate === undefined ? replies() : this.gate.then(replies)
  }

  async persist(): Promise<LogIndex> {
    this.durable = this.applied
    return this.durable
  }

  async snapshot(): Promise<StateSnapshot> {
    const { applied } = this
    const chunks = [...this.commands].map((command) => Buffer.from(command))
    return { index: applied, formatVersion: 1, chunks: chunked(chunks), close: async () => {} }
  }

  async install({ index, chunks }: InstalledSnapshot): Promise<void> {
    this.commands.length = 0
    for await (const chunk of chunks) this.commands.push(chunk.toString())
    this.applied = index
    this.durable = index
    this.events.push(`installed ${index}`)
  }

  stateHash(index: LogIndex): number | undefined {
    return this.hashes.get(index)
  }

  onLeader(term: Term): void {
    this.events.push(`leads term ${term} at ${this.applied}`)
  }

  #applyOne({ index, kind, data }: Entry): unknown {
    assert.equal(index, this.applied + 1, 'no entry is left out or applied twice')
    this.applied = index
    if (kind !== 'normal') return undefined
    this.commands.push(data.toString())
    return data.toString().toUpperCase()
  }
}

async function* chunked(chunks: readonly Buffer[]): AsyncGenerator<Buffer, void> {
  yield* chunks
}

/** Collects what became of proposals, in the order in which their proposers were told. */
export class Outcomes {
  readonly told: string[] = []

  waiter(name: string): ProposalWaiter {
    return {
      committed: (index, reply) => this.told.push(`${name} committed at ${index}: ${String(reply)}`),
      failed: (error) => this.told.push(`${name} failed: ${error.code.name}`),
    }
  }
}

export interface FakePorts {
  readonly ports: RaftHostPorts
  readonly crashes: Error[]
  readonly warnings: string[]
  /** Values observed and counted, by name of the instrument and its store. */
  readonly measured: Map<string, number[]>
  /** Timers that are set. */
  readonly timers: (() => void)[]
}

const unusedFile = (): never => assert.fail('groups of one voter have no files of their own')
const NO_DISK: RaftHostPorts['disk'] = {
  open: unusedFile,
  exists: unusedFile,
  fullPath: unusedFile,
  list: unusedFile,
  makeDirectory: unusedFile,
  remove: unusedFile,
  removeDirectory: unusedFile,
  rename: unusedFile,
  syncDirectory: unusedFile,
  free: unusedFile,
}

export function fakePorts(): FakePorts {
  const crashes: Error[] = []
  const warnings: string[] = []
  const timers: (() => void)[] = []
  const measured = new Map<string, number[]>()
  const instrument = (name: string, labels: Readonly<Record<string, string>> = {}): ((value: number) => void) => {
    const values: number[] = []
    measured.set([name, ...Object.values(labels)].join(' '), values)
    return (value) => values.push(value)
  }
  const logger: RaftHostPorts['logger'] = {
    log: (level, message) => {
      if (level === 'warn') warnings.push(message)
    },
    scope: () => logger,
  }
  const unused = (): never => assert.fail('groups of one voter draw no random numbers')
  const random: RaftHostPorts['random'] = { uint32: unused, range: unused, chance: unused, bytes: unused, stream: () => random }
  const ports: RaftHostPorts = {
    clock: {
      monotonic: () => 0,
      realtime: () => 0,
      after: (_delayMs, fire) => {
        timers.push(fire)
        return { cancel: () => timers.splice(timers.indexOf(fire), 1) }
      },
      endOfTurn: () => assert.fail('the host batches by itself'),
    },
    metrics: {
      counter: (name, _help, labels) => ({ add: instrument(name, labels) }),
      gauge: (name, _help, read) => instrument(name)(read()),
      histogram: (name, _help, _buckets, labels) => ({ observe: instrument(name, labels) }),
    },
    logger,
    probe: { reached: () => {}, fault: () => false },
    random,
    disk: NO_DISK,
    crash: (reason) => crashes.push(reason),
  }
  return { ports, crashes, warnings, measured, timers }
}

/** Lets everything run that waits for nothing but its turn. */
export const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
