// SPDX-License-Identifier: Apache-2.0
// An engine on fakes: groups that commit when the test says so, a clock that stands still, a store that can be forked. Can crash and start again.
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Clock, Timer } from '#base/port/clock'
import type { AppendOutcome, LogId, TailSink } from '#contract/client/engine-client'
import type { RetainedWrite } from '#contract/client/meta-client'
import { ATTRIBUTE, RecordBatch, RecordBatchBuilder, RecordCursor } from '#contract/record/record-batch'
import { type EngineOptions, EngineService, type ProposalWaiter, type Proposer, type SegmentStore } from '#engine'
import type { Entry, StateMachine } from '#raft'
import { ModelKv } from './model-kv.ts'

export class ManualClock implements Clock {
  nowMs = 1_000_000
  #timers: { readonly atMs: number; readonly fire: () => void }[] = []

  monotonic(): number {
    return this.nowMs
  }

  realtime(): number {
    return this.nowMs
  }

  after(delayMs: number, fire: () => void): Timer {
    const timer = { atMs: this.nowMs + delayMs, fire }
    this.#timers.push(timer)
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer)
      },
    }
  }

  endOfTurn(fire: () => void): void {
    queueMicrotask(fire)
  }

  /** Lets time pass, fires what is due, and lets the consequences happen. */
  async pass(ms: number): Promise<void> {
    this.nowMs += ms
    const due = this.#timers.filter((timer) => timer.atMs <= this.nowMs)
    this.#timers = this.#timers.filter((timer) => timer.atMs > this.nowMs)
    for (const timer of due) timer.fire()
    await settled()
  }
}

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
  #waiting: { readonly data: Buffer; readonly waiter: ProposalWaiter }[] = []

  constructor(machine: StateMachine, entries: readonly Entry[]) {
    this.machine = machine
    this.entries = [...entries]
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

  /** Entries as a log store reads them. */
  async read(from: number, to: number, bytesMax: number): Promise<readonly Entry[]> {
    if (from <= this.compactedTo) throw new PlatformError(ERROR_CODES.offsetOutOfRange, `entry ${from} is gone`)
    const entries = this.entries.slice(from - 1, to - 1)
    let count = 0
    for (let bytes = 0; count < entries.length; count++) {
      bytes += (entries[count] as Entry).data.length
      if (count > 0 && bytes > bytesMax) break
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
    for (const entry of entries) this.entries.push({ ...entry, data: Buffer.from(entry.data) })
    return await this.machine.apply(entries)
  }
}

export class FakeMeta {
  readonly calls: (readonly RetainedWrite[])[] = []
  /** The view: topic to position and payload, as the contract says. */
  readonly view = new Map<string, { readonly position: number; readonly payload: string | undefined }>()
  failure: PlatformError | undefined
  /** A value of this topic is refused for good. */
  refusedTopic: string | undefined
  #gate: Promise<void> | undefined

  /** Calls wait until the returned function is called. */
  hold(): () => void {
    let open: () => void = () => {}
    this.#gate = new Promise((resolve) => {
      open = resolve
    })
    return open
  }

  async retain(writes: readonly RetainedWrite[]): Promise<void> {
    this.calls.push(writes)
    await this.#gate
    if (this.failure !== undefined) throw this.failure
    if (writes.some((write) => write.topic === this.refusedTopic)) throw new PlatformError(ERROR_CODES.tooLarge, 'too large')
    for (const { topic, position, message } of writes) {
      if (position < (this.view.get(topic)?.position ?? -1)) continue
      this.view.set(topic, { position, payload: message?.payload.toString() })
    }
  }
}

/** The logs of a node with one stripe that have a store. Log 1 is in memory. */
export const STORED_LOGS = [
  { storage: 'rocksdb', log: 0 },
  { storage: 'segment', log: 2 },
] as const

export interface NodeOptions extends Partial<EngineOptions> {
  readonly kv?: ModelKv
  readonly clock?: ManualClock
  readonly meta?: FakeMeta
  readonly logs?: ReadonlyMap<LogId, readonly Entry[]>
}

export class EngineNode {
  readonly kv: ModelKv
  readonly clock: ManualClock
  readonly meta: FakeMeta
  readonly engine: EngineService
  readonly groups: ReadonlyMap<LogId, ManualGroup>
  readonly reached: string[] = []
  readonly counters = new Map<string, number>()
  readonly crashes: Error[] = []
  readonly #options: NodeOptions

  constructor(options: NodeOptions = {}) {
    this.#options = options
    this.kv = options.kv ?? new ModelKv()
    this.clock = options.clock ?? new ManualClock()
    this.meta = options.meta ?? new FakeMeta()
    const logger = { log: () => {}, scope: () => logger }
    const count = (name: string, labels: Readonly<Record<string, string>> = {}) => ({
      add: (by: number) => {
        const key = [name, ...Object.values(labels)].join(' ')
        this.counters.set(key, (this.counters.get(key) ?? 0) + by)
      },
    })
    const metrics = {
      counter: (name: string, _help: string, labels?: Readonly<Record<string, string>>) => count(name, labels),
      gauge: () => {},
      histogram: () => ({ observe: () => {} }),
    }
    const probe = { reached: (name: string) => void this.reached.push(name), fault: () => false }
    const crash = (reason: Error) => void this.crashes.push(reason)
    this.engine = new EngineService(
      { kv: this.kv, clock: this.clock, logger, metrics, crash, probe },
      {
        stripes: options.stripes ?? 1,
        memoryBytes: options.memoryBytes ?? 1 << 20,
        tailBytes: options.tailBytes ?? 1 << 20,
        retention: options.retention ?? { maxAgeMs: 0, maxBytes: 0 },
        scrubRate: options.scrubRate ?? 0,
      },
      this.meta,
      this.#segmentStore(),
    )
    this.groups = new Map(this.engine.machines().map(({ id, machine }) => [id, new ManualGroup(machine, options.logs?.get(id) ?? [])]))
    for (const [log, group] of this.groups) this.engine.connect(log, group, group)
  }

