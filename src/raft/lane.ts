// SPDX-License-Identifier: Apache-2.0
// A log store with what works on it: the loop of its writes, its reclaimer, and the groups whose entries it holds.
import type { Ports } from '#base/port/ports'
import type { GroupId } from './core/message.ts'
import type { GroupDriver } from './group.ts'
import { LogReclaimer } from './log-reclaimer.ts'
import type { LogScrub, LogStore, LogUsage, Pace, RecoveredGroup } from './log-store.ts'
import { WritePipeline } from './write-pipeline.ts'

export interface LaneOptions {
  /** Label of the metrics. */
  readonly name: string
  /** Size of the log above which it is reclaimed. */
  readonly bytesMax: number
  /** Entries of one write, over all groups; one group more may go over it. */
  readonly writeBytesMax: number
  readonly crash: (reason: Error) => void
}

export class Lane {
  readonly name: string
  readonly store: LogStore
  readonly pipeline: WritePipeline
  readonly reclaimer: LogReclaimer
  /** Those that run. */
  readonly groups = new Map<GroupId, GroupDriver>()
  /** Found in the store, and run by nobody. */
  readonly unclaimed = new Map<GroupId, RecoveredGroup>()
  #isOpen = false

  constructor(store: LogStore, ports: Pick<Ports, 'clock' | 'metrics' | 'logger' | 'probe'>, options: LaneOptions) {
    const { name, bytesMax, writeBytesMax, crash } = options
    this.name = name
    this.store = store
    this.reclaimer = new LogReclaimer(store, ports.logger, ports.probe, { bytesMax, group: (id) => this.groups.get(id), crash })
    const onWritten = (bytes: number): void => this.reclaimer.onWritten(bytes)
    this.pipeline = new WritePipeline(store, ports.clock, ports.metrics, { name, writeBytesMax, onWritten, crash })
  }

  /** Reads the store; all that it has is unclaimed. */
  async open(): Promise<void> {
    for (const recovered of await this.store.open()) this.unclaimed.set(recovered.group, recovered)
    this.#isOpen = true
  }

  /** Does nothing when it was not opened, or is closed. */
  async close(): Promise<void> {
    if (!this.#isOpen) return
    this.#isOpen = false
    await this.store.close()
  }

  get usage(): LogUsage | undefined {
    return this.#isOpen ? this.store.usage?.() : undefined
  }

  /** Verifies the files that are written no more. */
  async scrub(pace: Pace): Promise<LogScrub> {
    return (this.#isOpen ? await this.store.scrub?.(pace) : undefined) ?? { damaged: [], verified: [] }
  }

  /** What the store has of a group that is about to run; undefined for a new one. */
  claim(id: GroupId): RecoveredGroup | undefined {
    const recovered = this.unclaimed.get(id)
    this.unclaimed.delete(id)
    return recovered
  }

  /** Ends a group: what was accepted is finished, and nothing of it is under way in the store any more. */
  async end(group: GroupDriver, ticksMax: number): Promise<void> {
    group.refuse()
    this.groups.delete(group.id)
    await this.reclaimer.idle()
    await group.settled(ticksMax)
    await group.quiet()
  }
}
