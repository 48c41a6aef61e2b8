// SPDX-License-Identifier: Apache-2.0
// The logs that belong to one topic each: they are created at the first use, taken up again at the start, and removed. Meta's catalogue decides which there are: a log
// takes nothing before it is in the catalogue, and its data goes only when it is struck out there (R50). Each of these steps may be cut off and is finished by the next start.
import { isPlatformError, messageOf, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Clock } from '#base/port/clock'
import type { Kv } from '#base/port/kv'
import type { Logger } from '#base/port/logger'
import type { Counter } from '#base/port/metrics'
import type { LogId, StorageType } from '#contract/client/engine-client'
import type { CataloguedLog } from '#contract/client/log-catalogue'
import type { MetaClient } from '#contract/client/meta-client'
import type { StateMachine } from '#raft'
import type { Proposer } from '../log/append.ts'
import type { EntryReader } from '../log/entry-batches.ts'
import { removeStoredLog, storedLogs } from '../log/log-removal.ts'
import type { SegmentStore } from '../log/segment-retention.ts'
import type { Stripe } from '../log/stripe.ts'
import type { LogTable } from './log-table.ts'

/** Where the groups of logs come from while the node runs. */
export interface LogGroups {
  /** The group of a log, as it was left, or new. May be tried again when it has failed. */
  open(log: LogId, storage: StorageType, machine: StateMachine): OpenedGroup
  /** Ends the group of a log, if it runs, and removes all that its log has on the disk; resolves when that is durable. Does nothing when there is nothing. */
  remove(log: LogId): Promise<void>
  /** Logs that have something on the disk and whose group does not run. */
  leftovers(): Promise<readonly LogId[]>
}

export interface OpenedGroup {
  readonly proposer: Proposer
  /** Of a log of type segment, and so is `segments`. */
  readonly entries?: EntryReader
  readonly segments?: SegmentStore
  /** Resolves when the log is led here. */
  readonly leading: Promise<void>
}

/** What is done for each log beside its creation. */
export interface LogCare {
  create(log: LogId, storage: StorageType): Stripe
  /** It takes batches from now on. `segments`: the files of a log of type segment. */
  opened(stripe: Stripe, topic: string, segments: SegmentStore | undefined): void
  /** It is being removed: nothing of it may be under way when this resolves. */
  closed(stripe: Stripe): Promise<void>
}

export interface IndependentLogsPorts {
  readonly kv: Kv
  readonly clock: Clock
  readonly logger: Logger
  readonly crash: (reason: Error) => void
  /** Counts topics that share a log because there are too many that have their own. */
  readonly refused: Counter
}

interface IndependentLog {
  readonly stripe: Stripe
  readonly entry: CataloguedLog
  isCatalogued: boolean
  /** It is struck out, or may be. */
  isDoomed: boolean
  /** Its creation, or its removal, that is under way. Never rejects. */
  work: Promise<void> | undefined
}

export class IndependentLogs {
  readonly #ports: IndependentLogsPorts
  readonly #meta: Pick<MetaClient, 'createLog' | 'removeLog' | 'logs'>
  readonly #groups: LogGroups
  readonly #table: LogTable
  readonly #care: LogCare
  readonly #logs = new Map<LogId, IndependentLog>()
  /** Creations and removals that are under way. */
  readonly #work = new Set<Promise<void>>()
  #countMax: number
  #nextId: LogId
  /** That there are too many is told once. */
  #toldFull = false
  #stopping = false

  constructor(
    ports: IndependentLogsPorts,
    meta: Pick<MetaClient, 'createLog' | 'removeLog' | 'logs'>,
    groups: LogGroups,
    table: LogTable,
    care: LogCare,
    countMax: number,
  ) {
    this.#ports = ports
    this.#meta = meta
    this.#groups = groups
    this.#table = table
    this.#care = care
    this.#countMax = countMax
    this.#nextId = table.firstIndependent
  }

  /** Logs there are stay, however many. */
  setCountMax(countMax: number): void {
    this.#countMax = countMax
    this.#toldFull = false
  }

