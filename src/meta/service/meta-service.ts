// SPDX-License-Identifier: Apache-2.0
// The meta service of a node: the contract's MetaClient on the meta groups that run in this process.
import { assert } from '#base/assert'
import type { Component } from '#base/component'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Timer } from '#base/port/clock'
import type { Logger } from '#base/port/logger'
import type { Ports } from '#base/port/ports'
import type { KvClient } from '#contract/client/kv-client'
import type { CataloguedLog, LogCatalogue, LogCreation } from '#contract/client/log-catalogue'
import type {
  CloseSessionRequest,
  MetaClient,
  OpenedSession,
  OpenSessionRequest,
  RetainedValue,
  RetainedWrite,
  SessionWrite,
  SharedMember,
} from '#contract/client/meta-client'
import type { BrokerIdentity, Session, SessionKey, Subscription, Will } from '#contract/record/session'
import { AppliedSignal } from '../applied-signal.ts'
import type { MetaGroupKind } from '../codec/applied-codec.ts'
import type { CursorSave } from '../command/cursor-command.ts'
import { type ProgramVersion, THIS_PROGRAM } from '../program-version.ts'
import { DelayedService } from './delayed-service.ts'
import { ExclusiveService } from './exclusive-service.ts'
import { GroupClient, type GroupClientPorts } from './group-client.ts'
import { KvService } from './kv-service.ts'
import { LogCatalogueService } from './log-catalogue-service.ts'
import { MemberService } from './member-service.ts'
import { NodeService } from './node-service.ts'
import type { Proposer } from './proposer.ts'
import { RetainedService } from './retained-service.ts'
import { SessionService } from './session-service.ts'
import { TopicSettingsService } from './topic-settings-service.ts'
import { VersionGate } from './version-gate.ts'

/** Between two collections of expired retained messages and of what ended sessions have left. The first one is this long after the start: by then what a crash left open has been written. */
const COLLECT_INTERVAL_MS = 600_000
const LEADERSHIP_LOST: readonly unknown[] = [
  ERROR_CODES.notLeader,
  ERROR_CODES.notReady,
  ERROR_CODES.proposalDropped,
  ERROR_CODES.outcomeUnknown,
]

export interface MetaGroups {
  readonly metadata: Proposer
  /** In the order of their ordinals. */
  readonly offset: readonly Proposer[]
  readonly data: readonly Proposer[]
  /** Raised by the state machines of the groups, in the same order. Without them nothing is seen that other nodes have done, unless it is asked for. */
  readonly signals?: {
    readonly metadata: AppliedSignal
    readonly offset: readonly AppliedSignal[]
    readonly data: readonly AppliedSignal[]
  }
  /** All nodes of the cluster, learners included; without it they are those that have ever registered. */
  readonly members?: () => readonly number[]
}

type MetaPorts = Pick<Ports, 'kv' | 'clock' | 'logger' | 'metrics' | 'crash'>

export class MetaService implements MetaClient, Component {
  readonly name = 'meta'
  readonly delayed: DelayedService
  readonly exclusive: ExclusiveService
  readonly topicSettings: TopicSettingsService
  readonly members: MemberService
  readonly #ports: MetaPorts
  readonly #logger: Logger
  readonly #kv: KvService
  readonly #nodes: NodeService
  readonly #catalogue: LogCatalogueService
  /** All of the node. */
  readonly #groups: readonly GroupClient[]
  readonly #sessions: SessionService
  readonly #retained: RetainedService
  #state: 'new' | 'started' | 'stopping' = 'new'
  #timer: Timer | undefined
  /** The collection that is under way. */
  #collecting: Promise<void> = Promise.resolve()

