// SPDX-License-Identifier: Apache-2.0
// All outside effects of a node in one value. Opened once by roles/ports.ts, or by the simulator.
import type { Clock } from './clock.ts'
import type { Disk } from './disk.ts'
import type { FileReader } from './file-reader.ts'
import type { Hashing } from './hashing.ts'
import type { Kv } from './kv.ts'
import type { Logger } from './logger.ts'
import type { Memory } from './memory.ts'
import type { Metrics } from './metrics.ts'
import type { Network } from './network.ts'
import type { Probe } from './probe.ts'
import type { Random } from './random.ts'

export interface Ports {
  readonly clock: Clock
  readonly random: Random
  readonly hashing: Hashing
  readonly memory: Memory
  readonly disk: Disk
  readonly files: FileReader
  readonly kv: Kv
  readonly network: Network
  readonly logger: Logger
  readonly metrics: Metrics
  readonly probe: Probe
  /** Ends the process at once, with the reason as its last words (RELIABILITY R48). Does not return control to the caller's work. */
  readonly crash: (reason: Error) => void
}
