// SPDX-License-Identifier: Apache-2.0
// From the files to the table of groups, verifying every byte of what may not be durable (L26); of closed segments their indexes vouch. All that can be wrong is found before anything is changed; what is then
// changed may be interrupted anywhere and done again.
import { must } from '#base/assert'
import { PlatformError } from '#base/error'
import { ERROR_CODES } from '#base/error-code'
import type { Disk } from '#base/port/disk'
import type { CleanEnd } from './clean-end.ts'
import { damaged } from './damage.ts'
import { FRAME, type LogPosition, SEGMENT_HEADER_BYTES, SEGMENT_VERSION, segmentBase } from './frame.ts'
import type { GroupTable, RecoveredLog } from './group-table.ts'
import type { IndexFiles } from './index-files.ts'
import { type Flaw, findWitness, inspectFrame, inspectSegmentHeader, isFlaw, Window } from './inspect.ts'
import { Segment } from './segment.ts'

const COPY_BYTES = 1024 * 1024

export interface Recovered {
  readonly groups: readonly RecoveredLog[]
  /** Ascending and dense; empty when there is no log yet. The last one is written to. */
  readonly segments: Segment[]
  /** Crc that the next frame carries as `previous`. */
  readonly chain: number
  /** Whether the bytes on the disk alone prove that all of the log is durable. */
  readonly marked: boolean
}

/** Reads the log of a directory into an empty table: the last file, and the indexes of those before it, which are made again when they are not right. Rejects with dataDamaged, having changed nothing, when bytes are not what was written. */
export function recover(
  disk: Disk,
  directory: string,
  table: GroupTable,
  clean: CleanEnd | undefined,
  indexes: IndexFiles,
): Promise<Recovered> {
  return new Recovery(disk, directory, table, clean, indexes).run()
}

class Recovery {
  readonly #disk: Disk
  readonly #directory: string
  readonly #table: GroupTable
  readonly #clean: CleanEnd | undefined
  readonly #indexes: IndexFiles
  /** Indexes that were missing, or not right. */
  readonly #newIndexes: { readonly segment: Segment; readonly bytes: Buffer }[] = []
  /** All segments found, then those of the log. */
  #segments: Segment[] = []
  #chain: number | undefined
  /** Position up to which the frames themselves prove that the log was durable. */
  #durable: LogPosition = 0
  #marked = false
  /** Offset at which the last segment is cut, if it has a torn tail. */
  #cutAt: number | undefined
  /** The last segment, if it was being created when the process ended. Nothing in it can have been promised. */
  #abandoned: Segment | undefined

  constructor(disk: Disk, directory: string, table: GroupTable, clean: CleanEnd | undefined, indexes: IndexFiles) {
    this.#indexes = indexes
    this.#disk = disk
    this.#directory = directory
    this.#table = table
    this.#clean = clean
  }

