// SPDX-License-Identifier: Apache-2.0
// Reads everything that is stored again and again, slowly, so that damage is found while there may still be a copy (L29): the closed files of all logs, the records and
// indexes of the engine's logs, and ranges of the store that others own. What is damaged is remembered by its place and told; it is never served, since each read checks it too.
import { must } from '#base/assert'
import { isPlatformError, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Clock } from '#base/port/clock'
import type { Kv, KvRange } from '#base/port/kv'
import type { Logger } from '#base/port/logger'
import type { Counter } from '#base/port/metrics'
import type { LogId, Position } from '#contract/client/engine-client'
import type { Pace } from '#raft'
import { type DamagedPart, damagedEntries, damagedRuns } from './chunk-survey.ts'
import { type Chunk, isRecordKey, runBaseOf } from './key-layout.ts'
import type { StripeMachine } from './stripe-machine.ts'

/** Between two rounds. */
const ROUND_MS = 60_000
/** What is read may run ahead of the rate by so much time, and so many bytes. */
const BURST_MS = 20
const BURST_BYTES_MAX = 256 * 1024
/** Chunks fetched, and pairs verified, in one step. */
const CHUNKS_STEP = 64
const PAIRS_STEP = 256
/** Of a key, in a message. */
const KEY_BYTES_SHOWN = 32

/** Records that can't be read: those of some topics at positions [from, to). */
export interface DamagedRange {
  readonly log: LogId
  readonly from: Position
  readonly to: Position
  readonly topics: readonly string[]
}

/** Bytes of a file, with the entries of logs that may be among them. */
export interface DamagedFile {
  readonly path: string
  readonly offset: number
  readonly text: string
  readonly entries: readonly { readonly log: LogId; readonly from: number; readonly to: number }[]
}

/** What a verification of files has found. */
export interface FileScrub {
  readonly damaged: readonly DamagedFile[]
  /** Index before which all entries of a log were read. */
  readonly verified: ReadonlyMap<LogId, number>
}

/** What is verified beside the records of the engine. */
export interface ScrubbedPlaces {
  /** Reads the closed files of all logs of the node; rejects when `pace` does. */
  files(pace: Pace): Promise<FileScrub>
  /** Ranges of the store that are not the engine's, with a name for messages. */
  readonly ranges: readonly { readonly name: string; readonly range: KvRange }[]
}

export interface ScrubberMetrics {
  readonly bytes: Counter
  readonly rounds: Counter
}

export interface ScrubberPorts {
  readonly kv: Pick<Kv, 'verify'>
  readonly clock: Clock
  readonly logger: Logger
  readonly crash: (reason: Error) => void
}

export class Scrubber {
  /** Of logs that are stored. */
  readonly #machines: StripeMachine[] = []
  readonly #places: ScrubbedPlaces
  readonly #ports: ScrubberPorts
  readonly #metrics: ScrubberMetrics
  /** By log, in the order of their positions. */
  readonly #damaged = new Map<LogId, readonly DamagedRange[]>()
  /** What is damaged beside records, as of the last round: sentences, by what was verified. */
  readonly #damagedPlaces = new Map<string, readonly string[]>()
  readonly #positions = new Map<LogId, Position>()
  readonly #indexBytes = new Map<LogId, number>()
  /** Under way. */
  readonly #looks = new Set<Promise<unknown>>()
  /** Logs in which a search is under way. */
  readonly #examined = new Set<LogId>()
  #bytesPerSecond = 0
  #running = false
  /** Read and not paid for by waiting. */
  #owedBytes = 0
  #rounds: Promise<void> | undefined
  #wake: (() => void) | undefined

  constructor(places: ScrubbedPlaces, ports: ScrubberPorts, metrics: ScrubberMetrics) {
    this.#places = places
    this.#ports = ports
    this.#metrics = metrics
  }

  /** 0 for not at all. */
  start(bytesPerSecond: number): void {
    this.#running = true
    this.setRate(bytesPerSecond)
  }

