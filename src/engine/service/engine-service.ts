// SPDX-License-Identifier: Apache-2.0
// The engine of one node: its logs behind the port that brokers use. In-process: calls are direct, batches are passed as they are.

import { assert, must } from '#base/assert'
import type { Component } from '#base/component'
import type { Config } from '#base/config/schema'
import { crc32c } from '#base/crc32c'
import { PlatformError } from '#base/error'
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
import { ChunkBuilder } from '../log/chunk-builder.ts'
import { Retention } from '../log/retention.ts'
import { type Proposer, Stripe } from '../log/stripe.ts'
import { TailBudget } from '../log/tail.ts'
import { positionAt } from '../log/time-index.ts'
import { createEvictionCounter, createStripeMetrics, registerGauges } from './engine-metrics.ts'

export interface EngineOptions {
  /** Logs of each storage type. */
  readonly stripes: number
  /** Bound of what the memory logs keep, over all of them. */
  readonly memoryBytes: number
  /** Bound of the recent records of rocksdb logs kept in memory, over all of them. */
  readonly tailBytes: number
  readonly retention: EngineRetention
}

export interface EngineRetention {
  /** 0 for no limit. */
  readonly maxAgeMs: number
  /** Over all rocksdb logs; 0 for no limit. */
  readonly maxBytes: number
  /** Time between two rounds; a minute by default. */
  readonly intervalMs?: number
}

export type EnginePorts = Pick<Ports, 'kv' | 'clock' | 'logger' | 'metrics' | 'crash' | 'probe'>

/** A log whose group is to be created by the composition: durable for rocksdb, ephemeral for memory. */
export interface EngineMachine extends LogDescription {
  readonly machine: StateMachine
}

/** Bytes that wait for the store before a log stops applying. */
const BACKLOG_BYTES_MAX = 64 * 1024 * 1024
const RETENTION_INTERVAL_MS = 60_000
const TOPIC_BYTES_MAX = 0xffff
/** Topics are hashed with their tenant. */
const TENANT_PREFIX = 'default/'

export class EngineService implements EngineClient, ShareClient, Component {
  readonly name = 'engine'
  readonly #ports: EnginePorts
  readonly #options: EngineOptions
  readonly #feed = new TailFeed()
  readonly #stripes: readonly Stripe[]
  readonly #descriptions: readonly LogDescription[]
  readonly #retentions: readonly Retention[]
  /** Of one log; read in each round of retention. */
  readonly #limits: { maxAgeMs: number; maxBytes: number }
  /** A topic with its tenant, to be hashed. */
  readonly #hashed = Buffer.alloc(TENANT_PREFIX.length + TOPIC_BYTES_MAX)
  #retentionTimer: Timer | undefined
  #retentionRound: Promise<void> = Promise.resolve()
  #stopping = false

  constructor(ports: EnginePorts, options: EngineOptions, meta: Pick<MetaClient, 'retain'>) {
    assert(Number.isInteger(options.stripes) && options.stripes > 0, 'an engine has at least one stripe')
    this.#ports = ports
    this.#options = options
    const chunkBuilder = new ChunkBuilder()
    const share = (storage: StorageType, budgetBytes: number) => ({
      ports: { ...ports, logger: ports.logger.scope('engine') },
      meta,
      listener: this.#feed,
      metrics: createStripeMetrics(ports.metrics, storage),
      budget: new TailBudget(budgetBytes, createEvictionCounter(ports.metrics, storage)),
      chunkBuilder,
      backlogBytesMax: BACKLOG_BYTES_MAX,
    })
    const stored = share('rocksdb', options.tailBytes)
    const inMemory = share('memory', options.memoryBytes)
    const indexes = Array.from({ length: options.stripes }, (_, index) => index)
    const storedStripes = indexes.map((index) => new Stripe(index, 'rocksdb', stored))
    this.#stripes = [...storedStripes, ...indexes.map((index) => new Stripe(options.stripes + index, 'memory', inMemory))]
    this.#descriptions = this.#stripes.map(({ machine }) => ({ id: machine.log, storage: machine.storage }))
    this.#limits = { maxAgeMs: options.retention.maxAgeMs, maxBytes: this.#share(options.retention.maxBytes) }
    this.#retentions = storedStripes.map(({ machine }) => new Retention(machine, this.#limits, stored.metrics))
    this.#hashed.write(TENANT_PREFIX, 'latin1')
    const sum = (count: (stripe: Stripe) => number, storage?: StorageType): number =>
      this.#stripes.reduce(
        (total, stripe) => (storage === undefined || stripe.machine.storage === storage ? total + count(stripe) : total),
        0,
      )
    registerGauges(ports.metrics, {
      tailBytes: (storage) => (storage === 'memory' ? inMemory : stored).budget.bytes,
      backlogBytes: () => sum(({ machine }) => machine.stored?.writer.backlogBytes ?? 0),
      storedBytes: () => sum(({ machine }) => machine.stored?.writer.storedBytes ?? 0),
      topics: () => sum(({ machine }) => machine.stored?.dictionary.size ?? 0),
      unreleasedSequences: (storage) => sum(({ machine }) => machine.sequences.size, storage),
      interests: () => this.#feed.interest.size,
    })
  }

  /** The state machines, for which groups are created before anything starts. */
  machines(): readonly EngineMachine[] {
    return this.#stripes.map(({ machine }) => ({ id: machine.log, storage: machine.storage, machine }))
  }

  /** Gives a log its group. */
  connect(log: LogId, proposer: Proposer): void {
    this.#stripe(log).connect(proposer)
  }

  /** Waits until every log is led here: the groups must have been started. */
  async start(): Promise<void> {
    await Promise.all(this.#stripes.map((stripe) => stripe.whenLeading()))
    this.#scheduleRetention()
  }

  async stop(): Promise<void> {
    this.#stopping = true
    this.#retentionTimer?.cancel()
    for (const stripe of this.#stripes) stripe.stop()
    await this.#retentionRound
    await Promise.all(this.#stripes.map(({ machine }) => machine.persist()))
  }

  /** Limits of retention hold from the next round on. */
  reload({ engine }: Config): void {
    this.#limits.maxAgeMs = engine.retention.maxAge
    this.#limits.maxBytes = this.#share(engine.retention.maxBytes)
  }

  unready(): string | undefined {
    const waiting = this.#stripes.filter((stripe) => !stripe.leading).map(({ machine }) => machine.log)
    return waiting.length === 0 ? undefined : `no leader yet for logs ${waiting.join(', ')}`
  }

  logs(): readonly LogDescription[] {
    return this.#descriptions
  }

  logOf(storage: StorageType, topic: string): LogId {
    const end = TENANT_PREFIX.length + this.#hashed.write(topic, TENANT_PREFIX.length)
    const index = crc32c(this.#hashed, 0, 0, end) % this.#options.stripes
    return storage === 'rocksdb' ? index : this.#options.stripes + index
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
    return this.#stripe(request.log).machine.catchUp.read(request)
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
    const concerned = hasWildcard(filter)
      ? this.#stripes
      : [this.#stripe(this.logOf('rocksdb', filter)), this.#stripe(this.logOf('memory', filter))]
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
      this.#retentionRound = this.#retain().then(
        () => this.#scheduleRetention(),
        (error: Error) => this.#ports.crash(error),
      )
    })
  }

  async #retain(): Promise<void> {
    const nowMs = this.#ports.clock.realtime()
    for (const retention of this.#retentions) await retention.run(nowMs, () => this.#stopping)
  }
}
