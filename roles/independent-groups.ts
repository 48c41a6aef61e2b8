// SPDX-License-Identifier: Apache-2.0
// The groups of logs that belong to one topic, in the host that runs: those of type segment have a log store of their own, in a directory below the data path.
import type { Clock } from '#base/port/clock'
import type { Disk } from '#base/port/disk'
import type { StorageType } from '#contract/client/engine-client'
import type { LogGroups, OpenedGroup } from '#engine'
import { BoundedDisk, FileLogStore, type RaftHost, type StateMachine } from '#raft'

/** Directory of the logs that have one of their own. */
const LOGS_DIRECTORY = 'logs'

/** Files that nothing is done with and that are open nevertheless, over all of these logs. */
const IDLE_FILES_MAX = 128

/** Small files, so that a topic gets its space back soon. */
const SEGMENT_BYTES_MAX = 64 * 1024 * 1024

export interface IndependentGroupsOptions {
  /** Group of log 0. */
  readonly firstGroup: number
  readonly segmentBytes: number
}

export class IndependentGroups implements LogGroups {
  readonly #host: RaftHost
  readonly #disk: BoundedDisk
  readonly #clock: Clock
  readonly #options: IndependentGroupsOptions

  constructor(host: RaftHost, { disk, clock }: { readonly disk: Disk; readonly clock: Clock }, options: IndependentGroupsOptions) {
    this.#host = host
    this.#disk = new BoundedDisk(disk, IDLE_FILES_MAX)
    this.#clock = clock
    this.#options = options
  }

  open(log: number, storage: StorageType, machine: StateMachine): OpenedGroup {
    const id = this.#options.firstGroup + log
    if (storage !== 'segment') {
      const { group, serving } = this.#host.addGroup({ id, machine, store: storage === 'memory' ? 'ephemeral' : 'durable' })
      return { proposer: group, leading: serving }
    }
    const segmentBytes = Math.min(this.#options.segmentBytes, SEGMENT_BYTES_MAX)
    const store = new FileLogStore(this.#disk, this.#clock, { directory: directoryOf(log), segmentBytes })
    const { group, serving } = this.#host.addGroup({ id, machine, store })
    return {
      proposer: group,
      leading: serving,
      entries: {
        read: (from, to, bytesMax) => store.read(id, from, to, bytesMax),
        readPieces: (pieces) => store.readPieces(id, pieces),
      },
      segments: {
        pressure: () => {
          const { bytes, holders } = store.pressure()
          return { bytes, holders: holders.map(({ compactTo }) => ({ log, through: compactTo })) }
        },
        reclaim: () => this.#host.reclaimOwn(id),
      },
    }
  }

  async remove(log: number): Promise<void> {
    await this.#host.removeGroup(this.#options.firstGroup + log)
    const directory = directoryOf(log)
    if (!(await this.#disk.exists(directory))) return
    for (const name of await this.#disk.list(directory)) await this.#disk.remove(`${directory}/${name}`)
    await this.#disk.syncDirectory(directory)
    await this.#disk.removeDirectory(directory)
  }

  async leftovers(): Promise<readonly number[]> {
    const groups = this.#host.unclaimedGroups().map((group) => group - this.#options.firstGroup)
    const directories = (await this.#disk.list(LOGS_DIRECTORY)).filter((name) => /^\d+$/.test(name)).map(Number)
    return [...new Set([...groups, ...directories])]
  }
}

const directoryOf = (log: number): string => `${LOGS_DIRECTORY}/${log}`
