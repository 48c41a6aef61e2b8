// SPDX-License-Identifier: Apache-2.0
// An engine on fakes: groups that commit when the test says so, a clock that stands still, a store that can be forked. Can crash and start again.
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Clock, Timer } from '#base/port/clock'
import type { AppendOutcome, LogId, TailSink } from '#contract/client/engine-client'
import type { CataloguedLog, LogCatalogue, LogCreation } from '#contract/client/log-catalogue'
import type { RetainedWrite } from '#contract/client/meta-client'
import { ATTRIBUTE, RecordBatch, RecordBatchBuilder, RecordCursor } from '#contract/record/record-batch'
import { type EngineOptions, EngineService, type SegmentStore } from '#engine'
import type { Entry } from '#raft'
import { FakeCatalogue, FakeLogGroups } from './fake-log-groups.ts'
import { ManualGroup, settled } from './manual-group.ts'
import { ModelKv } from './model-kv.ts'

export { settled }

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

export class FakeMeta {
  readonly catalogue = new FakeCatalogue()
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

  createLog(log: CataloguedLog): Promise<LogCreation> {
    return this.catalogue.create(log)
  }

  removeLog(log: CataloguedLog): Promise<void> {
    return this.catalogue.remove(log)
  }

  logs(): Promise<LogCatalogue> {
    return this.catalogue.list()
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
  /** Entries of stripes, and of the other logs. */
  readonly logs?: ReadonlyMap<LogId, readonly Entry[]>
  readonly disk?: ReadonlyMap<LogId, readonly Entry[]>
}

export class EngineNode {
  readonly kv: ModelKv
  readonly clock: ManualClock
  readonly meta: FakeMeta
  readonly engine: EngineService
  /** Those that run. */
  readonly groups = new Map<LogId, ManualGroup>()
  /** Of logs that come and go. */
  readonly logGroups: FakeLogGroups
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
    this.logGroups = new FakeLogGroups(this.groups, options.disk ?? new Map())
    this.engine = new EngineService(
      { kv: this.kv, clock: this.clock, logger, metrics, crash, probe },
      {
        stripes: options.stripes ?? 1,
        memoryBytes: options.memoryBytes ?? 1 << 20,
        tailBytes: options.tailBytes ?? 1 << 20,
        retention: options.retention ?? { maxAgeMs: 0, maxBytes: 0, intervalMs: 60_000 },
        scrubRate: options.scrubRate ?? 0,
        ...(options.scrubbed && { scrubbed: options.scrubbed }),
        independentLogsMax: options.independentLogsMax ?? 100,
      },
      this.meta,
      this.#segmentStore(),
      this.logGroups,
    )
    for (const { id, machine } of this.engine.machines()) this.groups.set(id, new ManualGroup(machine, options.logs?.get(id) ?? []))
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
    const logs = (): LogId[] =>
      this.engine.logs().flatMap(({ id, storage, model }) => (storage === 'segment' && model === 'shared' ? [id] : []))
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
    const logs = new Map<LogId, readonly Entry[]>()
    const disk = new Map(this.logGroups.disk)
    for (const { id, storage, model } of this.engine.logs()) {
      const group = this.groups.get(id)
      if (storage !== 'memory' && group !== undefined) (model === 'shared' ? logs : disk).set(id, group.entries)
    }
    return EngineNode.start({ ...this.#options, kv, clock: this.clock, meta: this.meta, logs, disk })
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
  readonly key?: string
}

export interface SeenRecord {
  readonly position: number
  readonly topic: string
  readonly payload: string
}

const NONE = Buffer.alloc(0)

export function batchOf(records: readonly SampleRecord[]): RecordBatch {
  const builder = new RecordBatchBuilder(64)
  for (const { topic, payload = 'x', qos = 1, retain = false, publisher = 1, sequence = -1, key } of records) {
    const bytes = Buffer.from(payload)
    const attributes =
      qos | (retain ? ATTRIBUTE.retain : 0) | (sequence >= 0 ? ATTRIBUTE.sequence : 0) | (key === undefined ? 0 : ATTRIBUTE.key)
    const delta = builder.recordCount
    builder.append(builder.topic(topic), attributes, publisher, 0, sequence, NONE, bytes, 0, bytes.length, delta, Buffer.from(key ?? ''))
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
