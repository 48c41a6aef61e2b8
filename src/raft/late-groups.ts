// SPDX-License-Identifier: Apache-2.0
// Groups that come and go while their host runs: of this node alone, in a log store that others use too, or in one of their own.
import { assert, must } from '#base/assert'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { GroupId, NodeId } from './core/message.ts'
import type { GroupDriver } from './group.ts'
import type { Lane } from './lane.ts'
import type { LogStore } from './log-store.ts'
import type { RaftGroup } from './raft-group.ts'
import { bootstrapWrite, checkFits, newGroup } from './restore.ts'
import type { StateMachine } from './state-machine.ts'

export interface AddGroupOptions {
  readonly id: GroupId
  readonly machine: StateMachine
  /** A store that no other group uses is opened for the group, and closed with it. */
  readonly store: 'durable' | 'ephemeral' | LogStore
}

/** A group that comes up while the host runs. */
export interface AddedGroup {
  readonly group: RaftGroup
  /**
   * Resolves when the group can be used. Rejects when the store could not be opened, or with dataDamaged when log and state do not fit together; then nothing has been
   * written, and the group may be added again. Rejects with stopping when the host stops before.
   */
  readonly serving: Promise<void>
}

/** What the host does for them. */
export interface LateGroupsHost {
  readonly node: NodeId
  readonly isRunning: () => boolean
  /** A lane that only one group uses. */
  readonly createLane: (store: LogStore) => Lane
  readonly createDriver: (lane: Lane, id: GroupId, machine: StateMachine) => GroupDriver
}

/** An ending group has so many ticks; one that is alone needs none. */
const FAREWELL_TICKS = 1

export class LateGroups {
  /** Of the host: those of groups with a store of their own come and go here. */
  readonly #lanes: Lane[]
  readonly #host: LateGroupsHost
  readonly #own = new Set<Lane>()
  /** Groups that are being added or removed. None of these rejects. */
  readonly #changes = new Map<GroupId, Promise<void>>()

  constructor(lanes: Lane[], host: LateGroupsHost) {
    this.#lanes = lanes
    this.#host = host
  }

  add({ id, machine, store }: AddGroupOptions): AddedGroup {
    this.#mayChange(id)
    const lane = typeof store === 'string' ? this.#laneOf(store) : this.#ownLane(store)
    const group = this.#host.createDriver(lane, id, machine)
    const serving = this.#bringUp(lane, group).catch(async (error: unknown) => {
      if (this.#own.has(lane)) await this.#close(lane)
      throw error
    })
    this.#track(id, serving)
    return { group, serving }
  }

  remove(id: GroupId): Promise<void> {
    this.#mayChange(id)
    const removed = this.#remove(id)
    this.#track(id, removed)
    return removed
  }

  /** Drops what the state machine of a group with a store of its own has given up. */
  async reclaim(id: GroupId): Promise<void> {
    for (const lane of this.#own) if (lane.groups.has(id)) await lane.reclaimer.reclaim()
  }

  /** A group that is being added, or removed, has no leader for a moment: that keeps nobody from being served. */
  isChanging(id: GroupId): boolean {
    return this.#changes.has(id)
  }

  /** Resolves when none is being added or removed. */
  async settled(): Promise<void> {
    await Promise.all(this.#changes.values())
  }

  async #bringUp(lane: Lane, group: GroupDriver): Promise<void> {
    const { id, machine } = group
    if (this.#own.has(lane)) await lane.open()
    const known = lane.unclaimed.get(id)
    const recovered = known ?? newGroup(id, this.#host.node)
    const applied = await machine.open()
    checkFits(recovered, applied)
    if (!this.#host.isRunning()) throw new PlatformError(ERROR_CODES.stopping, `group ${id} is not begun: this node is stopping`)
    if (known === undefined) await lane.pipeline.writeOnce(bootstrapWrite(recovered))
    lane.claim(id)
    lane.groups.set(id, group)
    group.restore(recovered, applied)
    if (!this.#host.isRunning()) group.refuse()
    // A voter that is alone leads after its first tick, and needs no more of them.
    group.tick()
    await group.serving()
  }

  async #remove(id: GroupId): Promise<void> {
    const lane = this.#lanes.find(({ groups, unclaimed }) => groups.has(id) || unclaimed.has(id))
    if (lane === undefined) return
    const group = lane.groups.get(id)
    if (group !== undefined) await lane.end(group, FAREWELL_TICKS)
    if (this.#own.has(lane)) await this.#close(lane)
    else await lane.pipeline.writeOnce({ group: id, entries: [], dropped: true })
    lane.unclaimed.delete(id)
  }

  #laneOf(kind: 'durable' | 'ephemeral'): Lane {
    return must(
      this.#lanes.find(({ name }) => name === kind),
      `the host was given a ${kind} log store`,
    )
  }

  #ownLane(store: LogStore): Lane {
    const lane = this.#host.createLane(store)
    this.#lanes.push(lane)
    this.#own.add(lane)
    return lane
  }

  async #close(lane: Lane): Promise<void> {
    await lane.reclaimer.stop()
    await lane.pipeline.stop()
    await lane.close()
    this.#own.delete(lane)
    this.#lanes.splice(this.#lanes.indexOf(lane), 1)
  }

  #mayChange(id: GroupId): void {
    assert(this.#host.isRunning() && !this.#changes.has(id), `group ${id} is added or removed while the host runs, one change at a time`)
  }

  #track(id: GroupId, work: Promise<void>): void {
    const over = (): void => void this.#changes.delete(id)
    this.#changes.set(id, work.then(over, over))
  }
}
