// SPDX-License-Identifier: Apache-2.0
// A log in files, the write-ahead log of a node or its segment logs: all groups in one stream of frames, one write and one fsync for a batch (D1, D7). What the bytes are is in
// frame.ts, how they are read back in recover.ts, why in the README beside.
import { assert, must } from '#base/assert'
import { isPlatformError, messageOf, PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Clock, Timer } from '#base/port/clock'
import type { Disk } from '#base/port/disk'
import type { Entry, GroupId, LogIndex, Term } from '../../core/message.ts'
import type { EntryPiece, GroupWrite, LogDamage, LogPressure, LogScrub, LogStore, LogUsage, Pace, RecoveredGroup } from '../../log-store.ts'
import { type EncodedFrame, encodeFrame, sealFrame } from './append.ts'
import { CleanEndFile } from './clean-end.ts'
import { encodeSegmentHeader, FRAME, type LogPosition, segmentName } from './frame.ts'
import { type GroupLog, GroupTable, type RecoveredLog } from './group-table.ts'
import { IndexFiles } from './index-files.ts'
import { IndexPages } from './index-pages.ts'
import { readEntries } from './read.ts'
import { readPieces } from './read-pieces.ts'
import { recover } from './recover.ts'
import { scrubSegment } from './scrub.ts'
import { Segment, segmentAt } from './segment.ts'

export interface FileLogOptions {
  /** Where the files are, relative to the data directory. */
  readonly directory: string
  /** Batches that one file holds before the next is begun; a larger batch has a file to itself. 64 MiB by default, 1 GiB at most. */
  readonly segmentBytes?: number
  /** Time without writes after which the log is marked durable on the disk. 10 ms by default. */
  readonly idleMs?: number
  /** Room that must be left on the disk for a new file to be begun; `segmentBytes` by default. */
  readonly freeBytesMin?: number
}

const SEGMENT_BYTES_DEFAULT = 64 * 1024 * 1024
const IDLE_MS_DEFAULT = 10

export class FileLogStore implements LogStore {
  readonly #disk: Disk
  readonly #clock: Clock
  readonly #directory: string
  readonly #segmentBytes: number
  readonly #idleMs: number
  readonly #freeBytesMin: number
  readonly #cleanEnd: CleanEndFile
  readonly #indexes: IndexFiles
  readonly #pages = new IndexPages()
  readonly #table = new GroupTable()
  /** Ascending and dense; the last one is written to. */
  #segments: Segment[] = []
  /** Crc of the last header written: the next frame carries it. */
  #chain = 0
  /** Everything before this position is durable. */
  #durable: LogPosition = 0
  /** The clean end is on the disk and must go before the first write. */
  #cleanEndStands = false
  /** The disk itself shows that the whole log is durable. */
  #marked = true
  #state: 'new' | 'open' | 'closed' = 'new'
  /** Why nothing is accepted any more (R48). */
  #failure: unknown
  /** What has the files to itself at the moment: a write, a mark, a reclaim or the close. Never rejects. */
  #busy: Promise<void> | undefined
  #idleTimer: Timer | undefined
  #lastWriteMs = 0

  constructor(disk: Disk, clock: Clock, options: FileLogOptions) {
    this.#disk = disk
    this.#clock = clock
    this.#directory = options.directory
    this.#segmentBytes = options.segmentBytes ?? SEGMENT_BYTES_DEFAULT
    this.#idleMs = options.idleMs ?? IDLE_MS_DEFAULT
    this.#freeBytesMin = options.freeBytesMin ?? this.#segmentBytes
    this.#cleanEnd = new CleanEndFile(disk, options.directory)
    this.#indexes = new IndexFiles(disk, options.directory)
  }

