// SPDX-License-Identifier: Apache-2.0
// Which components make up a node, in the order of their start. Names every part and decides nothing; the simulator composes the same.
import type { Component } from '#base/component'
import type { Config } from '#base/config/schema'
import type { PeerTransport } from '#base/port/peer-transport'
import type { Ports } from '#base/port/ports'
import { Broker } from '#broker'
import type { RpcServer } from '#contract/client/rpc'
import { type EngineMeta, EngineService, type EntryReader, NodeScrubber, type SegmentStore, topicLimits } from '#engine'
import {
  ADMIN_SERVICE,
  type AddressBook,
  type AdministeredGroup,
  AdminService,
  AppliedSignal,
  createMetaMachine,
  KV_SERVICE,
  kvRpcService,
  MemberDirectory,
  type MetaGroupKind,
  MetaService,
} from '#meta'
import { type FileLogOptions, FileLogStore, type LogStore, MemoryLogStore, type RaftGroup, RaftHost, type RaftHostLimits } from '#raft'
import { createAdminApp, HttpServer, type MetricsSource } from '#server'
import { TopicSettings } from '#storage'
import { IndependentGroups } from './independent-groups.ts'
import { scrubbedPlaces } from './scrubbed-places.ts'

/** What the admin server shows of the node that it is a part of. */
export interface NodeView {
  readonly unready: () => readonly string[]
  readonly warnings: () => readonly string[]
  readonly metrics: MetricsSource
}

/** Directory of the write-ahead log below the data path. */
export const WAL_DIRECTORY = 'wal'

/** Directory of the logs of type segment. */
const SEGMENT_DIRECTORY = 'segments'

/** First group id of each kind. Ids are never reused for anything else: they name the groups on disk. */
const GROUP = Object.freeze({ metadata: 1, offset: 0x100, data: 0x200, log: 0x1000 })

/** How a node meets the others of its cluster. */
export interface ClusterParts {
  /** Serves what other nodes call. Starts before what it serves. */
  readonly server: Component & RpcServer
  readonly transport: PeerTransport
  /** Keeps the addresses of the members. Without one a node that starts knows those of its configuration. */
  readonly book?: AddressBook
  /** In place of the bounds of consensus and its log that production has: the simulator reaches small ones in a short run. */
  readonly bounds?: { readonly host: Partial<RaftHostLimits>; readonly wal: Omit<FileLogOptions, 'directory'> }
}

/** `cluster` is there when the configuration names other nodes. */
export function composeNode(ports: Ports, config: Config, view: NodeView, cluster?: ClusterParts): readonly Component[] {
  const { heartbeatInterval, electionTimeout } = config.meta
  const wal = new FileLogStore(ports.disk, ports.clock, { directory: WAL_DIRECTORY, ...cluster?.bounds?.wal })
  const segments = new FileLogStore(ports.disk, ports.clock, { directory: SEGMENT_DIRECTORY, segmentBytes: config.engine.segmentBytes })
  const host = new RaftHost(
    ports,
    { durable: wal, ephemeral: new MemoryLogStore(), ...(cluster === undefined && { retained: segments }) },
    {
      nodeId: config.nodeId,
      walBytesMax: config.engine.walBytes,
      ...(cluster === undefined && { lateGroupsFrom: GROUP.log }),
      tickMs: heartbeatInterval,
      timing: { heartbeatTicks: 1, electionTicks: Math.ceil(electionTimeout / heartbeatInterval) },
      ...cluster?.bounds?.host,
    },
    cluster?.transport,
  )
  const server = composeServer(ports, config, view)
  if (cluster !== undefined) return [...server, cluster.server, host, ...composeSharedMeta(ports, config, host, cluster)]
  const meta = composeMeta(ports, config, host).service
  const engine = composeEngine(ports, config, host, meta, segments)
  const broker = new Broker(ports, config, meta, engine)
  const topics = new TopicSettings(meta.topicSettings, ports.logger, config.topic, [
    (topics) => engine.setTopicLimits(topicLimits(topics)),
    (topics) => broker.setTopics(topics),
  ])
  return [...server, host, meta, topics, engine, broker]
}

/** The common server layer. It starts first, so that health can be asked while the rest starts. */
function composeServer({ clock, logger }: Ports, config: Config, view: NodeView): readonly Component[] {
  if (config.httpPort === 0) return []
  const metrics = config.prometheus.enable ? view.metrics : undefined
  const app = createAdminApp({ logger, unready: view.unready, warnings: view.warnings, metrics })
  return [new HttpServer(clock, { host: config.httpHost, port: config.httpPort }, app.fetch)]
}

