// SPDX-License-Identifier: Apache-2.0
// The engine of one node: its logs behind the port that brokers use. In-process: calls are direct, batches are passed as they are.

import { must } from '#base/assert'
import type { Component } from '#base/component'
import type { Config } from '#base/config/schema'
import { isPlatformError, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Timer } from '#base/port/clock'
import type {
  AppendOutcome,
  EngineClient,
  KeyReadRequest,
  LogDescription,
  LogId,
  LogPosition,
  Position,
  ReadRequest,
  ReadResult,
  StorageModel,
  StorageType,
  TailSink,
} from '#contract/client/engine-client'
import type { ShareClient, ShareConsumer, ShareProgress, ShareSink } from '#contract/client/share-client'
import type { RecordBatch } from '#contract/record/record-batch'
import type { ShareLog } from '../interest/share-consumer.ts'
import { TailFeed } from '../interest/tail-feed.ts'
import type { Proposer } from '../log/append.ts'
import { ChunkBuilder, type ChunkWriter } from '../log/chunk-builder.ts'
import type { EntryReader } from '../log/entry-batches.ts'
import { EntryCache } from '../log/entry-cache.ts'
import { ReferenceBuilder } from '../log/reference-builder.ts'
import type { ScrubbedPlaces } from '../log/scrubber.ts'
import type { SegmentStore } from '../log/segment-retention.ts'
import { Stripe } from '../log/stripe.ts'
import type { StripeMachine, StripeShare } from '../log/stripe-machine.ts'
import type { StripeMetrics } from '../log/stripe-metrics.ts'
import { TailBudget } from '../log/tail.ts'
import { positionAt } from '../log/time-index.ts'
import type { TopicLimits } from '../log/topic-retention.ts'
import { createEvictionCounter, createRefusalCounter, createStripeMetrics, registerGauges } from './engine-metrics.ts'
import type { EngineMachine, EngineMeta, EngineOptions, EnginePorts } from './engine-options.ts'
import { IndependentLogs, type LogCare, type LogGroups } from './independent-logs.ts'
import { LogTable } from './log-table.ts'
import { RetentionPlan } from './retention-plan.ts'
import { type LogReport, reportLog } from './storage-report.ts'
import { Upkeep } from './upkeep.ts'

/** Bytes that wait for the store before a log stops applying. */
const BACKLOG_BYTES_MAX = 64 * 1024 * 1024
/** What readers of segment logs keep of what they have read. */
const ENTRY_CACHE_BYTES = 4 * 1024 * 1024

export class EngineService implements EngineClient, ShareClient, Component {
  readonly name = 'engine'
  readonly #ports: EnginePorts
  readonly #options: EngineOptions
  readonly #feed = new TailFeed()
  readonly #table: LogTable
  readonly #independent: IndependentLogs
  readonly #retention: RetentionPlan
  readonly #upkeep: Upkeep
  #retentionIntervalMs: number
  #retentionTimer: Timer | undefined
  #stopping = false

