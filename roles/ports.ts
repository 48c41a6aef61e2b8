// SPDX-License-Identifier: Apache-2.0
// Opens the real ports of a node, once.
import { join } from 'node:path'
import type { Component } from '#base/component'
import type { Config } from '#base/config/schema'
import type { Ports } from '#base/port/ports'
import { CryptoRandom, JsonLogger, NodeClock, NodeDisk, NoProbe, PrometheusMetrics, RocksdbKv, TcpNetwork } from '#runtime'

/** Directory of RocksDB below the data path. The write-ahead log has its own beside it. */
const KV_DIRECTORY = 'kv'

export interface RealPorts extends Ports {
  readonly metrics: PrometheusMetrics
}

/** Clock and logger, which are there before anything can fail. */
export interface EarlyPorts {
  readonly clock: NodeClock
  readonly logger: JsonLogger
}

/** The store as the first component: it is closed when everything above it has stopped, and with it the data directory is given up. */
export const storeComponent = ({ kv }: Ports): Component => ({ name: 'kv', start: async () => {}, stop: () => kv.close() })

/** `write` is given whole lines. */
export function openEarlyPorts(config: Config, write: (line: string) => void): EarlyPorts {
  const clock = new NodeClock()
  return { clock, logger: JsonLogger.open(clock, write, config.log) }
}

/** Rejects with dataLocked, dataDamaged, diskFull or diskFailed. */
export async function openPorts({ clock, logger }: EarlyPorts, config: Config, crash: (reason: Error) => void): Promise<RealPorts> {
  const disk = await NodeDisk.open(config.dataPath)
  await disk.makeDirectory(KV_DIRECTORY)
  const kv = await RocksdbKv.open(join(config.dataPath, KV_DIRECTORY))
  return {
    clock,
    random: new CryptoRandom(),
    disk,
    kv,
    network: new TcpNetwork(logger),
    logger,
    metrics: new PrometheusMetrics(),
    probe: new NoProbe(),
    crash,
  }
}
