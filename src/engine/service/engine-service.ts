// SPDX-License-Identifier: Apache-2.0
// The engine of one node: its logs behind the port that brokers use. In-process: calls are direct, batches are passed as they are.

import { assert, must } from '#base/assert'
import type { Component } from '#base/component'
import type { Config } from '#base/config/schema'
import { crc32c } from '#base/crc32c'
import { isPlatformError, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Timer } from '#base/port/clock'
import type { Ports } from '#base/port/ports'
import { hasWildcard } from '#base/topic-filter'
import type {
  AppendOutcome,
  EngineClient,
  LogDescription,
  LogId,
  LogPosition,
  Position,
  ReadRequest,
  ReadResult,
  StorageType,
  TailSink,
} from '#contract/client/engine-client'
import type { MetaClient } from '#contract/client/meta-client'
import type { ShareClient, ShareConsumer, ShareProgress, ShareSink } from '#contract/client/share-client'
import type { RecordBatch } from '#contract/record/record-batch'
import type { StateMachine } from '#raft'
import { TailFeed } from '../interest/tail-feed.ts'
import { ChunkBuilder, type ChunkWriter } from '../log/chunk-builder.ts'
import type { EntryReader } from '../log/entry-batches.ts'
import { ReferenceBuilder } from '../log/reference-builder.ts'
import { Retention } from '../log/retention.ts'
import { SegmentRetention, type SegmentStore } from '../log/segment-retention.ts'
import { type Proposer, Stripe } from '../log/stripe.ts'
import type { StripeMachine, StripeShare } from '../log/stripe-machine.ts'
import { TailBudget } from '../log/tail.ts'
import { positionAt } from '../log/time-index.ts'
import type { TopicLimits } from '../log/topic-retention.ts'
import { createEvictionCounter, createStripeMetrics, registerGauges } from './engine-metrics.ts'
import { type LogReport, reportLog } from './storage-report.ts'
import { topicLimits, Upkeep } from './upkeep.ts'

export interface EngineOptions {
  /** Logs of each storage type. */
  readonly stripes: number
  /** Bound of what the memory logs keep, over all of them. */
  readonly memoryBytes: number
  /** Bound of the recent records kept in memory of the rocksdb logs, over all of them, and of the segment logs. */
  readonly tailBytes: number
  readonly retention: EngineRetention
  /** Bytes of stored records verified in the background in a second; 0, the default, for none. */
  readonly scrubRate?: number
}

export interface EngineRetention {
  /** 0 for no limit. */
  readonly maxAgeMs: number
  /** Over all rocksdb logs, and of the files of the segment logs; 0 for no limit. */
  readonly maxBytes: number
  /** Limits of single topics; none by default. */
  readonly topics?: readonly TopicLimits[]
  /** Time between two rounds; a minute by default. */
  readonly intervalMs?: number
}

export type EnginePorts = Pick<Ports, 'kv' | 'clock' | 'logger' | 'metrics' | 'crash' | 'probe'>

/** A log whose group is to be created by the composition: durable for rocksdb, ephemeral for memory, in the segments for segment. */
export interface EngineMachine extends LogDescription {
  readonly machine: StateMachine
}

/** Bytes that wait for the store before a log stops applying. */
const BACKLOG_BYTES_MAX = 64 * 1024 * 1024
const RETENTION_INTERVAL_MS = 60_000
const TOPIC_BYTES_MAX = 0xffff
/** Memory logs are bounded together, not each by retention. */
const UNLIMITED = { maxAgeMs: 0, maxBytes: 0 } as const
/** Logs are numbered type by type in this order, which is never changed: sessions keep the numbers. */
const STORAGE_TYPES = ['rocksdb', 'memory', 'segment'] as const satisfies readonly StorageType[]
/** Topics are hashed with their tenant. */
const TENANT_PREFIX = 'default/'

export class EngineService implements EngineClient, ShareClient, Component {
  readonly name = 'engine'
  readonly #ports: EnginePorts
  readonly #options: EngineOptions
  readonly #feed = new TailFeed()
  readonly #stripes: readonly Stripe[]
  readonly #descriptions: readonly LogDescription[]
  readonly #upkeep: Upkeep
  /** Of one log; read in each round of retention. */
  readonly #limits: { maxAgeMs: number; maxBytes: number }
  readonly #segmentLimits: { maxAgeMs: number; maxBytes: number }
  #segmentBytesMax: number
  /** A topic with its tenant, to be hashed. */
  readonly #hashed = Buffer.alloc(TENANT_PREFIX.length + TOPIC_BYTES_MAX)
  #retentionTimer: Timer | undefined
  #stopping = false

