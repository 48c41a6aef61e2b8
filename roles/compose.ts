// SPDX-License-Identifier: Apache-2.0
// Which components make up a node, in the order of their start. Names every part and decides nothing; the simulator composes the same.
import type { Component } from '#base/component'
import type { Config } from '#base/config/schema'
import type { Ports } from '#base/port/ports'
import { Broker } from '#broker'
import type { MetaClient } from '#contract/client/meta-client'
import { EngineService } from '#engine'
import { AppliedSignal, createMetaMachine, MetaService } from '#meta'
import { FileLogStore, MemoryLogStore, type RaftGroup, RaftHost } from '#raft'
import { createAdminApp, HttpServer, type MetricsSource } from '#server'

/** What the admin server shows of the node that it is a part of. */
export interface NodeView {
  readonly unready: () => readonly string[]
  readonly metrics: MetricsSource
}

/** Directory of the write-ahead log below the data path. */
export const WAL_DIRECTORY = 'wal'

/** First group id of each kind. Ids are never reused for anything else: they name the groups on disk. */
const GROUP = Object.freeze({ metadata: 1, offset: 0x100, data: 0x200, log: 0x1000 })

export function composeNode(ports: Ports, config: Config, view: NodeView): readonly Component[] {
  const host = new RaftHost(
    ports,
    { durable: new FileLogStore(ports.disk, ports.clock, { directory: WAL_DIRECTORY }), ephemeral: new MemoryLogStore() },
    { nodeId: config.nodeId, walBytesMax: config.engine.walBytes },
  )
  const meta = composeMeta(ports, config, host)
  const engine = composeEngine(ports, config, host, meta)
  const broker = new Broker(ports, config, meta, engine)
  return [...composeServer(ports, config, view), host, meta, engine, broker]
}

/** The common server layer. It starts first, so that health can be asked while the rest starts. */
function composeServer({ clock, logger }: Ports, config: Config, view: NodeView): readonly Component[] {
  if (config.httpPort === 0) return []
  const metrics = config.prometheus.enable ? view.metrics : undefined
  const app = createAdminApp({ logger, unready: view.unready, metrics })
  return [new HttpServer(clock, { host: config.httpHost, port: config.httpPort }, app.fetch)]
}

function composeMeta(ports: Ports, config: Config, host: RaftHost): MetaService {
  const signals = { metadata: [new AppliedSignal()], offset: [], data: Array.from({ length: config.meta.dataGroups }, () => new AppliedSignal()) }
  const createGroups = (kind: 'metadata' | 'offset' | 'data', count: number): readonly RaftGroup[] =>
    Array.from({ length: count }, (_, ordinal) => {
      const id = GROUP[kind] + ordinal
      const machine = createMetaMachine(kind, id, ordinal, count, ports.kv, signals[kind][ordinal])
      return host.createGroup({ id, machine, store: 'durable' })
    })
  const [metadata] = createGroups('metadata', 1) as readonly [RaftGroup]
  return new MetaService(ports, {
    metadata,
    offset: createGroups('offset', config.meta.offsetGroups),
    data: createGroups('data', config.meta.dataGroups),
    signals: { metadata: signals.metadata[0] as AppliedSignal, data: signals.data },
  })
}

function composeEngine(ports: Ports, config: Config, host: RaftHost, meta: MetaClient): EngineService {
  const { stripes, memoryBytes, tailBytes, retention } = config.engine
  const limits = { maxAgeMs: retention.maxAge, maxBytes: retention.maxBytes }
  const engine = new EngineService(ports, { stripes, memoryBytes, tailBytes, retention: limits }, meta)
  for (const { id, storage, machine } of engine.machines()) {
    const store = storage === 'memory' ? 'ephemeral' : 'durable'
    engine.connect(id, host.createGroup({ id: GROUP.log + id, machine, store }))
  }
  return engine
}