  async open(): Promise<readonly RecoveredGroup[]> {
    assert(this.#state === 'new', 'a log store is opened once')
    this.#state = 'open'
    return this.#alone(async () => {
      await this.#disk.makeDirectory(this.#directory)
      const clean = await this.#cleanEnd.read()
      const recovered = await recover(this.#disk, this.#directory, this.#table, clean, this.#indexes)
      this.#segments = recovered.segments
      this.#chain = recovered.chain
      this.#cleanEndStands = clean !== undefined
      this.#marked = recovered.marked
      if (this.#segments.length === 0) await this.#createSegment(0)
      this.#durable = this.#active.end
      this.#armIdleTimer()
      return await this.#withConfEntries(recovered.groups)
    })
  }

  write(batch: readonly GroupWrite[], { sync }: { readonly sync: boolean }): Promise<void> {
    return this.#alone(async () => {
      if (batch.length > 0) {
        this.#table.check(batch)
        const frame = encodeFrame(FRAME.batch, batch, this.#table.keeps)
        if (this.#isFullFor(frame)) await this.#roll()
        await this.#append(frame)
        if (sync) await this.#sync()
        // Not before: entries become readable when they are as durable as they were asked to be.
        this.#table.apply(frame.head)
        this.#marked = false
      } else if (sync) await this.#sync()
      this.#armIdleTimer()
    })
  }

  term(group: GroupId, index: LogIndex): Term | undefined {
    return this.#table.get(group)?.term(index)
  }

  async read(group: GroupId, from: LogIndex, to: LogIndex, bytesMax: number): Promise<readonly Entry[]> {
    this.#checkUsable()
    assert(from < to, 'a read names at least one entry')
    return readEntries({ segments: this.#segments, pages: this.#pages }, this.#held(group, from, to), from, to, bytesMax)
  }

  async readPieces(group: GroupId, pieces: readonly EntryPiece[]): Promise<readonly Buffer[]> {
    this.#checkUsable()
    const first = must(pieces[0], 'a read names at least one piece').index
    const log = this.#held(group, first, (pieces.at(-1) as EntryPiece).index + 1)
    return readPieces({ segments: this.#segments, pages: this.#pages }, log, pieces)
  }

  /** The log of a group that holds entries [from, to). */
  #held(group: GroupId, from: LogIndex, to: LogIndex): GroupLog {
    const log = this.#table.get(group)
    if (log?.entries.has(from) && log.entries.has(to - 1)) return log
    const held = log === undefined ? 'nothing' : `(${log.entries.base}, ${log.entries.last}]`
    throw new PlatformError(ERROR_CODES.offsetOutOfRange, `read entries [${from}, ${to}) of group ${group}: the log holds ${held}`)
  }

  pressure(): LogPressure {
    const last = this.#segments.length - 1
    const needed = this.#firstNeeded()
    return { bytes: this.#bytes, holders: needed === this.#segments[last] ? [] : this.#table.holders(needed.end) }
  }

  usage(): LogUsage {
    const { hits: pageHits, misses: pageMisses } = this.#pages
    return { files: this.#segments.length, bytes: this.#bytes, memoryBytes: this.#table.memoryBytes, pageHits, pageMisses }
  }

  get #bytes(): number {
    let bytes = 0
    for (const { size, indexSize } of this.#segments) bytes += size + indexSize
    return bytes
  }

  async reclaim(): Promise<void> {
    return this.#alone(async () => {
      const needed = this.#firstNeeded()
      if (needed === this.#segments[0]) return
      // The log says where it begins before it begins there: else a file that is missing could not be told from one that was freed (L28).
      const frame = encodeFrame(FRAME.batch, [], this.#table.keeps, needed.base)
      await this.#append(frame)
      await this.#sync()
      this.#table.apply(frame.head)
      const free = this.#segments.splice(0, this.#segments.indexOf(needed))
      for (const segment of free) {
        await segment.retire()
        await this.#disk.remove(segment.path)
        await this.#indexes.remove(segment)
      }
      await this.#disk.syncDirectory(this.#directory)
      this.#marked = false
      this.#armIdleTimer()
    })
  }

  /** Of each closed segment at most one place, and its index. Entries that are damaged are refused to readers whether or not this has found them. */
  async scrub(pace: Pace): Promise<LogScrub> {
    this.#checkUsable()
    const damaged: LogDamage[] = []
    const verified = this.#table.closed()
    for (const segment of this.#segments.slice(0, -1)) {
      if (this.#state === 'closed') break
      if (!this.#segments.includes(segment)) continue
      segment.pin()
      try {
        for (const flaw of await scrubSegment(segment, this.#disk.fullPath(segment.indexPath), pace))
          damaged.push({ ...flaw, entries: this.#table.entriesIn(segment) })
      } finally {
        await segment.unpin()
      }
    }
    return { damaged, verified }
  }

  async close(): Promise<void> {
    await this.#alone(async () => {
      this.#state = 'closed'
      this.#idleTimer?.cancel()
      if (!this.#cleanEndStands) {
        await this.#sync()
        await this.#cleanEnd.write({ position: this.#active.end, chain: this.#chain })
      }
      for (const segment of this.#segments) await segment.retire()
    })
  }

  async #withConfEntries(groups: readonly RecoveredLog[]): Promise<readonly RecoveredGroup[]> {
    const complete: RecoveredGroup[] = []
    for (const group of groups) {
      const log = must(this.#table.get(group.group), 'a recovered group is in the table')
      const confEntries: Entry[] = []
      for (const index of log.entries.confs()) {
        confEntries.push(...(await readEntries({ segments: this.#segments, pages: this.#pages }, log, index, index + 1, 0)))
      }
      complete.push({ ...group, confEntries })
    }
    return complete
  }

  get #active(): Segment {
    return must(this.#segments[this.#segments.length - 1], 'an open log has a segment')
  }

  /** The oldest segment that some group needs, or the active one. */
  #firstNeeded(): Segment {
    const oldest = this.#table.oldest()
    return oldest < this.#active.base ? segmentAt(this.#segments, oldest) : this.#active
  }

  /** The opening frame does not count, so that neither many groups nor a huge batch make files that hold nothing else. */
  #isFullFor(frame: EncodedFrame): boolean {
    const { size, openingEnd } = this.#active
    return size > openingEnd && size - openingEnd + frame.length > this.#segmentBytes
  }

  /** Begins a new file, so that what it needs is durable when it is used: old data, file, name (L15). */
  async #roll(): Promise<void> {
    await this.#removeCleanEnd()
    const free = await this.#disk.free()
    if (free < this.#freeBytesMin)
      throw new PlatformError(
        ERROR_CODES.diskFull,
        `the disk of ${this.#disk.fullPath(this.#directory)} has ${free} bytes free, and a new file of the log needs ${this.#freeBytesMin}: nothing of this write was written; free space or enlarge the disk, and start again`,
      )
    await this.#sync()
    const closed = this.#active
    const chain = this.#chain
    const index = await this.#table.encodeIndex(closed, chain, () => new Promise((resolve) => this.#clock.endOfTurn(resolve)))
    await this.#createSegment(closed.end)
    await this.#indexes.write(closed, index)
    this.#table.adoptMade(closed, index, chain)
  }

  async #createSegment(base: LogPosition): Promise<void> {
    const header = encodeSegmentHeader(base, this.#chain)
    const frame = encodeFrame(FRAME.opening, this.#table.state(), this.#table.keeps, this.#table.first)
    const previous = header.readUInt32BE(header.length - 4)
    const chain = sealFrame(frame, { position: base + header.length, durable: base, previous })
    const file = await this.#disk.open(`${this.#directory}/${segmentName(base)}`, 'create')
    await file.write(0, [header, ...frame.buffers])
    await file.sync()
    await this.#disk.syncDirectory(this.#directory)
    this.#chain = chain
    const segment = new Segment(this.#disk, base, file, header.length + frame.length)
    segment.openingEnd = segment.size
    segment.headerCrc = previous
    this.#segments.push(segment)
    this.#durable = segment.end
  }

  async #append(frame: EncodedFrame): Promise<void> {
    await this.#removeCleanEnd()
    const segment = this.#active
    const chain = sealFrame(frame, { position: segment.end, durable: this.#durable, previous: this.#chain })
    await segment.file.write(segment.size, frame.buffers)
    segment.size += frame.length
    this.#chain = chain
  }

  async #removeCleanEnd(): Promise<void> {
    if (!this.#cleanEndStands) return
    await this.#cleanEnd.remove()
    this.#cleanEndStands = false
  }

  async #sync(): Promise<void> {
    const segment = this.#active
    if (this.#durable === segment.end) return
    await segment.file.sync()
    this.#durable = segment.end
  }

  /** Appends a frame that shows the frames before it to have been durable, so that damage to the last of them is not taken for a torn write. */
  #mark(): Promise<void> {
    return this.#alone(async () => {
      await this.#sync()
      await this.#append(encodeFrame(FRAME.mark, [], this.#table.keeps))
      await this.#sync()
      this.#marked = true
    })
  }

  /** One timer serves all writes: it looks at the time of the last one when it fires. */
  #armIdleTimer(): void {
    this.#lastWriteMs = this.#clock.monotonic()
    if (!this.#marked && this.#idleTimer === undefined) this.#idleTimer = this.#clock.after(this.#idleMs, this.#onIdleTimer)
  }

  readonly #onIdleTimer = (): void => {
    this.#idleTimer = undefined
    if (this.#marked || this.#failure !== undefined || this.#state !== 'open') return
    const leftMs = this.#busy === undefined ? this.#lastWriteMs + this.#idleMs - this.#clock.monotonic() : this.#idleMs
    if (leftMs > 0) this.#idleTimer = this.#clock.after(leftMs, this.#onIdleTimer)
    // A mark that fails has poisoned the store: the next call of its owner reports it.
    else this.#mark().catch(this.#onMarkFailed)
  }

  readonly #onMarkFailed = (error: unknown): void => assert(this.#failure === error, 'a mark that fails poisons the store')

  /** Runs one piece of work that changes the files, after those before it. If it fails, everything after it does (R48). */
  async #alone<T>(work: () => Promise<T>): Promise<T> {
    while (this.#busy !== undefined) await this.#busy
    this.#checkUsable()
    let release = (): void => {}
    this.#busy = new Promise((resolve) => {
      release = resolve
    })
    try {
      return await work()
    } catch (error) {
      this.#failure = error
      throw error
    } finally {
      this.#busy = undefined
      release()
    }
  }

  #checkUsable(): void {
    assert(this.#state !== 'new', 'a log store is opened before it is used')
    if (this.#failure !== undefined)
      throw new PlatformError(
        isPlatformError(this.#failure) ? this.#failure.code : ERROR_CODES.internal,
        `the log in ${this.#disk.fullPath(this.#directory)} failed earlier, and what is on the disk is unknown until it is opened again: ${messageOf(this.#failure)}`,
        { cause: this.#failure },
      )
    if (this.#state === 'closed')
      throw new PlatformError(ERROR_CODES.stopping, `the log in ${this.#disk.fullPath(this.#directory)} is closed`)
  }
}