  constructor(ports: EnginePorts, options: EngineOptions, meta: Pick<MetaClient, 'retain'>, segments: SegmentStore) {
    assert(Number.isInteger(options.stripes) && options.stripes > 0, 'an engine has at least one stripe')
    this.#ports = ports
    this.#options = options
    const share = (storage: StorageType, budgetBytes: number, chunkBuilder: ChunkWriter): StripeShare => ({
      ports: { ...ports, logger: ports.logger.scope('engine') },
      meta,
      listener: this.#feed,
      metrics: createStripeMetrics(ports.metrics, storage),
      budget: new TailBudget(budgetBytes, createEvictionCounter(ports.metrics, storage)),
      chunkBuilder,
      backlogBytesMax: BACKLOG_BYTES_MAX,
    })
    const shares = {
      rocksdb: share('rocksdb', options.tailBytes, new ChunkBuilder()),
      memory: share('memory', options.memoryBytes, new ChunkBuilder()),
      segment: share('segment', options.tailBytes, new ReferenceBuilder()),
    }
    this.#stripes = STORAGE_TYPES.flatMap((storage, kind) =>
      Array.from({ length: options.stripes }, (_, index) => new Stripe(kind * options.stripes + index, storage, shares[storage])),
    )
    this.#descriptions = this.#stripes.map(({ machine }) => ({ id: machine.log, storage: machine.storage }))
    const { maxAgeMs, maxBytes } = options.retention
    this.#limits = { maxAgeMs, maxBytes: this.#share(maxBytes) }
    this.#segmentLimits = { maxAgeMs, maxBytes: 0 }
    this.#segmentBytesMax = maxBytes
    const ofType = (type: StorageType): readonly StripeMachine[] =>
      this.#stripes.map(({ machine }) => machine).filter(({ storage }) => storage === type)
    const retentions = ofType('segment').map(
      (machine) => [machine.log, new Retention(machine, this.#segmentLimits, shares.segment.metrics)] as const,
    )
    const rounds = [
      ...ofType('rocksdb').map((machine) => new Retention(machine, this.#limits, shares.rocksdb.metrics)),
      new SegmentRetention(segments, new Map(retentions), () => this.#segmentBytesMax),
    ]
    const machines = this.#stripes.map(({ machine }) => machine)
    const upkeepPorts = { ...shares.rocksdb.ports, metrics: ports.metrics }
    this.#upkeep = new Upkeep(machines, rounds, upkeepPorts, shares.rocksdb.metrics, options.retention.topics ?? [])
    this.#hashed.write(TENANT_PREFIX, 'latin1')
    const sum = (count: (stripe: Stripe) => number, storage?: StorageType): number =>
      this.#stripes.reduce(
        (total, stripe) => (storage === undefined || stripe.machine.storage === storage ? total + count(stripe) : total),
        0,
      )
    registerGauges(ports.metrics, {
      tailBytes: (storage) => shares[storage].budget.bytes,
      backlogBytes: () => sum(({ machine }) => machine.stored?.writer.backlogBytes ?? 0),
      storedBytes: (storage) => sum(({ machine }) => machine.stored?.writer.storedBytes ?? 0, storage),
      topics: () => sum(({ machine }) => machine.stored?.dictionary.size ?? 0),
      unreleasedSequences: (storage) => sum(({ machine }) => machine.sequences.size, storage),
      interests: () => this.#feed.interest.size,
    })
  }

  /** The state machines, for which groups are created before anything starts. */
  machines(): readonly EngineMachine[] {
    return this.#stripes.map(({ machine }) => ({ id: machine.log, storage: machine.storage, machine }))
  }

  /** Gives a log its group, and one of type segment the entries of it. */
  connect(log: LogId, proposer: Proposer, entries?: EntryReader): void {
    this.#stripe(log).connect(proposer, entries)
  }

  /** Waits until every log is led here: the groups must have been started. */
  async start(): Promise<void> {
    await Promise.all(this.#stripes.map((stripe) => stripe.whenLeading()))
    this.#scheduleRetention()
    this.#upkeep.scrubber.start(this.#options.scrubRate ?? 0)
  }

  async stop(): Promise<void> {
    this.#stopping = true
    this.#retentionTimer?.cancel()
    for (const stripe of this.#stripes) stripe.stop()
    await this.#upkeep.stop()
    await Promise.all(this.#stripes.map(({ machine }) => machine.persist()))
  }

  /** Limits of retention hold from the next round on. */
  reload({ engine, topic }: Config): void {
    this.#upkeep.setLimits(topicLimits(topic))
    this.#upkeep.scrubber.setRate(engine.scrubRate)
    this.#limits.maxAgeMs = engine.retention.maxAge
    this.#limits.maxBytes = this.#share(engine.retention.maxBytes)
    this.#segmentLimits.maxAgeMs = engine.retention.maxAge
    this.#segmentBytesMax = engine.retention.maxBytes
  }

  unready(): string | undefined {
    const waiting = this.#stripes.filter((stripe) => !stripe.leading).map(({ machine }) => machine.log)
    return waiting.length === 0 ? undefined : `no leader yet for logs ${waiting.join(', ')}`
  }

  /** Damage that is known and does not keep the node from serving the rest. */
  warnings(): readonly string[] {
    return this.#upkeep.scrubber.damaged.map(
      ({ log, from, to, topics }) => `log ${log}: records of ${topics.join(', ')} at positions ${from} to ${to} are damaged and not served`,
    )
  }

  /** Every log, as those who look after it want to see it. */
  storage(): readonly LogReport[] {
    const limitsOf = { rocksdb: this.#limits, segment: { ...this.#segmentLimits, maxBytes: this.#segmentBytesMax }, memory: UNLIMITED }
    return this.#stripes.map(({ machine }) => reportLog(machine, this.#upkeep.scrubber, limitsOf[machine.storage]))
  }

  /**
   * Removes the stored records of a topic, and the topic, from the log that holds it. Records appended meanwhile may stay. False when it is unknown there, or
   * the type has no removal of single topics: only rocksdb has.
   */
  removeTopic(storage: StorageType, topic: string): Promise<boolean> {
    return this.#upkeep.removeTopic(this.logOf(storage, topic), topic)
  }

  logs(): readonly LogDescription[] {
    return this.#descriptions
  }

  logOf(storage: StorageType, topic: string): LogId {
    const end = TENANT_PREFIX.length + this.#hashed.write(topic, TENANT_PREFIX.length)
    const index = crc32c(this.#hashed, 0, 0, end) % this.#options.stripes
    return STORAGE_TYPES.indexOf(storage) * this.#options.stripes + index
  }

  append(log: LogId, batch: RecordBatch, done: (outcome: AppendOutcome) => void): void {
    this.#stripe(log).append(batch, done)
  }

  async release(publisher: number, sequence: number, log: LogId | undefined): Promise<boolean> {
    if (log !== undefined) return await this.#stripe(log).release(publisher, sequence)
    const known = await Promise.all(this.#stripes.map((stripe) => stripe.release(publisher, sequence)))
    return known.includes(true)
  }

  async forget(publishers: readonly number[]): Promise<void> {
    await Promise.all(this.#stripes.map((stripe) => stripe.forget(publishers)))
  }

  async unreleased(publisher: number): Promise<readonly { readonly sequence: number; readonly log: LogId }[]> {
    this.#requireReady(this.#stripes)
    return this.#stripes.flatMap(({ machine }) =>
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
    const logs = this.#concerned(filter).map(({ machine }) => machine)
    return this.#feed.shares.open(filter, sink, logs, progress)
  }

  // The promise is passed on as it is: another `await` in between could make `atEnd` untrue.
  read(request: ReadRequest): Promise<ReadResult> {
    const reading = this.#stripe(request.log).machine.catchUp.read(request)
    reading.catch((error: unknown) => {
      if (isPlatformError(error, ERROR_CODES.dataDamaged)) this.#upkeep.scrubber.examine(request.log, request.from)
    })
    return reading
  }

  fetch(log: LogId, positions: readonly Position[]): Promise<readonly RecordBatch[]> {
    return this.#stripe(log).machine.catchUp.fetch(positions)
  }

  async positionAt(log: LogId, timeMs: number): Promise<Position> {
    const stripe = this.#stripe(log)
    this.#requireReady([stripe])
    return await positionAt(stripe.machine, timeMs)
  }

  extent(log: LogId): { readonly first: Position; readonly end: Position } {
    const { first, end } = this.#stripe(log).machine
    return { first, end }
  }

  async retainedUpTo(log: LogId, position: Position): Promise<void> {
    const stripe = this.#stripe(log)
    this.#requireReady([stripe])
    await new Promise<void>((resolve, reject) =>
      stripe.machine.retained.whenSettled(position, (outcome) => {
        if (outcome !== 'abandoned') resolve()
        else reject(new PlatformError(ERROR_CODES.stopping, `log ${log} is given up before its retained values were written`))
      }),
    )
  }

  /** Of bytes for all logs, those for one. */
  #share(bytes: number): number {
    return Math.ceil(bytes / this.#options.stripes)
  }

  #stripe(log: LogId): Stripe {
    return must(this.#stripes[log], 'logs are numbered densely, and callers know which there are')
  }

  /** The logs in which a matching topic can be. They must be led here. */
  #concerned(filter: string): readonly Stripe[] {
    const concerned = hasWildcard(filter) ? this.#stripes : STORAGE_TYPES.map((storage) => this.#stripe(this.logOf(storage, filter)))
    this.#requireReady(concerned)
    return concerned
  }

  /** Before a log is led here, its end and its sequences may be out of date (L12). */
  #requireReady(stripes: readonly Stripe[]): void {
    const waiting = stripes.find((stripe) => !stripe.leading)
    if (waiting !== undefined) throw new PlatformError(ERROR_CODES.notReady, `log ${waiting.machine.log} has no leader yet; try again`)
  }

  #scheduleRetention(): void {
    if (this.#stopping) return
    this.#retentionTimer = this.#ports.clock.after(this.#options.retention.intervalMs ?? RETENTION_INTERVAL_MS, () => {
      this.#upkeep.retain(this.#ports.clock.realtime()).then(
        () => this.#scheduleRetention(),
        (error: Error) => this.#ports.crash(error),
      )
    })
  }
}
