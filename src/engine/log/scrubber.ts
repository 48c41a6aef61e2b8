// SPDX-License-Identifier: Apache-2.0
// Reads all stored records again and again, slowly, so that damage is found while there may still be a copy (L29). What is damaged is remembered by its place and
// told; it is never served, since each read checks it too. The rest of the log stays readable.
import { must } from '#base/assert'
import { isPlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Clock, Timer } from '#base/port/clock'
import type { Logger } from '#base/port/logger'
import type { Counter } from '#base/port/metrics'
import type { LogId, Position } from '#contract/client/engine-client'
import type { Chunk } from './key-layout.ts'
import type { StripeMachine } from './stripe-machine.ts'

/** Between two steps at least: what one step reads is bounded by the size of a chunk. */
const STEP_MS_MIN = 20
/** Between two rounds, and while there is nothing to read. */
const ROUND_MS = 60_000

/** Records that can't be read: those of some topics, or all, at positions [from, to). */
export interface DamagedRange {
  readonly log: LogId
  readonly from: Position
  readonly to: Position
  readonly topics: readonly string[]
}

export interface ScrubberMetrics {
  readonly bytes: Counter
  readonly rounds: Counter
}

export interface ScrubberPorts {
  readonly clock: Clock
  readonly logger: Logger
  readonly crash: (reason: Error) => void
}

export class Scrubber {
  readonly #machines: readonly StripeMachine[]
  readonly #ports: ScrubberPorts
  readonly #metrics: ScrubberMetrics
  /** By log, in the order of their positions. */
  readonly #damaged = new Map<LogId, readonly DamagedRange[]>()
  readonly #positions = new Map<LogId, Position>()
  /** Logs in which a search is under way. */
  readonly #examined = new Set<LogId>()
  #bytesPerSecond = 0
  #at = 0
  #timer: Timer | undefined
  #step: Promise<void> = Promise.resolve()
  #running = false

  /** `machines` of logs that are stored. */
  constructor(machines: readonly StripeMachine[], ports: ScrubberPorts, metrics: ScrubberMetrics) {
    this.#machines = machines
    this.#ports = ports
    this.#metrics = metrics
  }

  /** 0 for not at all. */
  start(bytesPerSecond: number): void {
    this.#running = true
    this.setRate(bytesPerSecond)
  }

  /** Takes effect with the next step. */
  setRate(bytesPerSecond: number): void {
    const wasIdle = this.#bytesPerSecond === 0
    this.#bytesPerSecond = bytesPerSecond
    if (wasIdle) this.#schedule(STEP_MS_MIN)
  }

  async stop(): Promise<void> {
    this.#running = false
    this.#timer?.cancel()
    await this.#step
  }

  /** What is damaged as far as is known, without what retention has removed. */
  get damaged(): readonly DamagedRange[] {
    return this.#machines.flatMap(({ log, start }) => this.damagedIn(log).filter(({ to }) => to > start))
  }

  damagedIn(log: LogId): readonly DamagedRange[] {
    return this.#damaged.get(log) ?? []
  }

  /** Everything before it has been looked at in this round. */
  position(log: LogId): Position {
    return this.#positions.get(log) ?? 0
  }

  /** A reader that began at `from` has met damage: looks for it there at once, whatever the rate is. One search of a log at a time. */
  examine(log: LogId, from: Position): void {
    const machine = this.#machines.find((candidate) => candidate.log === log)
    if (machine === undefined || this.#examined.has(log)) return
    this.#examined.add(log)
    this.#find(machine, from).then(
      () => void this.#examined.delete(log),
      (error: Error) => this.#ports.crash(error),
    )
  }

  /** Goes on to the first damage. */
  async #find(machine: StripeMachine, from: Position): Promise<void> {
    for (let next: Position | undefined = Math.max(from, machine.start); next !== undefined; ) {
      next = (await this.#look(machine, next))?.end
      if (this.damagedIn(machine.log).some(({ to }) => to === next)) return
    }
  }

  /** Looks at one chunk. Returns its bytes; undefined at the end of a round. */
  async step(): Promise<number | undefined> {
    const machine = this.#machines[this.#at]
    if (machine === undefined) {
      this.#at = 0
      this.#metrics.rounds.add(1)
      return undefined
    }
    const { log, start } = machine
    const chunk = await this.#look(machine, Math.max(this.position(log), start))
    this.#positions.set(log, chunk?.end ?? 0)
    if (chunk === undefined) this.#at++
    return chunk?.bytes ?? 0
  }

  /** Verifies the chunk at a position, or the next one, and notes what it finds. Undefined when there is none. */
  async #look(machine: StripeMachine, from: Position): Promise<Chunk | undefined> {
    const { log } = must(machine.stored, 'only stored logs are scrubbed')
    const [chunk] = await log.chunks(await log.chunkBaseAt(from), machine.tail.storedEnd, 1)
    if (chunk === undefined) return undefined
    this.#note(machine, chunk, await this.#damagedTopics(machine, chunk))
    this.#metrics.bytes.add(chunk.bytes)
    return chunk
  }

  #schedule(delayMs: number): void {
    this.#timer?.cancel()
    if (!this.#running || this.#bytesPerSecond === 0) return
    this.#timer = this.#ports.clock.after(delayMs, () => {
      this.#step = this.step().then(
        (bytes) =>
          this.#schedule(bytes === undefined ? ROUND_MS : Math.max(STEP_MS_MIN, (bytes * 1000) / Math.max(1, this.#bytesPerSecond))),
        (error: Error) => this.#ports.crash(error),
      )
    })
  }

  /** Names of the topics whose records in the chunk can't be read. */
  async #damagedTopics(machine: StripeMachine, chunk: Chunk): Promise<readonly string[]> {
    if (await isReadable(machine, chunk, chunk.topicIds)) return []
    const names: string[] = []
    for (const id of chunk.topicIds)
      if (chunk.extent !== undefined || !(await isReadable(machine, chunk, [id])))
        names.push(machine.stored?.dictionary.byId(id)?.name ?? `topic ${id}`)
    return names
  }

  #note({ log }: StripeMachine, chunk: Chunk, topics: readonly string[]): void {
    const known = this.damagedIn(log)
    const others = known.filter(({ from, to }) => to <= chunk.base || from >= chunk.end)
    if (topics.length === 0) {
      if (others.length < known.length) this.#damaged.set(log, others)
      return
    }
    const range: DamagedRange = { log, from: chunk.base, to: chunk.end, topics }
    this.#damaged.set(
      log,
      [...others, range].sort((a, b) => a.from - b.from),
    )
    if (others.length < known.length) return
    const fields = { log, from: range.from, to: range.to, topics: topics.join(' ') }
    this.#ports.logger.log('error', 'stored records are damaged and are not served; restore them from a copy, or remove the topic', fields)
  }
}

async function isReadable(machine: StripeMachine, chunk: Chunk, topicIds: readonly number[]): Promise<boolean> {
  try {
    const { extent } = chunk
    if (extent !== undefined) await machine.entries?.verify(extent.first, extent.first + extent.count)
    else await must(machine.stored, 'only stored logs are scrubbed').records.ofChunks([chunk], new Set(topicIds))
    return true
  } catch (error) {
    if (isPlatformError(error, ERROR_CODES.dataDamaged)) return false
    throw error
  }
}