  static async start(options: NodeOptions = {}): Promise<EngineNode> {
    const node = new EngineNode(options)
    for (const group of node.groups.values()) await group.start()
    await node.engine.start()
    return node
  }

  /** As if each entry were a file of its own. */
  #segmentStore(): SegmentStore {
    const logs = (): LogId[] => this.engine.logs().flatMap(({ id, storage }) => (storage === 'segment' ? [id] : []))
    return {
      pressure: () => {
        const groups = logs().map((log) => ({ log, group: this.group(log) }))
        const kept = groups.map(({ group }) => group.entries.slice(group.compactedTo).reduce((sum, { data }) => sum + data.length, 0))
        return {
          bytes: kept.reduce((sum, bytes) => sum + bytes, 0),
          holders: groups.map(({ log, group }) => ({ log, through: group.compactedTo + 1 })),
        }
      },
      reclaim: async () => {
        for (const log of logs()) this.group(log).compact()
      },
    }
  }

  group(log: LogId): ManualGroup {
    return this.groups.get(log) as ManualGroup
  }

  /** Another life on what a killed process leaves: the store as it is, or as `kv` was, and the committed entries of the durable logs. */
  restart(kv = this.kv.fork()): Promise<EngineNode> {
    const durable = this.engine.logs().filter(({ storage }) => storage !== 'memory')
    const logs = new Map(durable.map(({ id }) => [id, this.group(id).entries]))
    return EngineNode.start({ ...this.#options, kv, clock: this.clock, meta: this.meta, logs })
  }

  /** Appends; the outcome is filled in when it is known. */
  append(log: LogId, batch: RecordBatch): { outcome: AppendOutcome | undefined } {
    const answer: { outcome: AppendOutcome | undefined } = { outcome: undefined }
    let returned = false
    this.engine.append(log, batch, (outcome) => {
      if (!returned || answer.outcome !== undefined) throw new Error('an append is answered once, after it has returned')
      answer.outcome = outcome
    })
    returned = true
    return answer
  }

  /** Appends and commits. */
  async write(log: LogId, records: readonly SampleRecord[]): Promise<void> {
    const answer = this.append(log, batchOf(records))
    await this.group(log).commit()
    if (answer.outcome?.kind !== 'appended') throw new Error(`not appended: ${JSON.stringify(answer.outcome)}`)
  }

  /** Gives applied batches the time to reach the store. */
  async flush(): Promise<void> {
    await this.clock.pass(50)
    await settled()
  }

  /** Everything that matches from a position on, read call by call. */
  async readAll(log: LogId, filters: readonly string[], from = 0, bytesMax = 1000): Promise<SeenRecord[]> {
    const seen: SeenRecord[] = []
    for (let next = from; ; ) {
      const result = await this.engine.read({ log, from: next, filters, bytesMax })
      seen.push(...recordsOf(result.batches))
      if (result.next === next && !result.atEnd) throw new Error(`a read at ${next} made no progress`)
      next = result.next
      if (result.atEnd) return seen
    }
  }
}

export interface SampleRecord {
  readonly topic: string
  readonly payload?: string
  readonly qos?: number
  readonly retain?: boolean
  readonly publisher?: number
  readonly sequence?: number
}

export interface SeenRecord {
  readonly position: number
  readonly topic: string
  readonly payload: string
}

export function batchOf(records: readonly SampleRecord[]): RecordBatch {
  const builder = new RecordBatchBuilder(64)
  for (const { topic, payload = 'x', qos = 1, retain = false, publisher = 1, sequence = -1 } of records) {
    const bytes = Buffer.from(payload)
    const attributes = qos | (retain ? ATTRIBUTE.retain : 0) | (sequence >= 0 ? ATTRIBUTE.sequence : 0)
    builder.append(builder.topic(topic), attributes, publisher, 0, sequence, Buffer.alloc(0), bytes, 0, bytes.length)
  }
  return builder.build()
}

/** Records of batches, each batch checked as one that comes from a disk. */
export function recordsOf(batches: readonly RecordBatch[]): SeenRecord[] {
  const seen: SeenRecord[] = []
  const cursor = new RecordCursor()
  for (const batch of batches) {
    const parsed = RecordBatch.parse(batch.bytes)
    cursor.reset(parsed)
    while (cursor.next())
      seen.push({
        position: cursor.position,
        topic: parsed.topics[cursor.topic] as string,
        payload: parsed.bytes.toString('utf8', cursor.payloadStart, cursor.end),
      })
  }
  return seen
}

/** Notes what it is handed. */
export class NotingSink implements TailSink {
  readonly seen: { readonly log: LogId; readonly position: number; readonly topic: string }[] = []

  onCommitted(log: LogId, batch: RecordBatch): void {
    for (const { position, topic } of recordsOf([batch])) this.seen.push({ log, position, topic })
  }
}