  /** The groups must serve before the service is started, and until it has stopped. */
  constructor(ports: MetaPorts, groups: MetaGroups, program: ProgramVersion = THIS_PROGRAM) {
    assert(groups.offset.length > 0 && groups.data.length > 0, 'there is at least one group of each kind')
    this.#ports = ports
    this.#logger = ports.logger.scope('meta')
    const gate = new VersionGate(program)
    const { signals } = groups
    const signal = signals?.metadata ?? new AppliedSignal()
    const clientsOf = (kind: MetaGroupKind, of: readonly Proposer[], signalsOf: readonly AppliedSignal[] = []): readonly GroupClient[] =>
      createClients(kind, of, signalsOf, ports, { ...ports, gate })
    const offset = clientsOf('offset', groups.offset, signals?.offset)
    const data = clientsOf('data', groups.data, signals?.data)
    const [metadata] = clientsOf('metadata', [groups.metadata], [signal]) as [GroupClient]
    this.#groups = [metadata, ...offset, ...data]
    this.#kv = new KvService(metadata, ports.clock, signal)
    this.topicSettings = new TopicSettingsService(this.#kv, ports.clock, this.#logger)
    this.#nodes = new NodeService(metadata, gate, signal, groups.members, ports.crash)
    this.members = new MemberService(metadata, this.#nodes)
    this.#catalogue = new LogCatalogueService(metadata)
    this.#sessions = new SessionService(data, offset, this.#logger)
    this.#retained = new RetainedService(data, ports, groups.signals?.data ?? [])
    this.delayed = new DelayedService(data)
    this.exclusive = new ExclusiveService(data, (keys) => this.#sessions.livingUids(keys))
    ports.metrics.gauge('meta_retained_messages', 'Retained messages, expired ones counted until they are collected.', () =>
      this.#retained.count(),
    )
  }

  async start(): Promise<void> {
    await this.#retained.start()
    await this.#collectFirst()
    this.#state = 'started'
    this.#scheduleCollection()
  }

  async stop(): Promise<void> {
    this.#state = 'stopping'
    this.#timer?.cancel()
    this.topicSettings.stop()
    this.#kv.stop()
    this.#nodes.stop()
    this.#retained.stop()
    await Promise.all([this.#collecting, ...this.#groups.map((group) => group.stop())])
  }

  unready(): string | undefined {
    return this.#state === 'started' ? undefined : `the meta service is ${this.#state === 'new' ? 'starting' : 'stopping'}`
  }

  get kv(): KvClient {
    return this.#kv
  }

  registerNode(node: number, nowMs: number): Promise<BrokerIdentity> {
    return this.#nodes.register(node, nowMs)
  }

  /** Lets a registration that waits for a leader end, by a rejection. */
  interruptRegistration(): void {
    this.#nodes.interrupt()
  }

  openSession(request: OpenSessionRequest): Promise<OpenedSession> {
    return this.#sessions.open(request)
  }

  closeSession(request: CloseSessionRequest): Promise<SessionWrite> {
    return this.#sessions.close(request)
  }

  takeWill(key: SessionKey, uid: number, epoch: number): Promise<Will | undefined> {
    return this.#sessions.takeWill(key, uid, epoch)
  }

  endSession(key: SessionKey, uid: number, epoch: number): Promise<SessionWrite> {
    return this.#sessions.end(key, uid, epoch)
  }

  subscribe(key: SessionKey, epoch: number, subscriptions: readonly Subscription[]): Promise<SessionWrite> {
    return this.#sessions.subscribe(key, epoch, subscriptions)
  }

  unsubscribe(key: SessionKey, epoch: number, filters: readonly string[]): Promise<SessionWrite> {
    return this.#sessions.unsubscribe(key, epoch, filters)
  }

  saveCursors(saves: readonly CursorSave[]): Promise<void> {
    return this.#sessions.saveCursors(saves)
  }

  sharedMembers(after: SessionKey | undefined, count: number): Promise<readonly SharedMember[]> {
    return this.#sessions.sharedMembers(after, count)
  }

  sessions(after: SessionKey | undefined, count: number): Promise<readonly Session[]> {
    return this.#sessions.list(after, count)
  }

  retain(writes: readonly RetainedWrite[]): Promise<void> {
    return this.#retained.retain(writes, this.#ports.clock.realtime())
  }

  retained(filter: string, after: string | undefined, count: number, nowMs: number): Promise<readonly RetainedValue[]> {
    return this.#retained.read(filter, after, count, nowMs)
  }

  retainedCount(): number {
    return this.#retained.count()
  }

  retainedBytes(): number {
    return this.#retained.bytes()
  }

  createLog(log: CataloguedLog): Promise<LogCreation> {
    return this.#catalogue.create(log)
  }

  removeLog(log: CataloguedLog): Promise<void> {
    return this.#catalogue.remove(log)
  }

  logs(): Promise<LogCatalogue> {
    return this.#catalogue.list()
  }

  #scheduleCollection(): void {
    if (this.#state === 'stopping') return
    this.#timer = this.#ports.clock.after(COLLECT_INTERVAL_MS, () => {
      this.#collecting = this.#collect()
    })
  }

  async #collectCursors(): Promise<void> {
    const cursors = await this.#sessions.collectCursors()
    if (cursors > 0) this.#logger.log('info', 'removed the cursors of sessions that had ended', { sessions: cursors })
  }

  /** Leadership of a group that is lost meanwhile is no reason not to serve: its next leader collects. */
  async #collectFirst(): Promise<void> {
    try {
      await this.#collectCursors()
    } catch (error) {
      if (!isPlatformError(error) || !LEADERSHIP_LOST.includes(error.code)) throw error
      this.#logger.log('warn', 'what ended sessions have left stays until the next collection', { reason: error.message })
    }
  }

  /** Each part of it is done by the node that leads the group concerned. */
  async #collect(): Promise<void> {
    try {
      await this.#collectCursors()
      await this.#retained.collect(this.#ports.clock.realtime(), () => this.#state === 'stopping')
      await this.exclusive.collect(() => this.#state === 'stopping')
    } catch (error) {
      if (!isPlatformError(error)) throw error
      if (this.#state === 'stopping') return
      this.#logger.log('warn', 'what has expired stays until the next collection', { reason: error.message })
    }
    this.#scheduleCollection()
  }
}

function createClients(
  kind: MetaGroupKind,
  groups: readonly Proposer[],
  signals: readonly AppliedSignal[],
  ports: MetaPorts,
  shared: GroupClientPorts,
): readonly GroupClient[] {
  const counters = {
    commands: ports.metrics.counter('meta_commands_total', 'Commands proposed to the meta groups.', { kind }),
    entries: ports.metrics.counter('meta_entries_total', 'Raft entries that the commands were packed into.', { kind }),
  }
  return groups.map((group, at) => new GroupClient(group, signals[at] ?? new AppliedSignal(), shared, counters))
}