  /** Takes effect at once. */
  setRate(bytesPerSecond: number): void {
    this.#bytesPerSecond = bytesPerSecond
    if (this.#running && bytesPerSecond > 0) this.#rounds ??= this.#run()
    this.#wake?.()
  }

  async stop(): Promise<void> {
    this.#running = false
    this.#wake?.()
    await this.#rounds
  }

  add(machine: StripeMachine): void {
    this.#machines.push(machine)
  }

  /** The log is gone, and what was damaged of it too. Resolves when nothing of it is being read any more. */
  async forget(machine: StripeMachine): Promise<void> {
    this.#machines.splice(this.#machines.indexOf(machine), 1)
    this.#damaged.delete(machine.log)
    this.#positions.delete(machine.log)
    this.#indexBytes.delete(machine.log)
    this.#damagedPlaces.delete(`index of log ${machine.log}`)
    await Promise.allSettled(this.#looks)
  }

  /** Damaged records as far as they are known, without what retention has removed. */
  get damaged(): readonly DamagedRange[] {
    return this.#machines.flatMap(({ log, start }) => this.damagedIn(log).filter(({ to }) => to > start))
  }

  damagedIn(log: LogId): readonly DamagedRange[] {
    return this.#damaged.get(log) ?? []
  }

  /** Whatever else is damaged: files and values, a sentence for each. */
  get damagedPlaces(): readonly string[] {
    return [...this.#damagedPlaces.values()].flat()
  }

  /** Bytes by which the records of a log are found, as of the last round; 0 before there was one. */
  indexBytes(log: LogId): number {
    return this.#indexBytes.get(log) ?? 0
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

  /** Looks again at [from, to), in which damage was removed. */
  async lookAgain(machine: StripeMachine, from: Position, to: Position): Promise<void> {
    const kept = this.damagedIn(machine.log).filter((range) => range.to < from || range.from > to)
    this.#damaged.set(machine.log, kept)
    for (const chunk of await chunksOf(machine, Math.max(0, from - 1), to + 1)) await this.#look(machine, chunk)
  }

  /** Goes on to the first damage. */
  async #find(machine: StripeMachine, from: Position): Promise<void> {
    for (let at = Math.max(from, machine.start); ; ) {
      const chunks = await chunksOf(machine, at, Number.MAX_SAFE_INTEGER)
      for (const chunk of chunks) if (await this.#look(machine, chunk)) return
      const last = chunks.at(-1)
      if (last === undefined) return
      at = last.end
    }
  }

  async #run(): Promise<void> {
    try {
      while (this.#running) {
        if (this.#bytesPerSecond > 0) await this.#round()
        await this.#sleep(ROUND_MS)
      }
    } catch (error) {
      if (this.#running || !isPlatformError(error, ERROR_CODES.stopping)) this.#ports.crash(error as Error)
    }
  }

  async #round(): Promise<void> {
    const { damaged, verified } = await this.#places.files(this.#pace)
    this.#tell(
      'log files',
      damaged.map(({ path, offset, text }) => `${path} at byte ${offset}: ${text}`),
    )
    const suspects = damaged.flatMap(({ entries }) => entries)
    for (const machine of [...this.#machines]) {
      await this.#walk(machine, verified.get(machine.log) ?? 0, suspects)
      await this.#verifyIndex(machine)
    }
    for (const { name, range } of this.#places.ranges) this.#tell(name, (await this.#verify(range)).damaged.map(nameOf))
    this.#metrics.rounds.add(1)
  }

  /** Looks at the chunks of a log. The entries of one of type segment are whole if they are before `verifiedBefore` and not among the suspects. */
  async #walk(machine: StripeMachine, verifiedBefore: number, suspects: DamagedFile['entries']): Promise<void> {
    const { log } = machine
    const areWhole = ({ base, end, extent }: Chunk): boolean =>
      extent !== undefined &&
      extent.first + extent.count <= verifiedBefore &&
      !suspects.some((other) => other.log === log && other.from < extent.first + extent.count && other.to > extent.first) &&
      !this.damagedIn(log).some(({ from, to }) => from <= end && to >= base)
    this.#positions.set(log, machine.start)
    for (let at = machine.start; this.#machines.includes(machine); ) {
      const chunks = await chunksOf(machine, at, Number.MAX_SAFE_INTEGER)
      for (const chunk of chunks) {
        const isWhole = areWhole(chunk)
        if (!isWhole) await this.#look(machine, chunk)
        this.#positions.set(log, chunk.end)
        await this.#pace(isWhole ? 0 : chunk.bytes)
      }
      const last = chunks.at(-1)
      if (last === undefined) return
      at = last.end
    }
  }

  /** Verifies a chunk and notes what it finds. Whether there is damage. */
  async #look(machine: StripeMachine, chunk: Chunk): Promise<boolean> {
    const { log, dictionary } = must(machine.stored, 'only stored logs are scrubbed')
    const { entries } = machine
    const looking = entries === undefined ? damagedRuns(log, chunk) : damagedEntries(log, entries, chunk)
    this.#looks.add(looking)
    const parts = await looking.finally(() => this.#looks.delete(looking))
    if (!this.#machines.includes(machine)) return false
    const ranges = parts.map(({ from, to, topicIds }: DamagedPart) => {
      const topics = topicIds.map((id) => dictionary.byId(id)?.name ?? `topic ${id}`)
      return { log: machine.log, from, to, topics }
    })
    this.#note(machine.log, chunk, ranges)
    return ranges.length > 0
  }

  #note(log: LogId, chunk: Chunk, ranges: readonly DamagedRange[]): void {
    const known = this.damagedIn(log)
    const others = known.filter(({ from, to }) => to <= chunk.base || from >= chunk.end)
    if (ranges.length === 0 && others.length === known.length) return
    this.#damaged.set(
      log,
      [...others, ...ranges].sort((a, b) => a.from - b.from),
    )
    for (const { from, to, topics } of ranges) {
      if (known.some((range) => range.from === from && range.to === to)) continue
      const remedy = 'restore them from a copy, or remove the damaged range'
      this.#ports.logger.log('error', 'stored records are damaged and are not served', { log, from, to, topics: topics.join(' '), remedy })
    }
  }

  /** Verifies the values by which the records of a log are found: of one of type rocksdb the runs are records, and looked at as such. */
  async #verifyIndex(machine: StripeMachine): Promise<void> {
    const { log, stored } = machine
    const { keys } = must(stored, 'only stored logs are scrubbed').log
    let bytes = 0
    const damaged: Buffer[] = []
    for (const range of machine.entries === undefined ? [keys.allChunks, keys.afterRuns] : [keys.all]) {
      const found = await this.#verify(range)
      bytes += found.bytes
      damaged.push(...found.damaged)
    }
    for (const key of damaged) {
      const [chunk] = isRecordKey(key) ? await chunksOf(machine, runBaseOf(key), runBaseOf(key) + 1) : []
      if (chunk !== undefined) await this.#look(machine, chunk)
    }
    this.#tell(`index of log ${log}`, damaged.filter((key) => !isRecordKey(key)).map(nameOf))
    this.#indexBytes.set(log, bytes)
  }

  async #verify({ gte: from, lt }: KvRange): Promise<{ readonly bytes: number; readonly damaged: readonly Buffer[] }> {
    const damaged: Buffer[] = []
    let bytes = 0
    for (let gte: Buffer | undefined = from; gte !== undefined; ) {
      const found = await this.#ports.kv.verify({ gte, lt, limit: PAIRS_STEP })
      damaged.push(...found.damaged)
      bytes += found.bytes
      await this.#pace(found.bytes)
      gte = found.next
    }
    return { bytes, damaged }
  }

  /** Replaces what was said of a place. What is new is logged. */
  #tell(name: string, found: readonly string[]): void {
    const known = this.#damagedPlaces.get(name) ?? []
    const sentences = found.map((what) => `${name}: ${what}`)
    if (sentences.length === 0) this.#damagedPlaces.delete(name)
    else this.#damagedPlaces.set(name, sentences)
    for (const sentence of sentences) if (!known.includes(sentence)) this.#ports.logger.log('error', sentence)
  }

