// SPDX-License-Identifier: Apache-2.0
// A process that is nothing but an engine: production's consensus host, file logs and engine, on the simulated ports and a fake of meta.

import type { Component } from '#base/component'
import { loadConfig } from '#base/config/load'
import type { Config } from '#base/config/schema'
import type { Ports } from '#base/port/ports'
import type { EngineService } from '#engine'
import { FileLogStore, MemoryLogStore, RaftHost } from '#raft'
import { composeEngine } from '../../../roles/compose.ts'
import { SimFailure } from '../world.ts'
import type { EngineSettings } from './engine-configuration.ts'
import type { FakeMeta } from './fake-meta.ts'

export interface EngineProgram {
  readonly components: readonly Component[]
  readonly engine: EngineService
}

export function composeEngineProgram(ports: Ports, settings: EngineSettings, meta: FakeMeta): EngineProgram {
  const { segmentBytes, walSegmentBytes, walBytes, uncommittedBytesMax } = settings
  const wal = new FileLogStore(ports.disk, ports.clock, { directory: 'wal', segmentBytes: walSegmentBytes })
  const segments = new FileLogStore(ports.disk, ports.clock, { directory: 'segments', segmentBytes })
  const stores = { durable: wal, retained: segments, ephemeral: new MemoryLogStore() }
  const host = new RaftHost(ports, stores, {
    nodeId: 1,
    walBytesMax: walBytes,
    uncommittedBytesMax,
    windowBytesMax: 2 * uncommittedBytesMax,
  })
  const engine = composeEngine(ports, configOf(settings), host, meta.forProcess(ports.clock), segments)
  return { components: [host, engine], engine }
}

/** Smaller than what the schema allows to users. */
function configOf({
  stripes,
  memoryBytes,
  tailBytes,
  segmentBytes,
  scrubRate,
  independentLogsMax,
  topics,
  ...settings
}: EngineSettings): Config {
  const outcome = loadConfig({ settings: [] })
  if (outcome.kind === 'refused') throw new SimFailure('the default configuration is refused')
  const { config } = outcome
  const retention = {
    ...config.engine.retention,
    maxAge: settings.maxAgeMs,
    maxBytes: settings.maxBytes,
    checkInterval: settings.retentionIntervalMs,
  }
  return {
    ...config,
    engine: { ...config.engine, stripes, memoryBytes, tailBytes, segmentBytes, scrubRate, independentLogsMax, retention },
    topic: topics.map(({ filter, maxAgeMs, maxBytes }) => ({ filter, maxAge: maxAgeMs, maxBytes }) as Config['topic'][number]),
  }
}
