// SPDX-License-Identifier: Apache-2.0
// Groups of logs that come and go, and the catalogue of them: each call waits or fails when the test says so, and what is on the "disk" outlives the node.
import type { PlatformError } from '#base/error'
import type { LogId, StorageType } from '#contract/client/engine-client'
import type { CataloguedLog, LogCatalogue, LogCreation } from '#contract/client/log-catalogue'
import type { LogGroups, OpenedGroup } from '#engine'
import type { Entry, StateMachine } from '#raft'
import { ManualGroup } from './manual-group.ts'

export class FakeLogGroups implements LogGroups {
  /** Those that run, stripes included. */
  readonly running: Map<LogId, ManualGroup>
  /** What the disk has of logs: the entries of each. */
  readonly disk: Map<LogId, readonly Entry[]>
  readonly events: string[] = []
  /** What opening and removing come to. */
  failure: PlatformError | undefined
  gate: Promise<void> = Promise.resolve()

  constructor(running: Map<LogId, ManualGroup>, disk: ReadonlyMap<LogId, readonly Entry[]>) {
    this.running = running
    this.disk = new Map(disk)
  }

  open(log: LogId, storage: StorageType, machine: StateMachine): OpenedGroup {
    const group = new ManualGroup(machine, storage === 'memory' ? [] : (this.disk.get(log) ?? []))
    const leading = this.#begin(log, group)
    if (storage !== 'segment') return { proposer: group, leading }
    const segments = {
      pressure: () => ({
        bytes: group.entries.slice(group.compactedTo).reduce((sum, { data }) => sum + data.length, 0),
        holders: [{ log, through: group.compactedTo + 1 }],
      }),
      reclaim: async () => group.compact(),
    }
    return { proposer: group, leading, entries: group, segments }
  }

  async remove(log: LogId): Promise<void> {
    await this.gate
    if (this.failure !== undefined) throw this.failure
    this.events.push(`removed ${log}`)
    this.running.delete(log)
    this.disk.delete(log)
  }

  async leftovers(): Promise<readonly LogId[]> {
    return [...this.disk.keys()].filter((log) => !this.running.has(log))
  }

  async #begin(log: LogId, group: ManualGroup): Promise<void> {
    await this.gate
    if (this.failure !== undefined) throw this.failure
    this.events.push(`opened ${log}`)
    this.running.set(log, group)
    await group.start()
  }
}

/** The catalogue as the contract says. */
export class FakeCatalogue {
  logs: CataloguedLog[] = []
  nextId = 0
  readonly calls: string[] = []
  /** What calls come to, before or after they have had their effect. */
  failure: { readonly error: PlatformError; readonly isDone: boolean } | undefined
  gate: Promise<void> = Promise.resolve()

  /** Calls wait until the returned function is called. */
  hold(): () => void {
    let open: () => void = () => {}
    this.gate = new Promise((resolve) => {
      open = resolve
    })
    return open
  }

  create(log: CataloguedLog): Promise<LogCreation> {
    return this.#call(`create ${log.id} ${log.storage} ${log.topic}`, () => {
      const existing = this.logs.find(({ storage, topic }) => storage === log.storage && topic === log.topic)
      if (existing !== undefined) return existing.id === log.id ? { kind: 'created' } : { kind: 'exists', id: existing.id }
      if (log.id < this.nextId) return { kind: 'taken', nextId: this.nextId }
      this.logs.push(log)
      this.nextId = log.id + 1
      return { kind: 'created' }
    })
  }

  remove(log: CataloguedLog): Promise<void> {
    return this.#call(`remove ${log.id}`, () => {
      this.logs = this.logs.filter(({ id }) => id !== log.id)
    })
  }

  async list(): Promise<LogCatalogue> {
    await this.gate
    return { logs: [...this.logs], nextId: this.nextId }
  }

  async #call<Reply>(name: string, effect: () => Reply): Promise<Reply> {
    await this.gate
    this.calls.push(name)
    if (this.failure !== undefined && !this.failure.isDone) throw this.failure.error
    const reply = effect()
    if (this.failure !== undefined) throw this.failure.error
    return reply
  }
}
