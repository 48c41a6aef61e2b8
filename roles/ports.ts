// SPDX-License-Identifier: Apache-2.0
// Opens the real ports of a node, once.
import { join } from 'node:path'
import type { Component } from '#base/component'
import type { Config } from '#base/config/schema'
import type { Ports } from '#base/port/ports'
import { isRecordKey } from '#engine'
import {
  CryptoRandom,
  JsonLogger,
  NodeClock,
  NodeDisk,
  NodeFileReader,
  NodeHashing,
  NodeMemory,
  NodeNetwork,
  NoProbe,
  PrometheusMetrics,
  RocksdbKv,
} from '#runtime'
import { WAL_DIRECTORY } from './compose.ts'
import { type Identity, openIdentity } from './identity.ts'

/** Directory of RocksDB below the data path. The write-ahead log has its own beside it. */
const KV_DIRECTORY = 'kv'

export interface RealPorts extends Ports {
  readonly metrics: PrometheusMetrics
  readonly identity: Identity
}

/** Clock and logger, which are there before anything can fail. */
export interface EarlyPorts {
  readonly clock: NodeClock
  readonly logger: JsonLogger
}

/** The store as the first component: it is closed when everything above it has stopped, and with it the data directory is given up. */
export const storeComponent = ({ kv }: Ports): Component => ({ name: 'kv', start: async () => {}, stop: () => kv.close() })

/** The log as a component: its level can change. */
export const logComponent = ({ logger }: EarlyPorts): Component => ({
  name: 'log',
  start: async () => {},
  stop: async () => {},
  reload: ({ log }) => logger.setLevel(log.level),
})

/** `write` is given whole lines. */
export function openEarlyPorts(config: Config, write: (line: string) => void): EarlyPorts {
  const clock = new NodeClock()
  return { clock, logger: JsonLogger.open(clock, write, config.log) }
}

/** Rejects with configInvalid, dataLocked, dataDamaged, dataVersion, diskFull or diskFailed. */
export async function openPorts({ clock, logger }: EarlyPorts, config: Config, crash: (reason: Error) => void): Promise<RealPorts> {
  const { dataPath } = config
  const random = new CryptoRandom()
  const disk = await NodeDisk.open(dataPath)
  const readIdentity = (): Promise<Identity> =>
    openIdentity(disk, random, config, { dataPath, dataDirectories: [KV_DIRECTORY, WAL_DIRECTORY] })
  await readIdentity()
  await disk.makeDirectory(KV_DIRECTORY)
  const kv = await RocksdbKv.open(join(dataPath, KV_DIRECTORY), { clock, crash, isolates: isRecordKey })
  return {
    clock,
    random,
    hashing: new NodeHashing(config.security.passwordQueueMax),
    memory: new NodeMemory(),
    disk,
    files: new NodeFileReader(),
    kv,
    network: new NodeNetwork(logger),
    logger,
    metrics: new PrometheusMetrics(),
    probe: new NoProbe(),
    crash,
    // Once more under the lock of the store: another process may have made its own first start at the same moment.
    identity: await readIdentity(),
  }
}