/** Metadata that several nodes hold, and that others may ask for. */
function composeSharedMeta(ports: Ports, config: Config, host: RaftHost, { server, transport, book }: ClusterParts): readonly Component[] {
  const { metaAddrs, nodeId, join } = config
  const founders = metaAddrs.map(({ node }) => node).filter((node) => !join || node !== nodeId)
  const { service, metadata, groups } = composeMeta(ports, config, host, founders)
  server.register(KV_SERVICE, kvRpcService(service.kv))
  server.register(ADMIN_SERVICE, new AdminService(groups.map(administered), service.members).rpcService())
  const members = (): readonly number[] => membersOf(metadata.group)
  const directory = new MemberDirectory(ports, config, service, { book, transport, signal: metadata.signal, members })
  return [service, directory, new NodeScrubber(ports, scrubbedPlaces(host, GROUP.log), config.engine.scrubRate)]
}

/** `voters`: the nodes that new groups begin on; this one alone when there are none. */
function composeMeta(
  ports: Ports,
  config: Config,
  host: RaftHost,
  voters?: readonly number[],
): { service: MetaService; metadata: SignalledGroup; groups: readonly RaftGroup[] } {
  const createGroups = (kind: MetaGroupKind, count: number): readonly SignalledGroup[] =>
    Array.from({ length: count }, (_, ordinal) => {
      const id = GROUP[kind] + ordinal
      const signal = new AppliedSignal()
      const machine = createMetaMachine(kind, id, ordinal, count, ports.kv, signal)
      return { group: host.createGroup({ id, machine, store: 'durable', ...(voters && { voters }) }), signal }
    })
  const [metadata] = createGroups('metadata', 1) as readonly [SignalledGroup]
  const offset = createGroups('offset', config.meta.offsetGroups)
  const data = createGroups('data', config.meta.dataGroups)
  const service = new MetaService(ports, {
    metadata: metadata.group,
    offset: offset.map(({ group }) => group),
    data: data.map(({ group }) => group),
    signals: { metadata: metadata.signal, offset: offset.map(({ signal }) => signal), data: data.map(({ signal }) => signal) },
    ...(voters && { members: () => membersOf(metadata.group) }),
  })
  return { service, metadata, groups: [metadata, ...offset, ...data].map(({ group }) => group) }
}

interface SignalledGroup {
  readonly group: RaftGroup
  readonly signal: AppliedSignal
}

function membersOf(group: RaftGroup): readonly number[] {
  const { voters, learners, outgoing } = group.status().conf
  return [...new Set([...voters, ...learners, ...outgoing])]
}

const administered = (group: RaftGroup): AdministeredGroup => ({
  id: group.id,
  status: () => {
    const { role, term, leader, commit, applied, conf } = group.status()
    return { role, term, leader, commit, applied, voters: conf.voters, learners: conf.learners }
  },
  changeMembers: (change, node) => group.changeMembers([{ kind: change === 'promote' ? 'addVoter' : change, node }]),
  transferLeadership: (to) => group.transferLeadership(to),
})

/** Where the groups of each storage type have their log. */
const STORE_OF = Object.freeze({ memory: 'ephemeral', rocksdb: 'durable', segment: 'retained' } as const)

/** The engine knows logs, and raft the groups of them. */
const segmentStore = (host: RaftHost, segments: LogStore): SegmentStore => ({
  pressure: () => {
    const { bytes, holders } = segments.pressure()
    return { bytes, holders: holders.map(({ group, compactTo }) => ({ log: group - GROUP.log, through: compactTo })) }
  },
  reclaim: () => host.reclaimRetained(),
})

/** Meta is anything that keeps retained values and the catalogue of logs: the simulator judges the engine alone. */
export function composeEngine(ports: Ports, config: Config, host: RaftHost, meta: EngineMeta, segments: LogStore): EngineService {
  const { stripes, memoryBytes, tailBytes, scrubRate, segmentBytes, independentLogsMax, retention } = config.engine
  const limits = {
    maxAgeMs: retention.maxAge,
    maxBytes: retention.maxBytes,
    intervalMs: retention.checkInterval,
    topics: topicLimits(config.topic),
  }
  const scrubbed = scrubbedPlaces(host, GROUP.log)
  const options = { stripes, memoryBytes, tailBytes, scrubRate, scrubbed, independentLogsMax, retention: limits }
  const groups = new IndependentGroups(host, ports, { firstGroup: GROUP.log, segmentBytes })
  const engine = new EngineService(ports, options, meta, segmentStore(host, segments), groups)
  for (const { id, storage, machine } of engine.machines()) {
    const group = GROUP.log + id
    const entries: EntryReader = {
      read: (from, to, bytesMax) => segments.read(group, from, to, bytesMax),
      readPieces: (pieces) => segments.readPieces(group, pieces),
    }
    engine.connect(id, host.createGroup({ id: group, machine, store: STORE_OF[storage] }), entries)
  }
  return engine
}