  async run(): Promise<Recovered> {
    await this.#openSegments()
    const found = this.#segments
    try {
      this.#segments = withoutGaps(found)
      const closed = await this.#countClosed()
      for (const [at, segment] of this.#segments.entries()) {
        const next = at < closed ? this.#segments[at + 1] : undefined
        if (next !== undefined && (await this.#adopt(segment, next))) continue
        await this.#scan(segment, segment === found[found.length - 1])
        if (next !== undefined) await this.#close(segment)
      }
      if (this.#abandoned !== undefined) this.#segments.pop()
      this.#checkEnds(found)
      const groups = this.#table.settle()
      if (typeof groups === 'string') throw this.#wrongEnd(groups)
      await this.#repair(found)
      return { groups, segments: this.#segments, chain: this.#chain ?? 0, marked: this.#marked || this.#clean !== undefined }
    } catch (error) {
      for (const segment of found) await segment.retire()
      throw error
    }
  }

  async #openSegments(): Promise<void> {
    for (const name of await this.#disk.list(this.#directory)) {
      const base = segmentBase(name)
      if (base !== undefined) this.#segments.push(await Segment.open(this.#disk, this.#directory, base))
    }
  }

  /** How many segments are followed by one that was certainly begun: those before were complete and durable by then (L15). */
  async #countClosed(): Promise<number> {
    const last = this.#segments[this.#segments.length - 1]
    if (last === undefined) return 0
    const window = new Window(last.file, last.size)
    const header = await inspectSegmentHeader(window)
    const isBegun = !isFlaw(header) && !isFlaw(await inspectFrame(window, SEGMENT_HEADER_BYTES, { base: last.base, previous: header.crc }))
    return Math.max(0, this.#segments.length - (isBegun ? 1 : 2))
  }

  /** Takes the index of a closed segment in place of its frames. False when the segment must be read: then that shows what is wrong. */
  async #adopt(segment: Segment, next: Segment): Promise<boolean> {
    const header = await inspectSegmentHeader(new Window(segment.file, Math.min(segment.size, SEGMENT_HEADER_BYTES)))
    const nextHeader = await inspectSegmentHeader(new Window(next.file, Math.min(next.size, SEGMENT_HEADER_BYTES)))
    if (isFlaw(header) || isFlaw(nextHeader) || header.version !== SEGMENT_VERSION || header.base !== segment.base) return false
    if (this.#chain !== undefined && header.previous !== this.#chain) return false
    const bytes = await this.#indexes.open(segment)
    segment.headerCrc = header.crc
    if (bytes === undefined || !this.#table.adopt(segment, bytes, nextHeader.previous)) return false
    this.#chain = nextHeader.previous
    return true
  }

  async #close(segment: Segment): Promise<void> {
    const chain = must(this.#chain, 'a segment that was read has a last frame')
    const bytes = await this.#table.encodeIndex(segment, chain, () => Promise.resolve())
    this.#table.adoptMade(segment, bytes, chain)
    this.#newIndexes.push({ segment, bytes })
  }

  async #scan(segment: Segment, isLast: boolean): Promise<void> {
    const window = new Window(segment.file, segment.size)
    const header = await inspectSegmentHeader(window)
    if (isFlaw(header)) return this.#judge(window, segment, isLast, 0, header)
    if (header.version !== SEGMENT_VERSION)
      throw new PlatformError(
        ERROR_CODES.dataVersion,
        `log file ${segment.fullPath} has format ${header.version}; this version reads ${SEGMENT_VERSION}`,
      )
    if (header.base !== segment.base)
      throw damaged(segment.fullPath, 0, `the header is of the segment at ${header.base}: the file was renamed`)
    if (this.#chain !== undefined && header.previous !== this.#chain)
      throw damaged(segment.fullPath, 0, 'the file does not follow on the one before it')
    segment.headerCrc = header.crc
    let chain = header.crc
    for (let offset = SEGMENT_HEADER_BYTES; offset < segment.size || offset === SEGMENT_HEADER_BYTES; ) {
      const frame = await inspectFrame(window, offset, { base: segment.base, previous: chain })
      if (isFlaw(frame)) return this.#judge(window, segment, isLast, offset, frame)
      this.#table.apply(frame.head)
      if (offset === SEGMENT_HEADER_BYTES) segment.openingEnd = offset + frame.header.length
      this.#durable = frame.header.durable
      this.#marked = frame.header.kind !== FRAME.batch && frame.header.durable === frame.header.position
      chain = frame.header.crc
      this.#chain = chain
      offset += frame.header.length
    }
  }

  /** Cuts what an interrupted write can have left at the end of the log; everything else is damage (R45). */
  async #judge(window: Window, segment: Segment, isLast: boolean, offset: number, flaw: Flaw): Promise<void> {
    if (!flaw.torn) throw damaged(segment.fullPath, offset, flaw.text)
    if (!isLast) throw damaged(segment.fullPath, offset, `${flaw.text}, and later files follow`)
    if (this.#clean !== undefined)
      throw damaged(segment.fullPath, offset, `${flaw.text}, though the log was closed cleanly at position ${this.#clean.position}`)
    const witness = await findWitness(window, flaw.searchFrom, segment.base, segment.base + offset)
    if (witness !== -1)
      throw damaged(segment.fullPath, offset, `${flaw.text}, and the frame at byte ${witness} was written after it had been synced`)
    // A segment without its opening frame lacks the state of the groups, so it is not continued but created again.
    if (offset <= SEGMENT_HEADER_BYTES) this.#abandoned = segment
    else this.#cutAt = offset
  }

  /** The log must begin where its newest record of that says, and end where a clean end says. */
  #checkEnds(found: readonly Segment[]): void {
    const last = this.#segments[this.#segments.length - 1]
    const { first } = this.#table
    if (last === undefined) {
      if (found.length > 1 || (this.#abandoned?.base ?? 0) > 0)
        throw this.#wrongEnd('the files before this one are missing or not complete')
      if (this.#clean !== undefined)
        throw damaged(this.#disk.fullPath(this.#directory), 0, 'all files of a log that was closed cleanly are missing')
      return
    }
    if (!this.#segments.some((segment) => segment.base === first)) {
      const needed = found.filter((segment) => segment.base >= first)
      const broken = needed.find((segment, at) => segment.base !== (needed[at - 1]?.end ?? first))
      const before = needed[needed.indexOf(broken!) - 1]
      throw before === undefined
        ? damaged(this.#disk.fullPath(this.#directory), 0, `the log begins at position ${first}, but no file does: files are missing`)
        : damaged(before.fullPath, before.size, `the file ends at position ${before.end}, but the next one begins at ${broken!.base}`)
    }
    const end = last.end
    if (this.#clean !== undefined && (this.#clean.position !== end || this.#clean.chain !== this.#chain))
      throw damaged(last.fullPath, last.size, `the log was closed cleanly at position ${this.#clean.position}, but it ends at ${end}`)
  }

  #wrongEnd(text: string): PlatformError {
    const last = this.#segments[this.#segments.length - 1] ?? this.#abandoned
    return damaged(last?.fullPath ?? this.#disk.fullPath(this.#directory), last?.size ?? 0, text)
  }

  async #repair(found: readonly Segment[]): Promise<void> {
    if (this.#abandoned !== undefined) await this.#remove(this.#abandoned)
    const last = this.#segments[this.#segments.length - 1]
    if (last !== undefined && this.#clean === undefined) {
      if (this.#cutAt !== undefined) {
        last.size = this.#cutAt
        await last.file.truncate(last.size)
      }
      await this.#writeAgain(last)
    }
    // Segments below the first that is needed were being removed when the process ended; they may have gaps.
    for (const segment of found) if (segment !== this.#abandoned && segment.base < this.#table.first) await this.#remove(segment)
    this.#segments = this.#segments.filter((segment) => segment.base >= this.#table.first)
    for (const { segment, bytes } of this.#newIndexes) if (segment.base >= this.#table.first) await this.#indexes.write(segment, bytes)
    await this.#indexes.removeOthers(this.#segments.slice(0, -1))
    await this.#disk.syncDirectory(this.#directory)
  }

  /**
   * Makes durable what was read. The part that was not durable for certain is written again, byte for byte: after a failed sync its pages
   * can be in the cache, called clean and be nowhere else, and then a sync alone would do nothing (R48).
   */
  async #writeAgain(segment: Segment): Promise<void> {
    for (let at = Math.max(0, this.#durable - segment.base); at < segment.size; ) {
      const bytes = await segment.file.read(at, Math.min(COPY_BYTES, segment.size - at))
      await segment.file.write(at, [bytes])
      at += must(bytes.length || undefined, 'a file that was just read still has its bytes')
    }
    await segment.file.sync()
  }

  async #remove(segment: Segment): Promise<void> {
    await segment.retire()
    await this.#disk.remove(segment.path)
  }
}

/** The segments from the last gap on: before it can be what was left of segments that nobody needs, and whether that is so is said by the log itself. */
function withoutGaps(segments: readonly Segment[]): Segment[] {
  let from = 0
  for (let at = 1; at < segments.length; at++) if (segments[at - 1]!.end !== segments[at]!.base) from = at
  return segments.slice(from)
}