  /** Takes up the logs of the catalogue, and finishes removals that were cut off. Meta must serve. Resolves when all are led here. */
  async start(): Promise<void> {
    const { logs, nextId } = await this.#meta.logs()
    const first = this.#table.firstIndependent
    const left = (await this.#groups.leftovers()).filter((log) => log >= first)
    const onDisk = new Set([...left, ...(await storedLogs(this.#ports.kv, first))].sort((a, b) => a - b))
    this.#nextId = Math.max(this.#nextId, nextId, ...[...onDisk].map((log) => log + 1))
    const opening: Promise<void>[] = []
    for (const entry of logs) {
      const log = this.#add(entry)
      log.isCatalogued = true
      opening.push(this.#open(log))
      onDisk.delete(entry.id)
    }
    await Promise.all(opening)
    for (const log of onDisk) await this.#finish(log, nextId)
    if (logs.length > 0) this.#ports.logger.log('info', 'took up the logs that belong to one topic', { logs: logs.length })
  }

  /** The log of a topic, which is created when there is none. Undefined when there are too many, or the node stops. */
  obtain(storage: StorageType, topic: string): Stripe | undefined {
    const own = this.#table.ownOf(storage, topic)
    if (own !== undefined || this.#stopping) return own
    if (this.#logs.size >= this.#countMax) {
      this.#tellFull()
      return undefined
    }
    const log = this.#add({ id: this.#nextId++, storage, topic, createdAtMs: this.#ports.clock.realtime() })
    this.#begin(log)
    return log.stripe
  }

  /** Removes the log of a topic with all that is in it; what is appended meanwhile is rejected. False when the topic has none. */
  async remove(storage: StorageType, topic: string): Promise<boolean> {
    const log = this.#logs.get(this.#table.ownOf(storage, topic)?.machine.log ?? -1)
    if (log === undefined) return false
    while (log.work !== undefined) await log.work
    if (this.#table.ownOf(storage, topic) !== log.stripe) return true
    await this.#track(log, this.#remove(log))
    return true
  }

  /** Begins nothing new; resolves when nothing is under way. */
  async stop(): Promise<void> {
    this.#stopping = true
    await Promise.all(this.#work)
  }

  /** Logs that could not be created, and wait to be tried again. */
  get waiting(): readonly LogId[] {
    return [...this.#logs.values()].filter(({ stripe, work }) => stripe.isHeld && work === undefined).map(({ entry }) => entry.id)
  }

  #add(entry: CataloguedLog): IndependentLog {
    const stripe = this.#care.create(entry.id, entry.storage)
    const log: IndependentLog = { stripe, entry, isCatalogued: false, isDoomed: false, work: undefined }
    stripe.hold(() => this.#begin(log))
    this.#logs.set(entry.id, log)
    this.#table.add(stripe, entry.topic)
    return log
  }

  /** Creates the log, unless that is under way. What waits for it is rejected when it fails, and the next batch tries again. */
  #begin(log: IndependentLog): void {
    if (log.work !== undefined || this.#stopping) return
    this.#track(log, this.#open(log)).catch((error: unknown) => {
      if (!isPlatformError(error)) {
        this.#ports.crash(error as Error)
        return
      }
      const { id, storage, topic } = log.entry
      this.#ports.logger.log('warn', 'a log could not be created yet', { log: id, storage, topic, reason: messageOf(error) })
      log.stripe.giveUp('busy')
    })
  }

  #track(log: IndependentLog, work: Promise<void>): Promise<void> {
    const over = (): void => {
      log.work = undefined
      this.#work.delete(tracked)
    }
    const tracked = work.then(over, over)
    log.work = tracked
    this.#work.add(tracked)
    return work
  }

  async #open(log: IndependentLog): Promise<void> {
    const { stripe, entry } = log
    if (!log.isCatalogued) {
      const creation = await this.#meta.createLog(entry)
      if (creation.kind !== 'created') {
        this.#ports.logger.log('warn', 'a log is given up before it was there: its id is not free', { log: entry.id, topic: entry.topic })
        await this.#forget(log)
        return
      }
      log.isCatalogued = true
    }
    if (this.#stopping) throw new PlatformError(ERROR_CODES.stopping, `log ${entry.id} is not opened: this node is stopping`)
    const { proposer, entries, segments, leading } = this.#groups.open(entry.id, entry.storage, stripe.machine)
    stripe.connect(proposer, entries)
    await leading
    this.#care.opened(stripe, entry.topic, segments)
    stripe.serve()
  }

  async #remove(log: IndependentLog): Promise<void> {
    const { stripe, entry } = log
    if (!log.isDoomed) stripe.close('busy')
    log.isDoomed = true
    await stripe.drained()
    if (!(await this.#strike(entry))) {
      log.isDoomed = false
      stripe.reopen()
      throw new PlatformError(
        ERROR_CODES.notReady,
        `log ${entry.id} of ${entry.topic} could not be removed now and is as it was; try again`,
      )
    }
    await this.#forget(log)
    await this.#discard(entry.id, stripe)
    this.#ports.logger.log('info', 'removed a log', { log: entry.id, storage: entry.storage, topic: entry.topic })
  }

  /** From now on there is no such log: the topic gets another. Resolves when nothing of it is under way but in its group. */
  async #forget({ stripe, entry }: IndependentLog): Promise<void> {
    this.#logs.delete(entry.id)
    this.#table.remove(entry.id)
    stripe.abandon()
    await this.#care.closed(stripe)
  }

  /** False when the log is in the catalogue still. Rejects when that can't be known: then the log takes nothing until it is. */
  async #strike(entry: CataloguedLog): Promise<boolean> {
    try {
      await this.#meta.removeLog(entry)
      return true
    } catch (error) {
      if (!isPlatformError(error)) throw error
      const { logs } = await this.#meta.logs()
      return logs.every(({ id }) => id !== entry.id)
    }
  }

  /** First the group, so that nothing is written any more. */
  async #discard(log: LogId, stripe?: Stripe): Promise<void> {
    await this.#groups.remove(log)
    await stripe?.ended()
    await removeStoredLog(this.#ports.kv, log)
  }

  /** What is on the disk of a log that is not in the catalogue: it was removed, or nothing is known of it, and then it is kept. */
  async #finish(log: LogId, nextId: LogId): Promise<void> {
    const { logger } = this.#ports
    if (log >= nextId) {
      logger.log('warn', 'there is data of a log that the catalogue does not know; it is kept, and not served', { log })
      return
    }
    logger.log('info', 'finishing the removal of a log', { log })
    await this.#discard(log)
  }

  #tellFull(): void {
    this.#ports.refused.add(1)
    if (this.#toldFull) return
    this.#toldFull = true
    this.#ports.logger.log('warn', 'there are as many independent logs as engine.independent_logs_max allows: further topics share a log', {
      logs: this.#logs.size,
    })
  }
}