  /** Rejects with stopping when the node stops. */
  readonly #pace = async (bytes: number): Promise<void> => {
    this.#metrics.bytes.add(bytes)
    this.#owedBytes += bytes
    while (this.#running && this.#owedBytes >= this.#burstBytes) {
      if (this.#bytesPerSecond === 0) await this.#sleep(ROUND_MS)
      else {
        const waitMs = Math.max(1, (this.#owedBytes * 1000) / this.#bytesPerSecond)
        this.#owedBytes = 0
        await this.#sleep(waitMs)
      }
    }
    if (!this.#running) throw new PlatformError(ERROR_CODES.stopping, 'the verification of stored data ends with the node')
  }

  /** While the rate is 0 nothing more is read. */
  get #burstBytes(): number {
    return Math.min((this.#bytesPerSecond * BURST_MS) / 1000, BURST_BYTES_MAX)
  }

  /** Ends early with a change of the rate, and with the node. */
  #sleep(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#ports.clock.after(ms, () => this.#wake?.())
      this.#wake = () => {
        this.#wake = undefined
        timer.cancel()
        resolve()
      }
    })
  }
}

/** The first chunks that have positions in [from, to), and are in the store. */
async function chunksOf({ stored, tail }: StripeMachine, from: Position, to: Position): Promise<readonly Chunk[]> {
  const { log } = must(stored, 'only stored logs are scrubbed')
  return await log.chunks(await log.chunkBaseAt(from), Math.min(to, tail.storedEnd), CHUNKS_STEP)
}

const nameOf = (key: Buffer): string => `the value of key ${key.toString('hex', 0, KEY_BYTES_SHOWN)} is not what was written`
