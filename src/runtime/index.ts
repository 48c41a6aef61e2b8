// SPDX-License-Identifier: Apache-2.0
// The outside world of a real node.
export { CryptoRandom } from './crypto-random.ts'
export { JsonLogger, type LoggerOptions } from './json-logger.ts'
export { NoProbe } from './no-probe.ts'
export { NodeClock } from './node-clock.ts'
export { NodeDisk } from './node-disk.ts'
export { NodeFileReader } from './node-file-reader.ts'
export { NodeHashing } from './node-hashing.ts'
export { NodeMemory } from './node-memory.ts'
export { NodeNetwork } from './node-network.ts'
export { PrometheusMetrics } from './prometheus-metrics.ts'
export { RocksdbKv } from './rocksdb-kv.ts'