  /** `segments`: the files that the stripes of type segment share. `groups`: of the logs that come and go. */
  constructor(ports: EnginePorts, options: EngineOptions, meta: EngineMeta, segments: SegmentStore, groups: LogGroups) {
    this.#ports = ports
    this.#options = options
    const logger = ports.logger.scope('engine')
    const entryCache = new EntryCache(ENTRY_CACHE_BYTES)
    const share = (storage: StorageType, budgetBytes: number, chunkBuilder: ChunkWriter): StripeShare => ({
      ports: { ...ports, logger },
      meta,
      listener: this.#feed,
      metrics: createStripeMetrics(ports.metrics, storage),
      budget: new TailBudget(budgetBytes, createEvictionCounter(ports.metrics, storage)),
      chunkBuilder,
      entryCache,
      backlogBytesMax: BACKLOG_BYTES_MAX,
    })
    const shares = {
      rocksdb: share('rocksdb', options.tailBytes, new ChunkBuilder()),
      memory: share('memory', options.memoryBytes, new ChunkBuilder()),
      segment: share('segment', options.tailBytes, new ReferenceBuilder()),
    }
    const metricsOf = (storage: StorageType): StripeMetrics => shares[storage].metrics
    const create = (log: LogId, storage: StorageType): Stripe => new Stripe(log, storage, shares[storage])
    this.#table = new LogTable(options.stripes, create)
    const { maxAgeMs, maxBytes, topics = [], intervalMs } = options.retention
    this.#retentionIntervalMs = intervalMs
    this.#retention = new RetentionPlan(options.stripes, { maxAgeMs, maxBytes }, topics, metricsOf)
    const machines = this.#table.all.map(({ machine }) => machine)
    const rounds = this.#retention.rounds(machines, segments)
    this.#upkeep = new Upkeep(machines, rounds, { ...ports, logger }, metricsOf, topics, options.scrubbed ?? NO_PLACES)
    this.#independent = new IndependentLogs(
      { ...ports, logger, refused: createRefusalCounter(ports.metrics) },
      meta,
      groups,
      this.#table,
      this.#careWith(create),
      options.independentLogsMax,
    )
    this.#registerGauges((storage) => shares[storage].budget.bytes)
  }

  /** The state machines of the stripes, for which groups are created before anything starts. */
  machines(): readonly EngineMachine[] {
    return this.#table.all.map(({ machine }) => ({ id: machine.log, storage: machine.storage, model: 'shared', machine }))
  }

  /** Gives a stripe its group, and one of type segment the entries of it. */
  connect(log: LogId, proposer: Proposer, entries?: EntryReader): void {
    must(this.#table.get(log), 'stripes are there for good').connect(proposer, entries)
  }

  /** Waits until every log is led here: the groups of the stripes must have been started, and meta. */
  async start(): Promise<void> {
    await Promise.all(this.#table.all.map((stripe) => stripe.whenLeading()))
    await this.#independent.start()
    this.#scheduleRetention()
    this.#upkeep.scrubber.start(this.#options.scrubRate ?? 0)
  }

  async stop(): Promise<void> {
    this.#stopping = true
    this.#retentionTimer?.cancel()
    for (const stripe of this.#table.all) stripe.stop()
    await this.#independent.stop()
    await this.#upkeep.stop()
    await Promise.all(this.#serving().map(({ machine }) => machine.persist()))
  }

  /** Limits of retention hold from the next round on. */
  reload({ engine }: Config): void {
    this.#upkeep.scrubber.setRate(engine.scrubRate)
    this.#retentionIntervalMs = engine.retention.checkInterval
    this.#retention.setCluster({ maxAgeMs: engine.retention.maxAge, maxBytes: engine.retention.maxBytes })
    this.#independent.setCountMax(engine.independentLogsMax)
  }

  /** What is kept of single topics from the next round on. */
  setTopicLimits(limits: readonly TopicLimits[]): void {
    this.#upkeep.setLimits(limits)
    this.#retention.setTopics(limits)
  }

  unready(): string | undefined {
    const waiting = this.#serving()
      .filter((stripe) => !stripe.leading)
      .map(({ machine }) => machine.log)
    return waiting.length === 0 ? undefined : `no leader yet for logs ${waiting.join(', ')}`
  }

  /** What is wrong and does not keep the node from serving the rest. */
  warnings(): readonly string[] {
    return [...this.#upkeep.warnings(), ...this.#independent.waiting.map((log) => `log ${log} could not be created yet`)]
  }

  /** Every log, as those who look after it want to see it. */
  storage(): readonly LogReport[] {
    return this.#serving().map(({ machine }) => {
      const description = must(this.#table.describe(machine.log), 'a log of the table has a description')
      return reportLog(description, machine, this.#upkeep, this.#retention.limitsOf(machine))
    })
  }

  /**
   * Removes the stored records of a topic, and the topic, from the stripe that holds it, and its own log if it has one. Records appended to the stripe meanwhile may
   * stay. False when it is unknown to both; stripes in memory know no topics.
   */
  async removeTopic(storage: StorageType, topic: string): Promise<boolean> {
    const isOwnRemoved = await this.#independent.remove(storage, topic)
    return (await this.#upkeep.removeTopic(this.logOf(storage, topic), topic)) || isOwnRemoved
  }

  /**
   * Removes what is damaged of the records at positions [from, to), so that those who wait for them go on: they are told as by retention. Resolves with the number of
   * records that were lost, as far as it is known.
   */
  removeDamaged(log: LogId, from: Position, to: Position): Promise<number> {
    return this.#upkeep.removeDamaged(log, from, to)
  }

  logs(): readonly LogDescription[] {
    return this.#table.descriptions
  }

  describe(log: LogId): LogDescription | undefined {
    return this.#table.describe(log)
  }

  logOf(storage: StorageType, topic: string, model: StorageModel = 'shared'): LogId {
    const own = model === 'shared' ? undefined : this.#independent.obtain(storage, topic)
    return (own ?? this.#table.sharedOf(storage, topic)).machine.log
  }

  append(log: LogId, batch: RecordBatch, done: (outcome: AppendOutcome) => void): void {
    const stripe = this.#table.get(log)
    if (stripe === undefined) queueMicrotask(() => done({ kind: 'rejected', reason: 'removed' }))
    else stripe.append(batch, done)
  }

  async release(publisher: number, sequence: number, log: LogId | undefined): Promise<boolean> {
    if (log !== undefined) return (await this.#table.get(log)?.release(publisher, sequence)) ?? false
    const knowing = this.#asked().filter(({ machine }) => machine.sequences.position(publisher, sequence) !== undefined)
    const known = await Promise.all(knowing.map((stripe) => stripe.release(publisher, sequence)))
    return known.includes(true)
  }

  async forget(publishers: readonly number[]): Promise<void> {
    const knowing = this.#asked().filter(({ machine }) => publishers.some((publisher) => machine.sequences.knows(publisher)))
    await Promise.all(knowing.map((stripe) => stripe.forget(publishers)))
  }

  async unreleased(publisher: number): Promise<readonly { readonly sequence: number; readonly log: LogId }[]> {
    const knowing = this.#asked().filter(({ machine }) => machine.sequences.knows(publisher))
    return knowing.flatMap(({ machine }) =>
      machine.sequences.committed(publisher, machine.end).map((sequence) => ({ sequence, log: machine.log })),
    )
  }

  attach(sink: TailSink): void {
    this.#feed.attach(sink)
  }

  async register(filter: string): Promise<readonly LogPosition[]> {
    const concerned = this.#concerned(filter)
    this.#feed.interest.add(filter)
    return concerned.map(({ machine }) => ({ log: machine.log, position: machine.end }))
  }

  deregister(filter: string): void {
    this.#feed.interest.remove(filter)
  }

  async openShare(filter: string, sink: ShareSink, progress: readonly ShareProgress[]): Promise<ShareConsumer> {
    const logs = this.#concerned(filter).map(({ machine }) => this.#shareLog(machine))
    return this.#feed.shares.open(filter, sink, logs, progress)
  }

  // The promise is passed on as it is: another `await` in between could make `atEnd` untrue.
  read(request: ReadRequest): Promise<ReadResult> {
    const stripe = this.#table.get(request.log)
    return stripe === undefined ? Promise.resolve(this.#nothingOf(request)) : this.#read(stripe.machine, request)
  }

  readKey(request: KeyReadRequest): Promise<ReadResult> {
    const stripe = this.#table.get(request.log)
    if (stripe === undefined) return Promise.resolve(this.#nothingOf(request))
    const reading = stripe.machine.keyReads.read(request)
    this.#upkeep.watch({ log: request.log, from: request.from }, reading)
    return reading
  }

  async fetch(log: LogId, positions: readonly Position[]): Promise<readonly RecordBatch[]> {
    const machine = this.#table.get(log)?.machine
    try {
      return (await machine?.catchUp.fetch(positions)) ?? []
    } catch (error) {
      if (machine?.isAbandoned === true) return []
      if (isPlatformError(error, ERROR_CODES.dataDamaged)) this.#upkeep.scrubber.examine(log, positions[0] ?? 0)
      throw error
    }
  }

  async positionAt(log: LogId, timeMs: number): Promise<Position> {
    const stripe = this.#table.get(log)
    if (stripe === undefined || stripe.isHeld) return 0
    requireReady([stripe])
    const { machine } = stripe
    try {
      return await positionAt(machine, timeMs)
    } catch (error) {
      if (machine.isAbandoned) return 0
      throw error
    }
  }

  extent(log: LogId): { readonly first: Position; readonly end: Position } {
    return this.#table.extent(log)
  }

  async retainedUpTo(log: LogId, position: Position): Promise<void> {
    const stripe = this.#table.get(log)
    if (stripe === undefined || stripe.isHeld) return
    requireReady([stripe])
    await new Promise<void>((resolve, reject) =>
      stripe.machine.retained.whenSettled(position, (outcome) => {
        if (outcome !== 'abandoned') resolve()
        else reject(new PlatformError(ERROR_CODES.stopping, `log ${log} is given up before its retained values were written`))
      }),
    )
  }

  /** Damage that the reader meets is examined, and the reader is known to be held up by it. */
  #read({ log, catchUp }: StripeMachine, request: Omit<ReadRequest, 'log'>): Promise<ReadResult> {
    const reading = catchUp.read(request)
    this.#upkeep.watch({ ...request, log }, reading)
    return reading
  }

  /** Of a log that is gone: readers that had not read all of it are told. */
  #nothingOf({ log, from: asked }: Pick<ReadRequest, 'log' | 'from'>): ReadResult {
    const from = Math.max(asked, this.#table.extent(log).end)
    return { batches: [], next: from, atEnd: true, from }
  }

  #shareLog(machine: StripeMachine): ShareLog {
    return {
      log: machine.log,
      get end() {
        return machine.end
      },
      catchUp: { read: (request) => this.#read(machine, request), fetch: (positions) => machine.catchUp.fetch(positions) },
    }
  }

  /** All logs but those that are being created, in which there is nothing. */
  #serving(): readonly Stripe[] {
    return this.#table.all.filter(({ isHeld }) => !isHeld)
  }

  /** All of these, when they can tell what they know. Throws notReady or stopping. */
  #asked(): readonly Stripe[] {
    if (this.#stopping) throw new PlatformError(ERROR_CODES.stopping, 'the engine of this node is stopping')
    const stripes = this.#serving()
    requireReady(stripes)
    return stripes
  }

  /** What happens to a log that belongs to one topic. */
  #careWith(create: LogCare['create']): LogCare {
    return {
      create,
      opened: ({ machine }, topic, segments) => {
        this.#upkeep.add(machine, this.#retention.add(machine, topic, segments))
        this.#feed.shares.include(this.#shareLog(machine), topic)
      },
      closed: async ({ machine }) => {
        this.#feed.shares.exclude(machine.log)
        this.#retention.remove(machine.log)
        await this.#upkeep.remove(machine)
      },
    }
  }

  /** The logs in which a matching topic can be. They must be led here, or be new and empty. */
  #concerned(filter: string): readonly Stripe[] {
    const concerned = this.#table.concerned(filter)
    requireReady(concerned.filter(({ isHeld }) => !isHeld))
    return concerned
  }

  #registerGauges(tailBytes: (storage: StorageType) => number): void {
    const sum = (count: (machine: StripeMachine) => number, storage?: StorageType): number =>
      this.#table.all.reduce(
        (total, { machine }) => (storage === undefined || machine.storage === storage ? total + count(machine) : total),
        0,
      )
    registerGauges(this.#ports.metrics, {
      tailBytes,
      backlogBytes: () => sum(({ stored }) => stored?.writer.backlogBytes ?? 0),
      storedBytes: (storage) => sum(({ stored }) => stored?.writer.storedBytes ?? 0, storage),
      topics: () => sum(({ stored }) => stored?.dictionary.size ?? 0),
      unreleasedSequences: (storage) => sum(({ sequences }) => sequences.size, storage),
      interests: () => this.#feed.interest.size,
      independentLogs: (storage) => this.#table.independentCount(storage),
    })
  }

  #scheduleRetention(): void {
    if (this.#stopping) return
    this.#retentionTimer = this.#ports.clock.after(this.#retentionIntervalMs, () => {
      this.#upkeep.retain(this.#ports.clock.realtime()).then(
        () => this.#scheduleRetention(),
        (error: Error) => this.#ports.crash(error),
      )
    })
  }
}

const NO_PLACES: ScrubbedPlaces = { files: async () => ({ damaged: [], verified: new Map() }), ranges: [] }

/** Before a log is led here, its end and its sequences may be out of date (L12). */
function requireReady(stripes: readonly Stripe[]): void {
  const waiting = stripes.find((stripe) => !stripe.leading)
  if (waiting !== undefined) throw new PlatformError(ERROR_CODES.notReady, `log ${waiting.machine.log} has no leader yet; try again`)
}
